#!/usr/bin/env node
/**
 * Mixed load over two routers for a long time, with a verdict: memory flat, no descriptor leaks,
 * nothing stuck, no faults. As root.
 *
 *   node dist/bench/soak.js [--minutes 60] [--every SECONDS] [--tcp] [--megabits N] [--plain]
 *                           [--real BINARY] [-- OPTION_OF_WEAVER…]
 *
 * With --real the second host runs the original's router, which only has to keep going.
 *
 *   w1 10.40.0.1 ── [h1] ── switch ── [h2] ── 10.40.0.2 w2
 */
import { readdirSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { attachOneEach, PASSWORD, startMesh } from '../test/support/e2e.js';
import { Lab } from '../test/support/lab.js';
import { type Host, ownRouter } from '../test/support/lab-host.js';
import { switchedHosts } from '../test/support/lab-topologies.js';
import { Workload } from '../test/support/lab-workload.js';
import { realRouter } from '../test/support/real-router.js';
import { waitFor } from '../test/support/wait.js';
import { MixedLoad } from './soak/load.js';
import { judge, type SoakSample } from './soak/verdict.js';

/** The original's; ours is told nothing else. */
const WORKLOAD_MTU = 1376;
const REPORT_LIMIT_MS = 60_000;
const FAULT_COUNTERS = ['loopErrors', 'receiveFailures', 'tapMalformed', 'tapWriteFailures'];
const FAULT_DROPS = ['forged', 'replayed', 'epoch-unknown', 'tap-refused'];

interface SoakReport {
  readonly Router: {
    readonly Connections: readonly { readonly State: string }[] | null;
    readonly OverlayDiagnostics: {
      readonly sleeve: { readonly Io: Readonly<Record<string, number>> };
    };
  };
  readonly WeaveNet: {
    readonly DataPlane: {
      readonly Engine: string;
      readonly EngineReason: string;
      readonly Drops: Readonly<Record<string, number>>;
    };
  };
}

const { values, positionals } = parseArgs({
  options: {
    minutes: { type: 'string', default: '60' },
    every: { type: 'string', default: '' },
    tcp: { type: 'boolean', default: false },
    megabits: { type: 'string', default: '' },
    plain: { type: 'boolean', default: false },
    real: { type: 'string', default: '' },
  },
  allowPositionals: true,
});
const seconds = Math.round(Number(values.minutes) * 60);
const everySeconds = Number(values.every || Math.max(2, Math.min(30, seconds / 30)));
const isRateWrong = values.megabits !== '' && !(Number(values.megabits) > 0);
if (!(seconds >= 10) || !(everySeconds >= 1) || isRateWrong) {
  console.error(
    'usage: soak [--minutes N] [--every SECONDS] [--tcp] [--megabits N] [--plain] [--real BINARY] ' +
      '[-- OPTION_OF_WEAVER…]',
  );
  process.exit(2);
}

/** A report that is late on a machine with other work is no fault; one that never comes is. */
const reportOf = (host: Host): Promise<SoakReport> =>
  waitFor(
    `report of ${host.label}`,
    REPORT_LIMIT_MS,
    async () => (await host.report()) as unknown as SoakReport,
  );

async function sample(host: Host, startedMs: number): Promise<SoakSample> {
  const { Router, WeaveNet } = await reportOf(host);
  const io = Router.OverlayDiagnostics.sleeve.Io;
  const count = (name: string): number => io[name] ?? 0;
  const faults: Record<string, number> = {};
  for (const name of FAULT_COUNTERS) faults[name] = count(name);
  for (const name of FAULT_DROPS) faults[name] = WeaveNet.DataPlane.Drops[name] ?? 0;
  return {
    seconds: (performance.now() - startedMs) / 1000,
    residentMb: host.residentBytes() / 2 ** 20,
    descriptors: readdirSync(`/proc/${host.router?.pid}/fd`).length,
    rounds: count('rounds'),
    tapReads: count('tapReads'),
    tapWrites: count('tapWrites'),
    tapWriteBatches: count('tapWriteBatches'),
    datagramsReceived: count('datagramsReceived'),
    faults,
    established: (Router.Connections ?? []).filter(({ State }) => State === 'established').length,
  };
}

function show(host: Host, now: SoakSample, last: SoakSample | undefined): void {
  const span = now.seconds - (last?.seconds ?? 0);
  const rate = (counter: 'tapReads' | 'datagramsReceived'): string =>
    ((now[counter] - (last?.[counter] ?? 0)) / span).toFixed(0);
  console.log(
    `${now.seconds.toFixed(0).padStart(5)} s  ${host.label}  ${now.residentMb.toFixed(1)} MB  ` +
      `${now.descriptors} fds  ${rate('tapReads')} reads/s  ` +
      `${rate('datagramsReceived')} datagrams/s`,
  );
}

/** Two hosts with a connection, and a workload on each. */
async function setUp(lab: Lab): Promise<{ hosts: Host[]; workloads: [Workload, Workload] }> {
  const password = values.plain ? {} : { password: PASSWORD };
  if (values.real === '') {
    const { hosts } = switchedHosts(lab, 2);
    await startMesh(hosts, { ...password, args: positionals });
    return { hosts, workloads: (await attachOneEach(hosts)) as [Workload, Workload] };
  }
  const { hosts } = switchedHosts(lab, 2, { kinds: [ownRouter, realRouter(values.real)] });
  const [h1, h2] = hosts as [Host, Host];
  await h1.startRouter({ ...password, args: positionals });
  await h2.startRouter({ ...password, peers: [h1.address] });
  await h1.waitEstablished(h2);
  const plug = (host: Host, index: number): Workload =>
    Workload.plug(host, `w${index}`, `10.40.0.${index}/16`, WORKLOAD_MTU);
  return { hosts, workloads: [plug(h1, 1), plug(h2, 2)] };
}

async function soak(lab: Lab): Promise<boolean> {
  const { hosts, workloads } = await setUp(lab);
  const [w1, w2] = workloads;
  const ours = hosts.filter((host) => host.kind === ownRouter);
  await waitFor('first answer', 10_000, () => w1.reaches(w2.address));
  const load = new MixedLoad(w1, w2, {
    tcpOnly: values.tcp,
    megabits: values.megabits === '' ? null : Number(values.megabits),
  });
  const startedMs = performance.now();
  // It begins a second later and outlasts the samples.
  load.start(seconds + Math.ceil(everySeconds));
  await delay(3000);
  const samples = new Map<Host, SoakSample[]>(ours.map((host) => [host, []]));
  for (let atMs = 0; atMs <= seconds * 1000; atMs += everySeconds * 1000) {
    await delay(Math.max(0, startedMs + 3000 + atMs - performance.now()));
    if (performance.now() - startedMs > seconds * 1000) break;
    for (const [host, list] of samples) {
      const now = await sample(host, startedMs);
      show(host, now, list.at(-1));
      list.push(now);
    }
  }
  await load.end();
  let ok = load.faults.length === 0 && hosts.every((host) => host.router?.running());
  for (const total of load.totals) console.log(`stream  ${total}`);
  for (const fault of load.faults) console.log(`FAILED  load: ${fault}`);
  for (const [host, list] of samples) {
    const { Engine, EngineReason } = (await reportOf(host)).WeaveNet.DataPlane;
    console.log(`${host.label}: ${Engine} (${EngineReason})`);
    for (const finding of judge(list, Engine === 'io_uring')) {
      ok &&= finding.ok;
      console.log(`${finding.ok ? 'ok    ' : 'FAILED'}  ${finding.what}: ${finding.detail}`);
    }
  }
  return ok;
}

const lab = new Lab();
try {
  const ok = await soak(lab);
  console.log(ok ? 'VERDICT: sound' : 'VERDICT: not sound');
  process.exitCode = ok ? 0 : 1;
} finally {
  lab.close();
}
