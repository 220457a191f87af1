/** Runs the micro benchmarks in child processes, each with a heap of its own, and gathers them. */
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { run } from '../test/support/shell.js';

const folder = join(dirname(fileURLToPath(import.meta.url)), 'micro');
const LIMIT_MS = 120_000;

/** Cost of one stage, as its file prints it. */
export interface StageCost {
  readonly stage: string;
  readonly nanoseconds: number;
}

export interface MicroReport {
  readonly stages: readonly StageCost[];
  readonly heapMbPerMillionFrames: number | null;
  readonly residentMbHundredPeers: number | null;
  /** All of it for people. */
  readonly text: string;
}

async function child(script: string, flags: readonly string[] = []): Promise<unknown> {
  const argv = [process.execPath, ...flags, join(folder, script)];
  const result = await run(argv, { timeoutMs: LIMIT_MS });
  if (result.code !== 0) throw new Error(`${script}: ${result.stderr.trim().slice(-300)}`);
  const last = result.stdout.trim().split('\n').at(-1) ?? '';
  return JSON.parse(last);
}

/** A part that fails is missing from the report and named in its text. */
export async function runMicro(progress: (step: string) => void): Promise<MicroReport> {
  const lines: string[] = [];
  const attempt = async <T>(script: string, flags: readonly string[] = []): Promise<T | null> => {
    progress(`micro: ${script} …`);
    try {
      return (await child(script, flags)) as T;
    } catch (error) {
      lines.push(`  FAILED ${error instanceof Error ? error.message : error}`);
      return null;
    }
  };
  const stages = (await attempt<StageCost[]>('stages.js')) ?? [];
  for (const { stage, nanoseconds } of stages) {
    lines.push(`  ${stage.padEnd(34)}${nanoseconds.toFixed(0).padStart(7)} ns per packet`);
  }
  const heap = await attempt<{ mbPerMillionFrames: number }>('allocation.js', ['--expose-gc']);
  const peers = await attempt<{ residentMb: number; established: number }>('peers.js');
  if (heap !== null) {
    lines.push(`  heap growth per million frames: ${heap.mbPerMillionFrames.toFixed(3)} MB`);
  }
  if (peers !== null) {
    lines.push(`  resident with ${peers.established} peers: ${peers.residentMb.toFixed(1)} MB`);
  }
  return {
    stages,
    heapMbPerMillionFrames: heap?.mbPerMillionFrames ?? null,
    residentMbHundredPeers: peers?.residentMb ?? null,
    text: lines.join('\n'),
  };
}
