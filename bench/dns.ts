#!/usr/bin/env node
/**
 * `npm run bench -- dns`: our name server beside dnsmasq with the same names, asked by dnsperf, in
 * one run. The two take turns. For the throughput each gets one processor, dnsperf the other; then
 * ours is asked at half of its rate while two routers carry as much TCP as they can.
 *
 *   node dist/bench/dns.js [--seconds 5] [--rounds 3] [--json FILE] [--check]
 *
 *   [h1] router 10.9.0.1, dnsmasq 10.9.0.2, dnsperf      w1 ── overlay ── w2, iperf3
 *    └──────── [h2] router; dnsmasq as resolver of h1
 */
import { spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { waitFullMesh } from '../test/support/e2e.js';
import { type BackgroundProcess, Lab } from '../test/support/lab.js';
import type { Host } from '../test/support/lab-host.js';
import { switchedHosts } from '../test/support/lab-topologies.js';
import { Workload } from '../test/support/lab-workload.js';
import { runOk } from '../test/support/shell.js';
import { holdFor, waitFor } from '../test/support/wait.js';
import { describeMachine, machineLine } from './machine.js';
import { QUIET_SHARE, waitQuiet } from './measure/quiet.js';
import { parseDnsperf } from './parse-dnsperf.js';
import { median } from './statistics.js';

const NAMES = 1000;
const OURS = '10.9.0.1';
const DNSMASQ = '10.9.0.2';
const PASSWORD = 'a-password-of-the-benchmark';
const FORM = { 'Content-Type': 'application/x-www-form-urlencoded' };
/** Low enough that only the way through the server counts. */
const FORWARD_RATE = 200;
/** How long a round waits for the machine to come to rest. */
const QUIET_LIMIT_MS = 15_000;
const LIMITS = { shareOfDnsmasq: 0.5, p99Ms: 5, addedMs: 1 } as const;

const { values: options } = parseArgs({
  options: {
    seconds: { type: 'string', default: '5' },
    rounds: { type: 'string', default: '3' },
    json: { type: 'string', default: '' },
    check: { type: 'boolean', default: false },
  },
});
const seconds = Number(options.seconds);

function requirements(): string[] {
  const missing = ['ip', 'nft', 'dnsmasq', 'dnsperf', 'iperf3', 'taskset'].filter(
    (tool) => spawnSync('sh', ['-c', `command -v ${tool}`]).status !== 0,
  );
  if (process.getuid?.() !== 0) missing.push('root');
  return missing;
}

const nameOf = (index: number): string => `n${index}.weave.local`;
const addressOf = (index: number): string => `10.1.${index >> 8}.${index & 255}`;

function startDnsmasq(host: Host, address: string, words: readonly string[]): BackgroundProcess {
  const argv = [
    ...['dnsmasq', '--keep-in-foreground', '--conf-file=/dev/null', '--no-hosts', '--no-resolv'],
    ...[`--listen-address=${address}`, '--bind-interfaces', '--pid-file=', '--user=root'],
  ];
  return host.lab.start(host.netns, [...argv, ...words], { label: `dnsmasq-${address}` });
}

interface Setting {
  readonly lab: Lab;
  readonly h1: Host;
  readonly h2: Host;
  readonly workloads: readonly [Workload, Workload];
  readonly dnsmasq: BackgroundProcess;
  readonly localQueries: string;
  readonly otherQueries: string;
}

async function setUp(lab: Lab): Promise<Setting> {
  const { hosts } = switchedHosts(lab, 2);
  const [h1, h2] = hosts as [Host, Host];
  lab.ip(h1.netns, [`addr add ${OURS}/24 dev lo`, `addr add ${DNSMASQ}/24 dev lo`]);
  const file = (name: string, lines: readonly string[]): string => {
    const path = join(lab.folder, name);
    writeFileSync(path, lines.map((line) => `${line}\n`).join(''));
    return path;
  };
  const all = Array.from({ length: NAMES }, (_, index) => index);
  const resolvConf = file('resolv.conf', [`nameserver ${h2.address}`]);
  const table = file(
    'hosts',
    all.map((index) => `${addressOf(index)} ${nameOf(index)}`),
  );
  const listen = ['--dns-listen-address', `${OURS}:53`, '--resolv-conf', resolvConf];
  startDnsmasq(h2, h2.address, ['--address=/example/192.0.2.80']);
  await h1.startRouter({ password: PASSWORD, args: listen });
  await h2.startRouter({ password: PASSWORD, args: ['--no-dns'], peers: [h1.address] });
  await waitFullMesh(hosts);
  for (const index of all) {
    await h1.api('PUT', `/name/c/${addressOf(index)}`, `fqdn=${nameOf(index)}`, FORM);
  }
  const w1 = await Workload.attach(h1, 'w1', '10.77.0.1/24');
  const w2 = await Workload.attach(h2, 'w2', '10.77.0.2/24');
  return {
    ...{ lab, h1, h2, workloads: [w1, w2] as const },
    dnsmasq: startDnsmasq(h1, DNSMASQ, [`--addn-hosts=${table}`, '--local-ttl=1']),
    localQueries: file(
      'local.txt',
      all.map((index) => `${nameOf(index)} A`),
    ),
    otherQueries: file(
      'other.txt',
      all.map((index) => `w${index}.example A`),
    ),
  };
}

/** Binds all threads of a process to processors. */
const pin = (pid: number, processors: string): string =>
  spawnSync('taskset', ['-acp', processors, `${pid}`], { encoding: 'utf8' }).stderr;

async function ask(
  { h1 }: Setting,
  server: string,
  queries: string,
  words: readonly string[],
): Promise<ReturnType<typeof parseDnsperf>> {
  // It stands for another machine: its own wait for a processor is not the server's latency.
  const dnsperf = ['nice', '-n', '-15', 'dnsperf'];
  const argv = [...dnsperf, '-s', server, '-d', queries, '-l', `${seconds}`, ...words];
  const timeoutMs = (seconds + 30) * 1000;
  const inside = ['ip', 'netns', 'exec', h1.netns, ...argv];
  return parseDnsperf(await runOk(inside, { timeoutMs }));
}

/** Queries per second with one processor for the server and the other for dnsperf. */
async function rate(setting: Setting, server: string, pid: number): Promise<number> {
  pin(pid, '0');
  const words = ['-c', '8', '-T', '1', '-q', '200'];
  const argv = ['taskset', '-c', '1', 'dnsperf', '-s', server, '-d', setting.localQueries];
  const inside = ['ip', 'netns', 'exec', setting.h1.netns, ...argv, '-l', `${seconds}`, ...words];
  const { perSecond } = parseDnsperf(await runOk(inside, { timeoutMs: (seconds + 30) * 1000 }));
  pin(pid, '0-1');
  return perSecond;
}

/** @returns the latency of local names at half of the rate, and what was carried meanwhile. */
async function underTraffic(setting: Setting, perSecond: number) {
  const { lab } = setting;
  const [w1, w2] = setting.workloads;
  const server = lab.start(w2.netns, ['iperf3', '-s'], { label: 'iperf3' });
  await waitFor('way to w2', 10_000, () => w1.reaches(w2.address));
  const client = w1.exec(['iperf3', '-J', '-c', w2.address, '-t', `${seconds + 2}`]);
  await holdFor(1000);
  const words = ['-c', '4', '-T', '1', '-Q', `${Math.floor(perSecond / 2)}`, '-v'];
  const latency = await ask(setting, OURS, setting.localQueries, words);
  const sums = JSON.parse((await client).stdout) as {
    end: { sum_received?: { bits_per_second: number } };
  };
  server.kill('SIGTERM');
  return { ...latency, megabits: (sums.end.sum_received?.bits_per_second ?? 0) / 1e6 };
}

/** Milliseconds that the way through our server adds to what the resolver takes, medians. */
async function forwarding(setting: Setting): Promise<{ direct: number; through: number }> {
  const words = ['-c', '1', '-T', '1', '-Q', `${FORWARD_RATE}`, '-v'];
  const direct = await ask(setting, setting.h2.address, setting.otherQueries, words);
  const through = await ask(setting, OURS, setting.otherQueries, words);
  return { direct: direct.p50Ms, through: through.p50Ms };
}

async function measure(setting: Setting) {
  const rounds = [];
  for (let round = 1; round <= Number(options.rounds); round++) {
    const busy = await waitQuiet(QUIET_LIMIT_MS);
    if (busy > QUIET_SHARE) console.log(`DISTURBED: other work takes ${Math.round(busy * 100)} %`);
    const ours = await rate(setting, OURS, setting.h1.router?.pid ?? -1);
    const dnsmasq = await rate(setting, DNSMASQ, setting.dnsmasq.pid);
    const loaded = await underTraffic(setting, ours);
    const { direct, through } = await forwarding(setting);
    const figures = { ours, dnsmasq, share: ours / dnsmasq, p50Ms: loaded.p50Ms };
    const rest = { p99Ms: loaded.p99Ms, lost: loaded.lostShare, megabits: loaded.megabits };
    rounds.push({ ...figures, ...rest, direct, through, addedMs: through - direct });
    console.log(
      `round ${round}: ours ${ours.toFixed(0)} q/s, dnsmasq ${dnsmasq.toFixed(0)} q/s, ` +
        `ratio ${(ours / dnsmasq).toFixed(2)}; at half of it beside ` +
        `${loaded.megabits.toFixed(0)} Mbit/s p50 ${loaded.p50Ms.toFixed(2)} ms, ` +
        `p99 ${loaded.p99Ms.toFixed(2)} ms, lost ${(loaded.lostShare * 100).toFixed(2)} %; ` +
        `forwarded p50 ${through.toFixed(2)} ms, resolver alone ${direct.toFixed(2)} ms`,
    );
  }
  return rounds;
}

const missing = requirements();
if (missing.length > 0) {
  console.error(`the benchmark needs: ${missing.join(', ')}`);
  process.exit(2);
}
const lab = new Lab();
let rounds: Awaited<ReturnType<typeof measure>>;
try {
  rounds = await measure(await setUp(lab));
} finally {
  lab.close();
}
type Key = keyof (typeof rounds)[number];
const middle = (key: Key): number => median(rounds.map((round) => round[key])) ?? Number.NaN;
const verdicts: readonly (readonly [string, string, number, boolean])[] = [
  [
    'local names, queries per second / dnsmasq',
    `at least ${LIMITS.shareOfDnsmasq}`,
    middle('share'),
    middle('share') >= LIMITS.shareOfDnsmasq,
  ],
  [
    'p99 at half load beside full traffic, ms',
    `below ${LIMITS.p99Ms}`,
    middle('p99Ms'),
    middle('p99Ms') < LIMITS.p99Ms,
  ],
  [
    'added to a forwarded query, p50, ms',
    `below ${LIMITS.addedMs}`,
    middle('addedMs'),
    middle('addedMs') < LIMITS.addedMs,
  ],
];
console.log(`\n${machineLine(describeMachine(), new Date().toISOString().slice(0, 10))}`);
console.log(`${'target'.padEnd(44)} ${'wanted'.padEnd(14)} is`);
for (const [what, wanted, is, reached] of verdicts) {
  const word = reached ? 'reached' : 'NOT REACHED';
  console.log(`${what.padEnd(44)} ${wanted.padEnd(14)} ${is.toFixed(2).padEnd(8)} ${word}`);
}
if (options.json !== '') writeFileSync(options.json, `${JSON.stringify({ rounds })}\n`);
process.exitCode = options.check && verdicts.some(([, , , reached]) => !reached) ? 1 : 0;
