/**
 * The data path with each cipher and each way to talk to the kernel, over a cable that loses and
 * reorders: nothing may arrive changed, and everything must arrive that is sent again.
 *
 *   w1 10.40.0.1 ── [h1] ══ loses 1 %, reorders 2 % ══ [h2] ── 10.40.0.2 w2
 *
 * WEAVE_TRANSFER_BYTES sets the length of each TCP stream; `npm run soak -- transfers` sends more.
 */
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { attachOneEach, PASSWORD, startMesh } from '../support/e2e.js';
import { Lab } from '../support/lab.js';
import type { Host } from '../support/lab-host.js';
import { badlyCabledHosts } from '../support/lab-topologies.js';
import type { Workload } from '../support/lab-workload.js';
import { requireNetns, requireTool, requireTun } from '../support/requirements.js';
import {
  BAD_CABLE,
  CIPHERS,
  dataPlaneOf,
  ENGINES,
  transfer,
  transferLimitMs,
} from '../support/transfers.js';
import { vlanPing } from '../support/vlan-ping.js';
import { waitFor } from '../support/wait.js';

const TRANSFER_BYTES = Number(process.env['WEAVE_TRANSFER_BYTES'] ?? 16 * 1024 ** 2);
const TRANSFER_LIMIT_MS = transferLimitMs(TRANSFER_BYTES);
const TOOLS = ['nft', 'ping', 'tcpdump', 'socat'];

/** The status says what is in use; in a kernel without io_uring the first is the second engine. */
async function checkEngine(t: TestContext, host: Host, engine: string): Promise<void> {
  const { Engine, EngineReason, Offloads, Queues } = await dataPlaneOf(host);
  const usesRing = !ENGINES[engine]?.includes('--no-uring');
  if (usesRing && Engine !== 'io_uring') t.diagnostic(`no io_uring: ${EngineReason}`);
  if (!usesRing) assert.deepEqual([Engine, EngineReason], ['syscalls', '--no-uring']);
  const hasThreads = engine === 'two threads';
  assert.equal(Queues.length, hasThreads ? 2 : 1);
  const isOff = engine === 'no offloads';
  for (const { Name, Enabled } of Offloads) {
    const isExpected = Name === 'udp-gro' ? !isOff && !hasThreads : !isOff;
    if (Name !== 'io-uring') assert.equal(Enabled, isExpected, Name);
  }
  const { body } = await host.api('GET', '/metrics');
  assert.ok(body.includes(`weave_offload_enabled{offload="udp-segment"} ${isOff ? 0 : 1}\n`), body);
}

async function checkTransfer(from: Workload, to: Workload, port: string): Promise<void> {
  const options = { port, bytes: TRANSFER_BYTES, limitMs: TRANSFER_LIMIT_MS };
  const { sent, received } = await transfer(from, to, options);
  assert.deepEqual(received, { bytes: TRANSFER_BYTES, sha256: sent.sha256 });
}

async function echoSizes(from: Workload, host: string, range: readonly number[]): Promise<void> {
  const args = [host, '5010', ...range.map(String)];
  const result = await from.agentResult<object>(60_000, 'sizes', ...args);
  const { missing, changed } = result as { missing: number[]; changed: number[] };
  assert.deepEqual({ missing, changed }, { missing: [], changed: [] });
}

async function exercise(t: TestContext, w1: Workload, w2: Workload): Promise<void> {
  await waitFor('first answer', 10_000, () => w1.reaches(w2.address));
  await Promise.all([checkTransfer(w1, w2, '5001'), checkTransfer(w2, w1, '5002')]);
  w2.agent('echo', '5010');
  await echoSizes(w1, w2.address, [1, 9000, 61]);
  await echoSizes(w1, w2.address, [1300, 1420, 1]);
  const { lab } = w1.host;
  lab.ip(w1.netns, ['addr add fd00:40::1/64 dev ethwe nodad']);
  lab.ip(w2.netns, ['addr add fd00:40::2/64 dev ethwe nodad']);
  await waitFor('first answer over IPv6', 10_000, () => w1.reaches('fd00:40::2'));
  await echoSizes(w1, 'fd00:40::2', [1, 9000, 251]);
  await vlanPing(t, w1, w2);
}

for (const [cipher, { sealed, args }] of Object.entries(CIPHERS)) {
  for (const [index, [engine, engineArgs]] of Object.entries(ENGINES).entries()) {
    test(`a bad cable with ${cipher}, ${engine}`, async (t) => {
      if (!requireTun(t) || !requireNetns(t)) return;
      if (!TOOLS.every((tool) => requireTool(t, tool))) return;
      const lab = Lab.forTest(t);
      await lab.explain(t, async () => {
        const hosts = await badlyCabledHosts(lab, { seed: index + 1, ...BAD_CABLE });
        const password = sealed ? { password: PASSWORD } : {};
        await startMesh(hosts, { ...password, args: [...args, ...engineArgs] });
        const [w1, w2] = (await attachOneEach(hosts)) as [Workload, Workload];
        for (const host of hosts) await checkEngine(t, host, engine);
        await exercise(t, w1, w2);
        for (const host of hosts) {
          const { Drops } = await dataPlaneOf(host);
          assert.equal(Drops['forged'], 0);
          assert.equal(Drops['tap-refused'], 0);
        }
      });
    });
  }
}
