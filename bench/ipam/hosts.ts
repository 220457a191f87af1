#!/usr/bin/env node
/**
 * Measures how fast hosts get addresses over the control API: one host alone, three at once, and
 * the first address after three have been started from nothing. Optionally the original beside
 * ours, in the same run.
 *
 *   node dist/bench/ipam/hosts.js [--rounds 3] [--count 1000] [--real PATH] [--json FILE]
 */
import { spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { Agent, request } from 'node:http';
import { availableParallelism, cpus } from 'node:os';
import { parseArgs } from 'node:util';
import { waitFullMesh } from '../../test/support/e2e.js';
import { Lab } from '../../test/support/lab.js';
import { type Host, ownRouter, type RouterKind } from '../../test/support/lab-host.js';
import { switchedHosts } from '../../test/support/lab-topologies.js';
import { realRouter } from '../../test/support/real-router.js';
import { FINE_INTERVAL_MS, waitFor } from '../../test/support/wait.js';

const HOSTS = 3;
const AT_ONCE = 32;
const ARGS = ['--ipalloc-range', '10.32.0.0/12', '--ipalloc-init', `consensus=${HOSTS}`];
const FIRST_DEADLINE_MS = 60_000;

interface Contender {
  readonly label: string;
  readonly kind: RouterKind;
}

interface Round {
  readonly contender: string;
  /** From the start of the first process until each host has an address. */
  readonly firstAddressMs: number;
  /** Allocations per second. */
  readonly oneByOne: number;
  readonly oneHost: number;
  readonly threeHosts: number;
}

const { values: options } = parseArgs({
  options: {
    rounds: { type: 'string', default: '3' },
    count: { type: 'string', default: '1000' },
    real: { type: 'string', default: '' },
    json: { type: 'string', default: '' },
  },
});

function requirements(): string[] {
  const missing = ['ip', 'nft', 'unshare'].filter(
    (tool) => spawnSync('sh', ['-c', `command -v ${tool}`]).status !== 0,
  );
  if (process.getuid?.() !== 0) missing.push('root');
  return missing;
}

function allocate(host: Host, ident: string, agent: Agent): Promise<string> {
  return new Promise((resolve, reject) => {
    const path = `/ip/${ident}`;
    const call = request({ socketPath: host.socketPath, method: 'POST', path, agent }, (answer) => {
      let body = '';
      answer.setEncoding('utf8').on('data', (chunk: string) => {
        body += chunk;
      });
      answer.on('end', () => {
        if (answer.statusCode === 200) resolve(body);
        else reject(new Error(`${host.label}: ${answer.statusCode} ${body}`));
      });
    });
    call.on('error', reject);
    call.end();
  });
}

/** @returns addresses given, by connections that are kept. */
async function load(host: Host, prefix: string, count: number, atOnce: number): Promise<string[]> {
  const agent = new Agent({ keepAlive: true, maxSockets: atOnce });
  const addresses: string[] = [];
  let next = 0;
  const work = async (): Promise<void> => {
    while (next < count) {
      const ident = `${prefix}-${next}`;
      next += 1;
      addresses.push(await allocate(host, ident, agent));
    }
  };
  await Promise.all(Array.from({ length: atOnce }, work));
  agent.destroy();
  return addresses;
}

async function perSecond(work: () => Promise<string[]>, all: string[]): Promise<number> {
  const startedMs = performance.now();
  const given = await work();
  all.push(...given);
  return (given.length * 1000) / (performance.now() - startedMs);
}

/** Each dials those before it; nobody waits for anybody. */
async function firstAddresses(hosts: readonly Host[]): Promise<number> {
  const startedMs = performance.now();
  for (const [index, host] of hosts.entries()) {
    const peers = hosts.slice(0, index).map(({ address }) => address);
    host.spawnRouter({ args: ARGS, peers });
  }
  const agent = new Agent();
  await Promise.all(
    hosts.map((host) =>
      // Asked again only until the API is there: then the request waits for the vote.
      waitFor(
        `address on ${host.label}`,
        FIRST_DEADLINE_MS,
        () => allocate(host, 'first', agent),
        FINE_INTERVAL_MS,
      ),
    ),
  );
  return performance.now() - startedMs;
}

async function measure({ label, kind }: Contender, count: number): Promise<Round> {
  const lab = new Lab();
  try {
    const { hosts } = switchedHosts(lab, HOSTS, { kinds: kindsOf(kind) });
    const firstAddressMs = await firstAddresses(hosts);
    await waitFullMesh(hosts);
    const [h1] = hosts as [Host];
    const all: string[] = [];
    const oneByOne = await perSecond(() => load(h1, 'a', count / 4, 1), all);
    const oneHost = await perSecond(() => load(h1, 'b', count, AT_ONCE), all);
    const threeHosts = await perSecond(async () => {
      const given = await Promise.all(hosts.map((host) => load(host, 'c', count, AT_ONCE)));
      return given.flat();
    }, all);
    if (new Set(all).size !== all.length) throw new Error(`${label} gave an address twice`);
    return { contender: label, firstAddressMs, oneByOne, oneHost, threeHosts };
  } finally {
    lab.close();
  }
}

const kindsOf = (kind: RouterKind): RouterKind[] => new Array<RouterKind>(HOSTS).fill(kind);

function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] ?? Number.NaN;
}

const ROWS: readonly { readonly key: keyof Omit<Round, 'contender'>; readonly label: string }[] = [
  { key: 'firstAddressMs', label: 'three from nothing to addresses, ms' },
  { key: 'oneByOne', label: 'one host, one by one, per second' },
  { key: 'oneHost', label: `one host, ${AT_ONCE} at once, per second` },
  { key: 'threeHosts', label: `three hosts, ${AT_ONCE} each, per second` },
];

function printTable(rounds: readonly Round[], labels: readonly string[]): void {
  const head = labels.map((label) => label.padStart(12)).join('');
  console.log(`\n${'median of all rounds'.padEnd(40)}${head}`);
  for (const { key, label } of ROWS) {
    const cells = labels.map((contender) => {
      const values = rounds.filter((round) => round.contender === contender);
      return median(values.map((round) => round[key])).toFixed(0);
    });
    console.log(`${label.padEnd(40)}${cells.map((cell) => cell.padStart(12)).join('')}`);
  }
}

const missing = requirements();
if (missing.length > 0) {
  console.error(`the benchmark needs: ${missing.join(', ')}`);
  process.exit(2);
}
const contenders: Contender[] = [{ label: 'ours', kind: ownRouter }];
if (options.real !== '') {
  contenders.push({ label: 'original', kind: realRouter(options.real, { allocates: true }) });
}
const rounds: Round[] = [];
for (let index = 1; index <= Number(options.rounds); index += 1) {
  // Contenders take turns, so that a slow minute of the machine does not hit only one of them.
  for (const contender of contenders) {
    const round = await measure(contender, Number(options.count));
    rounds.push(round);
    const cells = ROWS.map(({ key }) => `${key} ${round[key].toFixed(0)}`);
    console.log(`round ${index} ${contender.label.padEnd(8)} ${cells.join(', ')}`);
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
