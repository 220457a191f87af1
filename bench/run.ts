#!/usr/bin/env node
/**
 * `npm run bench`: our overlay beside the field, in one run on one machine. Rounds are interleaved,
 * so that a slow minute of the machine does not hit one system only. See README.md.
 */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { errorText } from '../core/errors.js';
import { drawChart } from './chart.js';
import { describeMachine, machineLine } from './machine.js';
import { QUIET_SHARE } from './measure/quiet.js';
import { measureSystem } from './measure.js';
import { type MicroReport, runMicro } from './micro.js';
import { type BenchOptions, parseBenchOptions, USAGE } from './options.js';
import { mediansOf, type Sample, type Skipped } from './sample.js';
import type { System } from './system.js';
import { chosenSystems, missingPrograms, SYSTEMS } from './systems.js';
import { formatResults, formatValue } from './table.js';
import { type Target, targetsOf } from './targets.js';

const projectRoot = join(dirname(fileURLToPath(import.meta.url)), '../..');
/** A busy machine makes every figure smaller and ratios uncertain. */
const BUSY_LOAD = 0.5;
/** What the micro benchmarks take at the end of a run. */
const MICRO_MS = 45_000;

const startedMs = performance.now();
const elapsed = (): string => {
  const seconds = Math.round((performance.now() - startedMs) / 1000);
  return `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, '0')}`;
};

/** A line for people who watch; where it goes to a terminal, steps overwrite each other. */
function showStep(text: string): void {
  if (process.stderr.isTTY) process.stderr.write(`\r\x1b[2K${elapsed()} ${text}`);
}

function say(text: string): void {
  if (process.stderr.isTTY) process.stderr.write('\r\x1b[2K');
  console.log(`${elapsed()} ${text}`);
}

async function usable(
  systems: readonly System[],
  options: BenchOptions,
  skipped: Skipped[],
): Promise<System[]> {
  const result: System[] = [];
  for (const system of systems) {
    const reason = missingPrograms(system) ?? (await system.refusal?.(options)) ?? null;
    if (reason === null) {
      result.push(system);
      continue;
    }
    skipped.push({ system: system.id, reason });
    say(`SKIPPED ${system.label}: ${reason}`);
  }
  return result;
}

function summary({ values, notes, busyBefore }: Sample): string {
  const other = Math.round(busyBefore * 100);
  const disturbed = busyBefore > QUIET_SHARE ? ` (DISTURBED: other work took ${other} %)` : '';
  const failed = notes.filter((note) => note.includes(' failed: '));
  return (
    `${formatValue(values.tcp1Mbps, 0)} / ${formatValue(values.tcp4Mbps, 0)} Mbit/s, ` +
    `${formatValue(values.smallFps, 0)} small and ${formatValue(values.largeFps, 0)} large ` +
    `frames/s, ping ${formatValue(values.floodMeanMs, 3)} ms${disturbed}${failed.map((f) => `; ${f}`).join('')}`
  );
}

async function runRounds(
  systems: readonly System[],
  options: BenchOptions,
  skipped: Skipped[],
): Promise<Sample[]> {
  const samples: Sample[] = [];
  const keepFolder = mkdtempSync(join(tmpdir(), 'weave-bench-'));
  process.on('exit', () => rmSync(keepFolder, { recursive: true, force: true }));
  const budgetMs = options.maxMinutes * 60_000 - (options.micro ? MICRO_MS : 0);
  let longestRoundMs = 0;
  for (let round = 1; round <= options.rounds; round++) {
    const beganMs = performance.now();
    if (round > 1 && beganMs - startedMs + longestRoundMs > budgetMs) {
      say(`no further round: it would end after ${options.maxMinutes} minutes`);
      break;
    }
    for (const [index, system] of systems.entries()) {
      const where = `round ${round}/${options.rounds}, ${index + 1}/${systems.length}`;
      const progress = (step: string): void => showStep(`${where} ${system.label}: ${step} …`);
      try {
        const sample = await measureSystem(system, round, options, { keepFolder, progress });
        samples.push(sample);
        say(`${where} ${system.label}: ${summary(sample)}`);
      } catch (error) {
        const reason = `round ${round}: ${errorText(error)}`;
        skipped.push({ system: system.id, reason });
        say(`${where} FAILED ${system.label}: ${reason}`);
      }
    }
    longestRoundMs = Math.max(longestRoundMs, performance.now() - beganMs);
  }
  return samples;
}

interface Outcome {
  readonly date: string;
  readonly samples: readonly Sample[];
  readonly systems: readonly System[];
  readonly skipped: readonly Skipped[];
  readonly targets: readonly Target[];
  readonly micro: MicroReport | null;
  /** The tables as printed. */
  readonly text: string;
}

function writeResults(options: BenchOptions, machine: object, caption: string, all: Outcome): void {
  const folder = options.outFolder ?? join(projectRoot, 'bench/results');
  const name = options.jumbo ? 'latest-jumbo' : 'latest';
  mkdirSync(folder, { recursive: true });
  const { date, samples, systems, skipped, targets, micro } = all;
  const medians = Object.fromEntries(systems.map(({ id }) => [id, mediansOf(samples, id)]));
  const content = { date, machine, options, targets, medians, skipped, micro, samples };
  writeFileSync(join(folder, `${name}.json`), `${JSON.stringify(content, null, 1)}\n`);
  const stages = micro === null ? '' : `\nmicro benchmarks\n${micro.text}\n`;
  const busy = samples.filter(({ busyBefore }) => busyBefore > QUIET_SHARE).length;
  const quiet = `${samples.length} measurements, ${busy} of them disturbed by other work`;
  writeFileSync(join(folder, `${name}.txt`), `${caption}\n${quiet}\n\n${all.text}${stages}`);
  if (samples.length > 0) {
    writeFileSync(join(folder, `${name}.svg`), drawChart(samples, systems, caption));
  }
  say(`written: ${join(folder, name)}.json`);
}

async function main(options: BenchOptions): Promise<void> {
  const machine = describeMachine();
  const date = new Date().toISOString().slice(0, 10);
  console.log(machineLine(machine, date));
  if (machine.loadBefore > BUSY_LOAD) {
    say(`load is ${machine.loadBefore.toFixed(1)} before the run: other work disturbs the figures`);
  }
  const skipped: Skipped[] = [];
  const chosen = chosenSystems(options);
  if (chosen.length === 0 && !options.microOnly) {
    console.error(`--only ${options.only.join(',')} names no system; see --list`);
    process.exitCode = 2;
    return;
  }
  const systems = await usable(chosen, options, skipped);
  const samples = await runRounds(systems, options, skipped);
  const micro = options.micro ? await runMicro(showStep) : null;
  const disturbed = samples.filter(({ busyBefore }) => busyBefore > QUIET_SHARE).length;
  if (disturbed > 0) {
    say(`${disturbed} of ${samples.length} measurements were disturbed by other work`);
  }
  const targets = targetsOf(samples, {
    heapMbPerMillionFrames: micro?.heapMbPerMillionFrames ?? null,
    residentMbHundredPeers: micro?.residentMbHundredPeers ?? null,
  });
  if (micro !== null) say(`micro benchmarks\n${micro.text}`);
  const lines = [formatResults(samples, systems, targets), ''];
  for (const { system, reason } of skipped) lines.push(`skipped ${system}: ${reason}`);
  const text = lines.join('\n');
  console.log(`\n${text}`);
  const all: Outcome = { date, samples, systems, skipped, targets, micro, text };
  writeResults(options, machine, machineLine(machine, date), all);
  const missed = targets.filter(({ reached }) => reached === false);
  process.exitCode = options.check && missed.length > 0 ? 1 : 0;
}

const request = parseBenchOptions(process.argv.slice(2));
if (request.kind === 'usage') {
  console.log(request.error === null ? USAGE : `${request.error}\n${USAGE}`);
  process.exitCode = request.error === null ? 0 : 2;
} else if (request.kind === 'list') {
  for (const { id, group, label, needs } of SYSTEMS) {
    const packages = [...new Set(Object.values(needs))].join(', ');
    console.log(`${id.padEnd(22)}${group.padEnd(10)}${label.padEnd(48)}${packages}`);
  }
} else if (process.getuid?.() !== 0) {
  console.error('The benchmark makes network namespaces and needs root.');
  process.exitCode = 2;
} else {
  await main(request.options);
}
