#!/usr/bin/env node
/**
 * Changes of keys under full load: a TCP stream of a given rate between two routers that change
 * keys every two minutes; throughput by the second, and every datagram accounted for. As root.
 *
 *   node dist/bench/rekey.js [--megabits 2400] [--changes 1] [-- OPTION_OF_WEAVER…]
 *
 *   w1 10.40.0.1 ── [h1] ── switch ── [h2] ── 10.40.0.2 w2
 */
import { readFileSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { attachOneEach, PASSWORD, startMesh } from '../test/support/e2e.js';
import { Lab } from '../test/support/lab.js';
import type { Host } from '../test/support/lab-host.js';
import { switchedHosts } from '../test/support/lab-topologies.js';
import type { Workload } from '../test/support/lab-workload.js';
import { type DataPlaneReport, dataPlaneOf } from '../test/support/transfers.js';
import { waitFor } from '../test/support/wait.js';
import { findChanges, judgeRekey, type RekeySample, type WayCounts } from './rekey/verdict.js';

/** The least that the router takes. */
const INTERVAL_SECONDS = 120;
/** After the last change, so that it has neighbours. */
const REST_SECONDS = 20;
const REPORT_LIMIT_MS = 60_000;
const SETTLE_LIMIT_MS = 15_000;
/** Longer than an unanswered path test is in the air. */
const SETTLE_STEP_MS = 250;
const SERVER_LIMIT_MS = 30_000;
const SEND_FAILURES = ['send-too-big', 'send-no-buffers'];
const REFUSALS = ['epoch-unknown', 'forged', 'replayed', 'lane-unknown'];

const { values, positionals } = parseArgs({
  options: {
    megabits: { type: 'string', default: '2400' },
    changes: { type: 'string', default: '1' },
  },
  allowPositionals: true,
});
const changesWanted = Number(values.changes);
const megabits = Number(values.megabits);
if (!Number.isInteger(changesWanted) || changesWanted < 1 || !(megabits >= 1)) {
  console.error('usage: rekey [--megabits N] [--changes N] [-- OPTION_OF_WEAVER…]');
  process.exit(2);
}
const seconds = changesWanted * INTERVAL_SECONDS + REST_SECONDS;

/** A count at one moment of all that one end sealed, opened, refused and lost. */
interface EndCounts {
  readonly plane: DataPlaneReport;
  /** For want of room in a socket's buffer, either way. */
  readonly socketDrops: number;
}

async function countsOf(host: Host): Promise<EndCounts> {
  const plane = await waitFor(`report of ${host.label}`, REPORT_LIMIT_MS, () => dataPlaneOf(host));
  return { plane, socketDrops: socketDropsOf(host) };
}

/** proc(5), /proc/net/snmp: two lines that start with `Udp:`, names and values. */
function socketDropsOf(host: Host): number {
  const text = readFileSync(`/proc/${host.router?.pid}/net/snmp`, 'utf8');
  const [names = [], numbers = []] = [...text.matchAll(/^Udp: (.*)$/gm)].map(([, row]) =>
    (row ?? '').split(' '),
  );
  const value = (name: string): number => Number(numbers[names.indexOf(name)] ?? 0);
  return value('RcvbufErrors') + value('SndbufErrors');
}

/** What happened between two moments on the way from one host to the other. */
function wayOf(
  way: string,
  from: readonly [EndCounts, EndCounts],
  to: readonly [EndCounts, EndCounts],
): WayCounts {
  const drops = (of: readonly [EndCounts, EndCounts], name: string): number =>
    (of[1].plane.Drops[name] ?? 0) - (of[0].plane.Drops[name] ?? 0);
  const unsent = SEND_FAILURES.reduce((sum, name) => sum + drops(from, name), 0);
  return {
    way,
    sealed: from[1].plane.DatagramsSealed - from[0].plane.DatagramsSealed,
    opened: to[1].plane.DatagramsOpened - to[0].plane.DatagramsOpened,
    kernelDrops: unsent + to[1].socketDrops - to[0].socketDrops,
    refused: Object.fromEntries(REFUSALS.map((name) => [name, drops(to, name)])),
  };
}

interface IperfOutput {
  readonly error?: string;
  readonly intervals?: readonly { readonly sum: { readonly bits_per_second: number } }[];
}

/** The stream and the counts of every second meanwhile. */
async function load(hosts: readonly Host[], w1: Workload, w2: Workload) {
  const { lab } = w1.host;
  const server = lab.start(w2.netns, ['iperf3', '-s'], { label: 'iperf3-server' });
  const argv = ['iperf3', '-J', '-c', w2.address, '-b', `${megabits}M`];
  await waitFor('iperf3 server', SERVER_LIMIT_MS, async () => {
    const { stdout } = await w1.exec([...argv, '-t', '1']);
    return (JSON.parse(stdout) as IperfOutput).error === undefined;
  });
  const startedMs = performance.now();
  let ended = false;
  const client = w1
    .exec([...argv, '-t', `${seconds}`, '-i', '1'], { timeoutMs: (seconds + 60) * 1000 })
    .finally(() => {
      ended = true;
    });
  const samples: RekeySample[] = [];
  for (let second = 0; !ended; second++) {
    const planes = await Promise.all(hosts.map(countsOf));
    const keyChanges = planes.reduce((sum, { plane }) => sum + plane.KeyChanges, 0);
    samples.push({ seconds: (performance.now() - startedMs) / 1000, keyChanges });
    if (second % 10 === 0) console.error(`${second} of ${seconds} s, ${keyChanges} key changes`);
    await delay(Math.max(0, startedMs + (second + 1) * 1000 - performance.now()));
  }
  const output = JSON.parse((await client).stdout) as IperfOutput;
  server.kill('SIGTERM');
  if (output.error !== undefined) throw new Error(`iperf3: ${output.error}`);
  const rates = (output.intervals ?? []).map(({ sum }) => sum.bits_per_second / 1e6);
  return { samples, rates };
}

async function bench(lab: Lab): Promise<boolean> {
  const { hosts } = switchedHosts(lab, 2);
  const [h1, h2] = hosts as [Host, Host];
  const args = ['--rekey-interval', `${INTERVAL_SECONDS}s`, ...positionals];
  await startMesh(hosts, { password: PASSWORD, args });
  const [w1, w2] = (await attachOneEach(hosts)) as [Workload, Workload];
  await waitFor('first answer', REPORT_LIMIT_MS, () => w1.reaches(w2.address));
  // The search for the path MTU sends what is meant to get lost.
  await waitFor('path MTU', REPORT_LIMIT_MS, async () => {
    const { Attrs } = await h1.waitEstablished(h2);
    return Attrs?.['mtu'] !== undefined;
  });
  const ways = ([a, b]: Ends, [c, d]: Ends): WayCounts[] => [
    wayOf('h1 → h2', [a, c], [b, d]),
    wayOf('h2 → h1', [b, d], [a, c]),
  ];
  const before = await settled(h1, h2);
  const { samples, rates } = await load(hosts, w1, w2);
  const after = await settled(h1, h2);
  console.log(`Mbit/s by the second: ${rates.map((rate) => rate.toFixed(0)).join(' ')}`);
  const findings = judgeRekey(findChanges(samples, rates), ways(before, after));
  for (const { ok, what, detail } of findings) {
    console.log(`${ok ? 'ok    ' : 'FAILED'}  ${what}: ${detail}`);
  }
  return findings.every(({ ok }) => ok);
}

type Ends = readonly [EndCounts, EndCounts];

/** Counts of a moment when nothing is under way: they stand still for a while. */
async function settled(h1: Host, h2: Host): Promise<Ends> {
  let last: Ends = [await countsOf(h1), await countsOf(h2)];
  const marks = ([a, b]: Ends): string =>
    [a, b].map(({ plane }) => `${plane.DatagramsSealed} ${plane.DatagramsOpened}`).join();
  await waitFor('quiet moment', SETTLE_LIMIT_MS, async () => {
    await delay(SETTLE_STEP_MS);
    const now: Ends = [await countsOf(h1), await countsOf(h2)];
    const stood = marks(now) === marks(last);
    last = now;
    return stood;
  });
  return last;
}

const lab = new Lab();
try {
  const ok = await bench(lab);
  console.log(ok ? 'VERDICT: no datagram lost, no dip' : 'VERDICT: not met');
  process.exitCode = ok ? 0 : 1;
} finally {
  lab.close();
}
