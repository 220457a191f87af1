#!/usr/bin/env node
/**
 * A name server under bad packets, with a verdict: it answers what is asked between them, counts
 * each of them, keeps its thread, and its memory stays flat. As root.
 *
 *   node dist/bench/soak/dns.js [--packets 1000000] [--seed 1]
 *
 *   [h1] router ── switch ── [h2] dns-sender.ts, from two addresses, one of them a stranger's
 *                              └─ dns-resolver.ts, which is what h1 asks about other names
 */
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { Lab } from '../../test/support/lab.js';
import type { Host } from '../../test/support/lab-host.js';
import { switchedHosts } from '../../test/support/lab-topologies.js';
import { holdFor, waitFor } from '../../test/support/wait.js';
import type { SendReport } from './dns-sender.js';
import { type DnsSample, type DnsSoakResult, judgeDns } from './dns-verdict.js';

const here = dirname(fileURLToPath(import.meta.url));
const STRETCHES = 20;
const STRETCH_LIMIT_MS = 600_000;
/** Questions to the resolver take 5 s at most, and each goes twice. */
const SETTLE_LIMIT_MS = 30_000;
/** Sockets of answered questions are closed after the answer. */
const REST_MS = 1000;
const NAME = 'good.weave.local';
const ADDRESS = '10.32.7.7';
/** Known to h2 alone. */
const STRANGER = '203.0.113.9';
const FAULT_LINES = /^ERRO: |name server is replaced|^\S*Error\b/;

const { values } = parseArgs({
  options: {
    packets: { type: 'string', default: '1000000' },
    seed: { type: 'string', default: '1' },
  },
});
const packets = Number(values.packets);
if (!(Number.isInteger(packets) && packets >= STRETCHES) || !/^\d{1,6}$/.test(values.seed)) {
  console.error(`usage: soak dns [--packets N, ${STRETCHES} at least] [--seed N]`);
  process.exit(2);
}

interface Counts {
  readonly counted: number;
  readonly forwarded: number;
}

async function countsOf(host: Host): Promise<Counts> {
  const { body } = await host.api('GET', '/metrics');
  const sum = (name: string): number =>
    [...body.matchAll(new RegExp(`^${name}(?:\\{.*\\})? (\\d+)$`, 'gm'))].reduce(
      (total, match) => total + Number(match[1]),
      0,
    );
  return {
    counted: sum('weave_dns_queries_total') + sum('weave_dns_drops_total'),
    forwarded: sum('weave_dns_forwarded_total'),
  };
}

const descriptorsOf = (host: Host): number => readdirSync(`/proc/${host.router?.pid}/fd`).length;

async function sample(host: Host, startedMs: number): Promise<DnsSample> {
  return {
    seconds: (performance.now() - startedMs) / 1000,
    residentMb: host.residentBytes() / 2 ** 20,
    descriptors: descriptorsOf(host),
    counted: (await countsOf(host)).counted,
  };
}

async function setUp(lab: Lab): Promise<readonly [Host, Host]> {
  const [h1, h2] = switchedHosts(lab, 2).hosts as [Host, Host];
  lab.ip(h2.netns, [`addr add ${STRANGER}/32 dev lo`]);
  lab.ip(h1.netns, [`route add ${STRANGER}/32 via ${h2.address}`]);
  const resolver = [process.execPath, join(here, 'dns-resolver.js'), h2.address];
  lab.start(h2.netns, resolver, { label: 'resolver' });
  const resolvConf = join(h1.folder, 'resolv.conf');
  writeFileSync(resolvConf, `nameserver ${h2.address}\n`);
  await h1.startRouter({ args: ['--resolv-conf', resolvConf] });
  await h1.weaveOk('dns-add', ADDRESS, '-h', NAME);
  for (let i = 0; i < 40; i += 1) {
    await h1.api('PUT', `/name/c/10.32.0.${i + 1}`, 'fqdn=many.weave.local', {
      'Content-Type': 'application/x-www-form-urlencoded',
    });
  }
  return [h1, h2];
}

/** One stretch of packets by number. @throws Error with what the sender said. */
async function sendStretch(
  lab: Lab,
  [h1, h2]: readonly [Host, Host],
  { first, count }: { first: number; count: number },
): Promise<SendReport> {
  const words = [h1.address, NAME, ADDRESS, STRANGER, values.seed, first, count].map(String);
  const argv = [process.execPath, join(here, 'dns-sender.js'), ...words];
  const { code, stdout, stderr } = await lab.exec(h2.netns, argv, { timeoutMs: STRETCH_LIMIT_MS });
  if (code !== 0) throw new Error(stderr.split('\n').find((line) => /Error/.test(line)) ?? stderr);
  return JSON.parse(stdout) as SendReport;
}

async function run(lab: Lab): Promise<DnsSoakResult> {
  const hosts = await setUp(lab);
  const [h1] = hosts;
  const before = await countsOf(h1);
  const startedMs = performance.now();
  const totals = { datagrams: 0, messages: 0, questions: 0, repeated: 0, slowestMs: 0 };
  const samples = [await sample(h1, startedMs)];
  let failure: string | null = null;
  for (let stretch = 0; stretch < STRETCHES && failure === null; stretch += 1) {
    const first = Math.floor((packets * stretch) / STRETCHES);
    const count = Math.floor((packets * (stretch + 1)) / STRETCHES) - first;
    try {
      const report = await sendStretch(lab, hosts, { first, count });
      for (const key of ['datagrams', 'messages', 'questions', 'repeated'] as const) {
        totals[key] += report[key];
      }
      totals.slowestMs = Math.max(totals.slowestMs, report.slowestMs);
    } catch (error) {
      failure = error instanceof Error ? error.message : String(error);
    }
    if (h1.router?.running() !== true) break;
    const now = await sample(h1, startedMs);
    samples.push(now);
    const rate = (first + count) / now.seconds;
    console.log(
      `${now.seconds.toFixed(0).padStart(5)} s  ${first + count} packets, ${rate.toFixed(0)}/s  ` +
        `${now.residentMb.toFixed(1)} MB  ${now.descriptors} fds`,
    );
  }
  const isRunning = h1.router?.running() === true;
  const wanted = before.counted + totals.datagrams + totals.questions - totals.repeated;
  if (isRunning) {
    // Those that wait for the resolver; a server that never gets there is judged below.
    const settled = async () => (await countsOf(h1)).counted >= wanted;
    await waitFor('count', SETTLE_LIMIT_MS, settled, 500).catch(() => {});
    await holdFor(REST_MS);
  }
  const log = readFileSync(h1.router?.logPath ?? '', 'utf8').split('\n');
  const after = isRunning ? await countsOf(h1) : before;
  return {
    ...totals,
    samples,
    descriptorsAfter: isRunning ? descriptorsOf(h1) : 0,
    counted: after.counted - before.counted,
    forwarded: after.forwarded - before.forwarded,
    failure,
    isRunning,
    faults: log.filter((line) => FAULT_LINES.test(line)),
  };
}

const lab = new Lab();
try {
  const result = await run(lab);
  for (const line of result.faults.slice(0, 20)) console.log(line);
  const findings = judgeDns(result);
  for (const { what, ok, detail } of findings) {
    console.log(`${ok ? 'ok    ' : 'FAILED'} ${what}: ${detail}`);
  }
  const healthy = findings.every(({ ok }) => ok);
  console.log(healthy ? 'VERDICT: healthy' : 'VERDICT: ill');
  process.exitCode = healthy ? 0 : 1;
} finally {
  lab.close();
}
