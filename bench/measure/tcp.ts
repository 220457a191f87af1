/** TCP throughput between two workloads by iperf3, with the processor time it cost. */
import { readFileSync } from 'node:fs';
import type { BackgroundProcess, Lab } from '../../test/support/lab.js';
import { waitFor } from '../../test/support/wait.js';
import { hasListener, parseTcp } from '../parse.js';
import type { RunningSystem } from '../system.js';
import { readProcessorTime } from './processor.js';

const PORT = 5201;
const SERVER_DEADLINE_MS = 5_000;
/** A start that TCP takes to find the path's rate, not counted. */
const OMIT_SECONDS = 1;
const GRACE_MS = 15_000;

export interface TcpMeasure {
  readonly megabits: number;
  readonly machineSecondsPerGb: number;
  /** null if the kernel does the overlay's work. */
  readonly overlaySecondsPerGb: number | null;
}

/** One server serves all runs of a measurement. */
export async function startTcpServer(lab: Lab, system: RunningSystem): Promise<BackgroundProcess> {
  const server = lab.start(system.to.netns, ['iperf3', '-s'], { label: 'iperf3-server' });
  await waitFor('iperf3 server', SERVER_DEADLINE_MS, () =>
    ['tcp', 'tcp6'].some((table) =>
      hasListener(readFileSync(`/proc/${server.pid}/net/${table}`, 'utf8'), PORT),
    ),
  );
  return server;
}

/** @param seconds in all, the omitted one included. @throws Error if iperf3 fails. */
export async function measureTcp(
  lab: Lab,
  system: RunningSystem,
  streams: number,
  seconds: number,
): Promise<TcpMeasure> {
  const { from, to, pids } = system;
  const argv = ['iperf3', '-J', '-c', to.address, '-P', `${streams}`, '-O', `${OMIT_SECONDS}`];
  argv.push('-t', `${seconds - OMIT_SECONDS}`, '--connect-timeout', '3000');
  const before = readProcessorTime(pids);
  const result = await lab.exec(from.netns, argv, { timeoutMs: seconds * 1000 + GRACE_MS });
  const after = readProcessorTime(pids);
  if (result.code === null) throw new Error('iperf3 did not end');
  const { megabits, totalBytes } = parseTcp(result.stdout);
  const gigabytes = totalBytes / 1e9;
  return {
    megabits,
    machineSecondsPerGb: (after.machineSeconds - before.machineSeconds) / gigabytes,
    overlaySecondsPerGb:
      pids.length === 0 ? null : (after.overlaySeconds - before.overlaySeconds) / gigabytes,
  };
}
