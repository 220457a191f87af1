/**
 * Routers with several threads of the data plane, with each other and with one that has one.
 *
 *   w1 ── [h1, 2 threads] ──┐
 *   w2 ── [h2, 3 threads] ──┼── switch        no cable between h1 and h2 in the relay test
 *   w3 ── [h3, 1 thread ] ──┘
 */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { attachOneEach, e2e, PASSWORD, waitFullMesh } from '../support/e2e.js';
import type { BackgroundProcess, Lab } from '../support/lab.js';
import type { Host, RouterOptions } from '../support/lab-host.js';
import { switchedHosts } from '../support/lab-topologies.js';
import type { Workload } from '../support/lab-workload.js';
import { waitFor } from '../support/wait.js';

const MEBIBYTE = 1024 ** 2;
const TIMEOUT_MS = 90_000;
const STREAMS = 4;
const FLOWS = 12;
const NUMBERS = 600;
const SILENCE_MS = 3_000;
const THREADS = [2, 3, 1];

const CIPHERS: Readonly<Record<string, RouterOptions>> = {
  'aes-256-gcm': { password: PASSWORD },
  nacl: { password: PASSWORD, args: ['--cipher', 'nacl'] },
  plain: {},
};

interface DataPlane {
  readonly Queues: readonly { readonly FramesCaptured: number; readonly FramesInjected: number }[];
  readonly Drops: Readonly<Record<string, number>>;
}

async function dataPlaneOf(host: Host): Promise<DataPlane> {
  const report = (await host.report()) as unknown as { WeaveNet: { DataPlane: DataPlane } };
  return report.WeaveNet.DataPlane;
}

function start(host: Host, others: readonly Host[], options: RouterOptions): Promise<number> {
  const threads = THREADS[Number(host.label.slice(1)) - 1];
  const args = [...(options.args ?? []), '--fastdp-queues', `${threads}`];
  return host.startRouter({ ...options, args, peers: others.map(({ address }) => address) });
}

async function startAll(lab: Lab, options: RouterOptions): Promise<[Host, Host, Host]> {
  const hosts = switchedHosts(lab, 3).hosts as [Host, Host, Host];
  for (const [i, host] of hosts.entries()) await start(host, hosts.slice(0, i), options);
  await waitFullMesh(hosts);
  return hosts;
}

type Stream = { bytes: number; sha256: string };

async function transfer(from: Workload, to: Workload, port: number, bytes: number): Promise<void> {
  const receiving = to.agentResult<Stream>(TIMEOUT_MS, 'receive', `${port}`);
  const args = [to.address, `${port}`, `${bytes}`];
  const sent = await from.agentResult<Stream>(TIMEOUT_MS, 'send', ...args);
  assert.deepEqual(await receiving, { bytes, sha256: sent.sha256 });
}

function transfers(from: Workload, to: Workload, bytes: number): Promise<unknown> {
  const ports = Array.from({ length: STREAMS }, (_, i) => 5001 + i);
  return Promise.all(ports.map((port) => transfer(from, to, port, bytes / STREAMS)));
}

/** Most datagrams of all flows arrive, none after a later one of its flow. */
async function checkOrder(from: Workload, to: Workload): Promise<void> {
  type Order = { flows: number; received: number; backwards: number };
  const watching = to.agentResult<Order>(TIMEOUT_MS, 'order', '6001', `${SILENCE_MS}`);
  const args = [to.address, '6001', `${FLOWS}`, `${NUMBERS}`];
  await from.agentResult(TIMEOUT_MS, 'number', ...args);
  const { flows, received, backwards } = await watching;
  assert.deepEqual({ flows, backwards }, { flows: FLOWS, backwards: 0 });
  assert.ok(received > FLOWS * NUMBERS * 0.5, `${received} received`);
}

async function checkThreads(host: Host, threads: number, receivesLanes: boolean): Promise<void> {
  const { Queues, Drops } = await dataPlaneOf(host);
  assert.equal(Queues.length, threads);
  for (const [i, queue] of Queues.entries()) {
    assert.ok(queue.FramesCaptured > 0, `thread ${i} of ${host.label} captured nothing`);
    if (receivesLanes) assert.ok(queue.FramesInjected > 0, `thread ${i} of ${host.label} is idle`);
  }
  for (const reason of ['forged', 'replayed', 'epoch-unknown', 'lane-unknown', 'ring-full']) {
    assert.equal(Drops[reason], 0, `${reason} on ${host.label}`);
  }
}

for (const [cipher, options] of Object.entries(CIPHERS)) {
  e2e(
    `flows over 2, 3 and 1 threads with ${cipher}: streams intact, datagrams in order`,
    [],
    async (lab) => {
      const hosts = await startAll(lab, options);
      const [w1, w2, w3] = (await attachOneEach(hosts)) as [Workload, Workload, Workload];
      const pairs = [
        [w1, w2],
        [w2, w1],
        [w1, w3],
        [w3, w2],
      ] as const;
      for (const [from, to] of pairs) {
        await waitFor('first answer', 10_000, () => from.reaches(to.address));
        const { sent, received, output } = await from.ping(to.address, {
          count: 20,
          intervalSeconds: 0.05,
        });
        assert.equal(received, sent, output);
      }
      await transfers(w1, w2, 96 * MEBIBYTE);
      await transfers(w3, w1, 32 * MEBIBYTE);
      await transfers(w2, w3, 32 * MEBIBYTE);
      await Promise.all([checkOrder(w1, w2), checkOrder(w2, w3), checkOrder(w3, w1)]);
      await checkThreads(hosts[0], 2, cipher === 'aes-256-gcm');
      await checkThreads(hosts[1], 3, false);
      await checkThreads(hosts[2], 1, true);
    },
  );
}

e2e('several threads: a restart, a device made anew, a broken neighbour', [], async (lab) => {
  const options = CIPHERS['aes-256-gcm'] as RouterOptions;
  const hosts = await startAll(lab, options);
  const [h1, h2, h3] = hosts;
  const [w1, w2] = (await attachOneEach(hosts)) as [Workload, Workload];
  await waitFor('first answer', 10_000, () => w1.reaches(w2.address));

  lab.ip(h1.netns, ['link del vethwe-tap']);
  await waitFor('a new device', 10_000, async () => (await w1.ping(w2.address)).received > 0);
  await transfers(w1, w2, 16 * MEBIBYTE);
  await transfers(w2, w1, 16 * MEBIBYTE);
  assert.equal((await dataPlaneOf(h1)).Queues.length, 2);

  assert.equal(await h2.stopRouter('SIGKILL'), null);
  await start(h2, [h1, h3], options);
  await waitFullMesh(hosts);
  await waitFor('answer after the restart', 20_000, () => w1.reaches(w2.address));
  await transfers(w1, w2, 16 * MEBIBYTE);

  assert.equal(await h2.stopRouter(), 0, 'an orderly end');
  assert.equal(await h1.stopRouter(), 0, 'an orderly end');
});

e2e('several threads: frames for a third host are relayed in order', [], async (lab) => {
  const hosts = switchedHosts(lab, 3).hosts as [Host, Host, Host];
  const [h1, h2, h3] = hosts;
  const options = CIPHERS['aes-256-gcm'] as RouterOptions;
  // The ends do not hear each other, so that the host with three threads has to relay.
  h1.block(h3);
  h3.block(h1);
  await start(h1, [], options);
  await start(h2, [h1], options);
  await start(h3, [h2], options);
  await Promise.all([h1.waitEstablished(h2), h3.waitEstablished(h2)]);
  const [w1, , w3] = (await attachOneEach(hosts)) as [Workload, Workload, Workload];
  await waitFor('first answer over the relay', 20_000, () => w1.reaches(w3.address));
  await transfers(w1, w3, 32 * MEBIBYTE);
  await checkOrder(w1, w3);
  await checkOrder(w3, w1);
});

e2e('a device of an earlier run with a single queue is made anew', [], async (lab) => {
  const hosts = switchedHosts(lab, 2).hosts as [Host, Host];
  const [h1, h2] = hosts;
  lab.ip(h1.netns, ['tuntap add vethwe-tap mode tap']);
  await start(h1, [], {});
  await start(h2, [h1], {});
  await waitFullMesh(hosts);
  const [w1, w2] = (await attachOneEach(hosts)) as [Workload, Workload];
  await waitFor('first answer', 10_000, () => w1.reaches(w2.address));
  const counts = await Promise.all(hosts.map(async (host) => (await dataPlaneOf(host)).Queues));
  assert.ok((counts[0]?.length ?? 0) > 1, 'several queues');
  assert.ok((counts[1]?.length ?? 0) > 1);
  const log = readFileSync((h1.router as BackgroundProcess).logPath, 'utf8');
  assert.doesNotMatch(log, /one queue instead of several/);
});
