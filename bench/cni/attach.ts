#!/usr/bin/env node
/**
 * Measures ADD and DEL of our CNI plugin beside the reference plugins `bridge` and `host-local`,
 * in one run on one host: alone, and many pods at once.
 *
 *   node dist/bench/cni/attach.js [--rounds 3] [--pods 50] [--only reference,package]
 *     [--json FILE]
 */
import { existsSync, statSync, writeFileSync } from 'node:fs';
import { arch } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { Lab } from '../../test/support/lab.js';
import { WEAVE_NET } from '../../test/support/lab-cni.js';
import type { Host } from '../../test/support/lab-host.js';
import { switchedHosts } from '../../test/support/lab-topologies.js';
import { run } from '../../test/support/shell.js';
import { describeMachine, machineLine } from '../machine.js';
import { median, percentile } from '../statistics.js';
import type { Contender, DriverInput, Sample } from './driver.js';

const here = dirname(fileURLToPath(import.meta.url));
const PACKAGED = join(here, `../../../dist-packages/weave-net-linux-${arch()}`);
const REFERENCE = '/usr/lib/cni';
const DRIVER_TIMEOUT_MS = 600_000;
const STARTS = 15;
const RANGE = '10.36.0.0/16';
const ARGS = ['--ipalloc-range', RANGE, '--ipalloc-default-subnet', RANGE];

const { values: options } = parseArgs({
  options: {
    rounds: { type: 'string', default: '3' },
    pods: { type: 'string', default: '50' },
    only: { type: 'string', default: 'reference,package,node' },
    json: { type: 'string', default: '' },
  },
});

function contendersOn({ socketPath, folder }: Host): Contender[] {
  const config = { cniVersion: '1.0.0', name: 'weave', type: 'weave-net' };
  const env = { WEAVE_SOCKET: socketPath, WEAVE_CNI_STATE: join(folder, 'cni') };
  const ipam = {
    ...{ type: 'host-local', subnet: '10.88.0.0/16', dataDir: join(folder, 'host-local') },
    routes: [{ dst: '0.0.0.0/0' }],
  };
  const reference = {
    ...{ cniVersion: '1.0.0', name: 'reference', type: 'bridge', bridge: 'cni0' },
    ...{ isGateway: true, hairpinMode: true, ipam },
  };
  const packaged = { label: 'package', argv: [PACKAGED], env, config };
  return [
    { label: 'reference', argv: [join(REFERENCE, 'bridge')], env: {}, config: reference },
    ...(existsSync(PACKAGED) ? [packaged] : []),
    { label: 'node', argv: [process.execPath, WEAVE_NET], env, config },
  ];
}

/** Milliseconds from the start to the end of a program that has nothing to do. */
async function startTime({ argv }: Contender): Promise<number> {
  const times: number[] = [];
  for (let count = 0; count < STARTS; count += 1) {
    const startedMs = performance.now();
    const input = '{"cniVersion":"1.0.0","name":"weave","type":"weave-net"}';
    const { code } = await run(argv, { input, env: { CNI_COMMAND: 'VERSION' } });
    if (code !== 0) throw new Error(`${argv.join(' ')} ended with ${code}`);
    times.push(performance.now() - startedMs);
  }
  return median(times) as number;
}

/** @param labels the first is what the others are compared with. */
function printTable(samples: readonly Sample[], labels: readonly string[]): void {
  const [reference] = labels as [string];
  const head = labels.map((label) => label.padStart(20)).join('');
  console.log(`${'ms, times the reference'.padEnd(24)}${head}`);
  for (const mode of ['alone', 'at once'] as const) {
    for (const command of ['ADD', 'DEL'] as const) {
      for (const percent of [50, 99]) {
        const of = (label: string): number => {
          const these = samples.filter(
            (one) => one.contender === label && one.mode === mode && one.command === command,
          );
          return percentile(
            these.map(({ ms }) => ms),
            percent,
          ) as number;
        };
        const cells = labels.map((label) => {
          const ratio = label === reference ? '' : ` (${(of(label) / of(reference)).toFixed(2)})`;
          return `${of(label).toFixed(1)}${ratio.padEnd(7)}`.padStart(20);
        });
        console.log(`${`${command} ${mode} p${percent}`.padEnd(24)}${cells.join('')}`);
      }
    }
  }
}

async function main(): Promise<void> {
  console.log(machineLine(describeMachine(), new Date().toISOString().slice(0, 10)));
  if (!existsSync(PACKAGED)) console.log(`${PACKAGED} is missing: "npm run package" builds it`);
  const lab = new Lab();
  try {
    const [host] = switchedHosts(lab, 1).hosts as [Host];
    await host.startRouter({ args: ARGS });
    const chosen = options.only.split(',');
    const contenders = contendersOn(host).filter(({ label }) => chosen.includes(label));
    const labels = contenders.map(({ label }) => label);
    for (const contender of contenders) {
      const size = statSync(contender.argv.at(-1) as string).size / 1e6;
      const start = (await startTime(contender)).toFixed(0);
      console.log(`${contender.label.padEnd(10)} starts in ${start} ms, ${size.toFixed(1)} MB`);
    }
    const pods = Array.from({ length: Number(options.pods) }, (_, n) => lab.addNetns(`p${n}`));
    const input: DriverInput = { contenders, pods, rounds: Number(options.rounds) };
    const driver = [process.execPath, join(here, 'driver.js')];
    const { code, stdout, stderr } = await lab.exec(host.netns, driver, {
      input: JSON.stringify(input),
      timeoutMs: DRIVER_TIMEOUT_MS,
    });
    if (code !== 0) throw new Error(stderr);
    const samples = JSON.parse(stdout) as Sample[];
    printTable(samples, labels);
    if (options.json !== '') writeFileSync(options.json, `${JSON.stringify(samples)}\n`);
  } finally {
    lab.close();
  }
}

if (process.getuid?.() !== 0 || !existsSync(join(REFERENCE, 'bridge'))) {
  console.error(`the benchmark needs root, and the reference plugins in ${REFERENCE}`);
  process.exit(2);
}
await main();
