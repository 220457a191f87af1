#!/usr/bin/env node
/**
 * Long TCP streams both ways at once over a cable that loses 1 % and reorders 2 %, with each cipher
 * and each way to talk to the kernel: what arrives must be what was sent, bit by bit. As root.
 *
 *   node dist/bench/soak/transfers.js [--gib 1] [--cipher NAME,…] [--engine NAME,…] [--seed 1]
 *
 *   w1 10.40.0.1 ── [h1] ══ loses 1 %, reorders 2 % ══ [h2] ── 10.40.0.2 w2
 */
import { parseArgs } from 'node:util';
import { attachOneEach, PASSWORD, startMesh } from '../../test/support/e2e.js';
import { Lab } from '../../test/support/lab.js';
import { badlyCabledHosts } from '../../test/support/lab-topologies.js';
import type { Workload } from '../../test/support/lab-workload.js';
import {
  BAD_CABLE,
  CIPHERS,
  dataPlaneOf,
  ENGINES,
  type Transfer,
  transfer,
  transferLimitMs,
} from '../../test/support/transfers.js';
import { waitFor } from '../../test/support/wait.js';

const GIB = 2 ** 30;
const PORT = '5001';
/** A cable only loses and reorders, so these would be faults of ours. */
const FAULT_DROPS = ['forged', 'replayed', 'epoch-unknown', 'tap-refused'];

const { values } = parseArgs({
  options: {
    gib: { type: 'string', default: '1' },
    cipher: { type: 'string', default: Object.keys(CIPHERS).join(',') },
    engine: { type: 'string', default: Object.keys(ENGINES).join(',') },
    seed: { type: 'string', default: '1' },
  },
});
const bytes = Math.round(Number(values.gib) * GIB);
const ciphers = values.cipher.split(',');
const engines = values.engine.split(',');
const isKnown =
  ciphers.every((name) => Object.hasOwn(CIPHERS, name)) &&
  engines.every((name) => Object.hasOwn(ENGINES, name));
if (!(bytes >= 1) || !isKnown || !/^\d{1,9}$/.test(values.seed)) {
  console.error(
    `usage: transfers [--gib N] [--cipher ${Object.keys(CIPHERS).join(',')}] ` +
      `[--engine '${Object.keys(ENGINES).join(',')}'] [--seed N]`,
  );
  process.exit(2);
}

/** What is wrong with a stream, in words; null: nothing. */
function faultOf({ sent, received }: Transfer): string | null {
  if (received.bytes !== sent.bytes) return `${received.bytes} of ${sent.bytes} bytes arrived`;
  return received.sha256 === sent.sha256 ? null : 'SHA-256 differs';
}

/** @returns what went wrong, in words. */
async function run(lab: Lab, cipher: string, engine: string): Promise<string[]> {
  const { sealed, args } = CIPHERS[cipher] as (typeof CIPHERS)[string];
  const hosts = await badlyCabledHosts(lab, { seed: Number(values.seed), ...BAD_CABLE });
  const password = sealed ? { password: PASSWORD } : {};
  await startMesh(hosts, { ...password, args: [...args, ...(ENGINES[engine] ?? [])] });
  const [w1, w2] = (await attachOneEach(hosts)) as [Workload, Workload];
  await waitFor('first answer', 60_000, () => w1.reaches(w2.address));
  const options = { port: PORT, bytes, limitMs: transferLimitMs(bytes) };
  const streams = await Promise.all([transfer(w1, w2, options), transfer(w2, w1, options)]);
  const faults: string[] = [];
  for (const [index, stream] of streams.entries()) {
    const fault = faultOf(stream);
    const way = index === 0 ? 'w1 → w2' : 'w2 → w1';
    const rate = (bytes * 8) / stream.sent.ms / 1000;
    const hash = stream.received.sha256.slice(0, 16);
    console.log(`  ${way}  ${rate.toFixed(0)} Mbit/s  SHA-256 ${hash}…  ${fault ?? 'equal'}`);
    if (fault !== null) faults.push(`${way}: ${fault}`);
  }
  for (const host of hosts) {
    const { Drops, Engine, KeyChanges } = await dataPlaneOf(host);
    const counts = FAULT_DROPS.map((name) => [name, Drops[name] ?? 0] as const);
    const found = counts.filter(([, count]) => count > 0).map((entry) => entry.join(' '));
    console.log(
      `  ${host.label}  ${Engine}, ${KeyChanges} key changes, ${found.join(', ') || 'no faults'}`,
    );
    faults.push(...found.map((text) => `${host.label}: ${text}`));
    if (!host.router?.running()) faults.push(`${host.label}: the router ended`);
  }
  return faults;
}

let failed = 0;
for (const cipher of ciphers) {
  for (const engine of engines) {
    console.log(`${cipher}, ${engine}: ${(bytes / GIB).toFixed(2)} GiB each way …`);
    const lab = new Lab();
    try {
      const faults = await run(lab, cipher, engine);
      for (const fault of faults) console.log(`  FAILED ${fault}`);
      if (faults.length > 0) failed += 1;
    } catch (error) {
      failed += 1;
      console.log(`  FAILED ${error instanceof Error ? error.message : error}`);
    } finally {
      lab.close();
    }
  }
}
const total = ciphers.length * engines.length;
console.log(failed === 0 ? `VERDICT: sound, ${total} of ${total}` : `VERDICT: ${failed} failed`);
process.exitCode = failed === 0 ? 0 : 1;
