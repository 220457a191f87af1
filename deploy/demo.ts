/**
 * `npm start -- --demo`: two network namespaces play two hosts, each with a router of ours and a
 * workload; an encrypted mesh joins them, a ping and an iperf3 run cross it, and all is removed.
 *
 *   host 1 (weave-demo-h1)                     host 2 (weave-demo-h2)
 *   weaver, bridge weave                       weaver, bridge weave
 *     | workload w1 10.2.1.1/24                  | workload w2 10.2.1.2/24
 *   eth0 192.0.2.1/24 -------- veth -------- eth0 192.0.2.2/24
 */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const dist = dirname(dirname(fileURLToPath(import.meta.url)));
const START_TIMEOUT_MS = 15_000;

interface Host {
  readonly number: 1 | 2;
  readonly netns: string;
  readonly workload: string;
  readonly underlay: string;
  readonly overlay: string;
}

const hosts: readonly Host[] = ([1, 2] as const).map((number) => ({
  number,
  netns: `weave-demo-h${number}`,
  workload: `weave-demo-w${number}`,
  underlay: `192.0.2.${number}`,
  overlay: `10.2.1.${number}`,
}));
const [first, second] = hosts as [Host, Host];
const directory = mkdtempSync(join(tmpdir(), 'weave-demo-'));
const children: ChildProcess[] = [];

/** Runs a command to its end and gives its output; anything but success ends the demo. */
function run(command: string, ...args: string[]): string {
  const result = spawnSync(command, args, { encoding: 'utf8' });
  if (result.status !== 0) {
    const why = result.error?.message ?? `${result.stderr}${result.stdout}`.trim();
    throw new Error(`${command} ${args.join(' ')}: ${why}`);
  }
  return result.stdout;
}

const inNetns = (netns: string, ...command: string[]): string =>
  run('ip', 'netns', 'exec', netns, ...command);

const weave = (host: Host, ...args: string[]): string =>
  inNetns(
    host.netns,
    process.execPath,
    join(dist, 'cli/weave.js'),
    '--local',
    `--socket=${directory}/h${host.number}.sock`,
    ...args,
  );

function buildHosts(): void {
  for (const { netns, workload } of hosts) {
    run('ip', 'netns', 'add', netns);
    run('ip', 'netns', 'add', workload);
    run('ip', '-n', netns, 'link', 'set', 'lo', 'up');
    run('ip', '-n', workload, 'link', 'set', 'lo', 'up');
  }
  const peer = ['peer', 'name', 'eth0', 'netns', second.netns];
  run('ip', '-n', first.netns, 'link', 'add', 'eth0', 'type', 'veth', ...peer);
  for (const { netns, underlay } of hosts) {
    run('ip', '-n', netns, 'addr', 'add', `${underlay}/24`, 'dev', 'eth0');
    run('ip', '-n', netns, 'link', 'set', 'eth0', 'up');
  }
}

function startRouter(host: Host, peers: readonly string[]): void {
  const log = openSync(join(directory, `h${host.number}.log`), 'w', 0o600);
  const options = [
    `--name=82:00:00:00:00:0${host.number}`,
    `--nickname=host${host.number}`,
    `--password-file=${directory}/password`,
    `--db-prefix=${directory}/h${host.number}-`,
    `--socket=${directory}/h${host.number}.sock`,
  ];
  const main = join(dist, 'router/main.js');
  const command = ['netns', 'exec', host.netns, process.execPath, main, ...options, ...peers];
  children.push(spawn('ip', command, { stdio: ['ignore', log, log] }));
}

async function waitFor(what: string, host: Host, done: () => boolean): Promise<void> {
  const deadline = performance.now() + START_TIMEOUT_MS;
  for (;;) {
    try {
      if (done()) return;
    } catch {
      // Not answering yet.
    }
    if (performance.now() > deadline) {
      const log = readFileSync(join(directory, `h${host.number}.log`), 'utf8');
      throw new Error(
        `${what} did not happen in time; the router of host ${host.number} says:\n${log}`,
      );
    }
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
}

function show(title: string, text: string): void {
  console.log(`\n--- ${title}\n${text.trimEnd()}`);
}

function iperf(): string {
  const server = ['netns', 'exec', second.workload, 'iperf3', '-s', '-1'];
  children.push(spawn('ip', server, { stdio: 'ignore' }));
  const client = ['-c', second.overlay, '-t', '5', '-J', '--connect-timeout', '3000'];
  const args = ['netns', 'exec', first.workload, 'iperf3', ...client];
  for (let attempt = 0; ; attempt++) {
    const result = spawnSync('ip', args, { encoding: 'utf8' });
    // iperf3 also ends with 0 when its server did not listen yet; the report has no sum then.
    const bits = result.status === 0 ? receivedBits(result.stdout) : null;
    if (bits !== null) {
      return `${(bits / 1e6).toFixed(0)} Mbit/s TCP, one stream, encrypted, both hosts on this machine`;
    }
    if (attempt === 5) throw new Error(`iperf3: ${result.stdout}`);
    spawnSync('sleep', ['0.3']);
  }
}

function receivedBits(report: string): number | null {
  const { end } = JSON.parse(report) as {
    end?: { sum_received?: { bits_per_second?: number } };
  };
  return end?.sum_received?.bits_per_second ?? null;
}

function cleanUp(): void {
  for (const child of children) child.kill('SIGTERM');
  for (const { netns, workload } of hosts) {
    spawnSync('ip', ['netns', 'del', workload]);
    spawnSync('ip', ['netns', 'del', netns]);
  }
  rmSync(directory, { recursive: true, force: true });
}

async function demo(): Promise<void> {
  console.log('Two namespaces as two hosts, a router on each, a workload behind each …');
  buildHosts();
  const password = randomBytes(24).toString('base64url');
  writeFileSync(join(directory, 'password'), `${password}\n`, { mode: 0o600 });
  startRouter(first, []);
  startRouter(second, [first.underlay]);
  for (const host of hosts) {
    await waitFor('the start', host, () => weave(host, 'status').includes('Service: router'));
    weave(host, 'attach', `${host.overlay}/24`, host.workload);
  }
  for (const host of hosts) {
    const connected = (): boolean => weave(host, 'status', 'connections').includes('established');
    await waitFor('the connection', host, connected);
  }
  const ping = ['ping', '-c', '5', '-i', '0.2', second.overlay];
  show(`ping from ${first.overlay} to ${second.overlay}`, inNetns(first.workload, ...ping));
  show('iperf3 over the overlay', iperf());
  for (const host of hosts) {
    show(`weave status connections, host ${host.number}`, weave(host, 'status', 'connections'));
  }
}

if (process.getuid?.() !== 0) {
  console.error('The demo makes network namespaces and needs root.');
  process.exit(1);
}
for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.on(signal, () => {
    cleanUp();
    process.exit(1);
  });
}
try {
  await demo();
  console.log('\nRemoving the two hosts.');
} catch (error) {
  console.error(error instanceof Error ? error.message : error);
  process.exitCode = 1;
} finally {
  cleanUp();
}
