#!/usr/bin/env node
/**
 * Measures a mesh of two routers on this machine: how fast they start and connect, what they weigh,
 * and how much TCP they carry. Optionally the original beside ours, in the same run.
 *
 *   node dist/bench/mesh.js [--seconds 10] [--rounds 3] [--real PATH] [--json FILE] [--check]
 */
import { spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { availableParallelism, cpus } from 'node:os';
import { parseArgs } from 'node:util';
import { Lab } from '../test/support/lab.js';
import { type Host, ownRouter, type RouterKind } from '../test/support/lab-host.js';
import { switchedHosts } from '../test/support/lab-topologies.js';
import { Workload } from '../test/support/lab-workload.js';
import { realRouter } from '../test/support/real-router.js';
import { FINE_INTERVAL_MS, holdFor, waitFor } from '../test/support/wait.js';

const WORKLOAD_MTU = 1376;
const IDLE_MS = 5_000;
const PASSWORD = 'a-password-of-the-benchmark';
const LIMITS = { startMs: 1000, handshakeMs: 500, idleMegabytes: 120 } as const;

interface Contender {
  readonly label: string;
  readonly kind: RouterKind;
}

/** One round of one contender with or without a password. */
interface Round {
  readonly contender: string;
  readonly sealed: boolean;
  readonly startMs: number;
  readonly handshakeMs: number;
  readonly idleMegabytes: number;
  readonly megabits: number;
  /** Processor seconds of both routers for each second of the transfer. */
  readonly routerCpus: number;
  readonly retransmits: number;
}

const { values: options } = parseArgs({
  options: {
    seconds: { type: 'string', default: '10' },
    rounds: { type: 'string', default: '3' },
    real: { type: 'string', default: '' },
    json: { type: 'string', default: '' },
    check: { type: 'boolean', default: false },
  },
});

function requirements(): string[] {
  const missing = ['ip', 'nft', 'iperf3', 'ping', 'ethtool'].filter(
    (tool) => spawnSync('sh', ['-c', `command -v ${tool}`]).status !== 0,
  );
  if (process.getuid?.() !== 0) missing.push('root');
  return missing;
}

/** From the request to connect until this end reports the connection as established. */
async function timeHandshake(from: Host, to: Host): Promise<number> {
  const form = { 'Content-Type': 'application/x-www-form-urlencoded' };
  const startedMs = performance.now();
  await from.api('POST', '/connect', `peer=${to.address}`, form);
  const established = async (): Promise<boolean> =>
    (await from.connections()).some(({ State }) => State === 'established');
  await waitFor('established connection', 20_000, established, FINE_INTERVAL_MS);
  return performance.now() - startedMs;
}

interface Transfer {
  readonly megabits: number;
  readonly retransmits: number;
}

/** What `iperf3 -J` prints; without sums when the test did not come about. */
interface IperfReport {
  readonly end: {
    readonly sum_received?: { readonly bits_per_second: number };
    readonly sum_sent?: { readonly retransmits: number };
  };
}

async function transfer(from: Workload, to: Workload, seconds: number): Promise<Transfer> {
  const { lab } = from.host;
  const server = lab.start(to.netns, ['iperf3', '-s'], { label: 'iperf3-server' });
  const timeoutMs = (seconds + 20) * 1000;
  const result = await waitFor('iperf3', 2 * timeoutMs, async () => {
    const argv = ['iperf3', '-J', '-c', to.address, '-t', `${seconds}`, '-O', '1'];
    const client = await from.exec(argv, { timeoutMs });
    const { sum_received, sum_sent } = (JSON.parse(client.stdout) as IperfReport).end;
    // Until the server listens, the client ends at once.
    if (sum_received === undefined || sum_sent === undefined) return null;
    return { megabits: sum_received.bits_per_second / 1e6, retransmits: sum_sent.retransmits };
  });
  server.kill('SIGTERM');
  return result;
}

async function measure(contender: Contender, sealed: boolean, seconds: number): Promise<Round> {
  const lab = new Lab();
  try {
    const kinds = [contender.kind, contender.kind];
    const hosts = switchedHosts(lab, 2, { kinds }).hosts as [Host, Host];
    const [h1, h2] = hosts;
    const start = sealed ? { password: PASSWORD } : {};
    const startMs = Math.min(await h1.startRouter(start), await h2.startRouter(start));
    const handshakeMs = await timeHandshake(h2, h1);
    await holdFor(IDLE_MS);
    const idleMegabytes = h1.residentBytes() / 1024 / 1024;
    const [w1, w2] = hosts.map((host, index) =>
      Workload.plug(host, `w${index + 1}`, `10.40.0.${index + 1}/16`, WORKLOAD_MTU),
    ) as [Workload, Workload];
    await waitFor('first answer', 10_000, () => w1.reaches(w2.address));
    const cpuBefore = h1.cpuSeconds() + h2.cpuSeconds();
    const { megabits, retransmits } = await transfer(w1, w2, seconds);
    const routerCpus = (h1.cpuSeconds() + h2.cpuSeconds() - cpuBefore) / (seconds + 1);
    const contenderLabel = contender.label;
    return {
      contender: contenderLabel,
      sealed,
      ...{ startMs, handshakeMs, idleMegabytes, megabits, routerCpus, retransmits },
    };
  } finally {
    lab.close();
  }
}

function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] ?? Number.NaN;
}

type Measure = 'startMs' | 'handshakeMs' | 'idleMegabytes' | 'megabits' | 'routerCpus';
const ROWS: readonly { key: Measure; label: string; digits: number; sealed: boolean }[] = [
  { key: 'startMs', label: 'start to API answering, ms', digits: 0, sealed: true },
  { key: 'handshakeMs', label: 'connect to established, ms', digits: 0, sealed: true },
  { key: 'idleMegabytes', label: 'resident memory, one peer, MB', digits: 1, sealed: true },
  { key: 'megabits', label: 'TCP with password, Mbit/s', digits: 0, sealed: true },
  { key: 'routerCpus', label: '  processors used by both routers', digits: 2, sealed: true },
  { key: 'megabits', label: 'TCP in the clear, Mbit/s', digits: 0, sealed: false },
  { key: 'routerCpus', label: '  processors used by both routers', digits: 2, sealed: false },
];

function printTable(rounds: readonly Round[], labels: readonly string[]): void {
  console.log(
    `\n${'median of all rounds'.padEnd(36)}${labels.map((l) => l.padStart(12)).join('')}`,
  );
  for (const { key, label, digits, sealed } of ROWS) {
    const cells = labels.map((contender) => {
      const values = rounds.filter((r) => r.contender === contender && r.sealed === sealed);
      return median(values.map((round) => round[key])).toFixed(digits);
    });
    console.log(`${label.padEnd(36)}${cells.map((cell) => cell.padStart(12)).join('')}`);
  }
}

/** @returns sentences about limits that ours does not keep. */
function overLimits(rounds: readonly Round[]): string[] {
  const of = (contender: string, key: Measure): number =>
    median(rounds.filter((r) => r.contender === contender && r.sealed).map((r) => r[key]));
  const over = (Object.keys(LIMITS) as (keyof typeof LIMITS)[])
    .filter((key) => of('ours', key) >= LIMITS[key])
    .map((key) => `${key} is ${of('ours', key).toFixed(0)}, the limit ${LIMITS[key]}`);
  if (of('ours', 'megabits') < of('original', 'megabits')) over.push('slower than the original');
  return over;
}

const missing = requirements();
if (missing.length > 0) {
  console.error(`the benchmark needs: ${missing.join(', ')}`);
  process.exit(2);
}
const contenders: Contender[] = [{ label: 'ours', kind: ownRouter }];
if (options.real !== '') contenders.push({ label: 'original', kind: realRouter(options.real) });
const rounds: Round[] = [];
for (let index = 1; index <= Number(options.rounds); index += 1) {
  for (const sealed of [true, false]) {
    // Contenders take turns, so that a slow minute of the machine does not hit only one of them.
    for (const contender of contenders) {
      const round = await measure(contender, sealed, Number(options.seconds));
      rounds.push(round);
      const { megabits, startMs, handshakeMs } = round;
      console.log(
        `round ${index} ${contender.label.padEnd(8)} ${sealed ? 'password' : 'clear   '} ` +
          `${megabits.toFixed(0)} Mbit/s, start ${startMs.toFixed(0)} ms, ` +
          `handshake ${handshakeMs.toFixed(0)} ms, ${round.retransmits} retransmits`,
      );
    }
  }
}
printTable(
  rounds,
  contenders.map(({ label }) => label),
);
const machine = {
  cpu: cpus()[0]?.model ?? '',
  processors: availableParallelism(),
  node: process.version,
};
if (options.json !== '') writeFileSync(options.json, `${JSON.stringify({ machine, rounds })}\n`);
console.log(JSON.stringify({ machine, rounds }));
const over = overLimits(rounds);
for (const sentence of over) console.log(`over the limit: ${sentence}`);
process.exitCode = options.check && over.length > 0 ? 1 : 0;
