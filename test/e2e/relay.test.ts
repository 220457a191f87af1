/**
 * Traffic finds its way around: through a peer in the middle, and through address translation.
 *
 *   w1 ── [h1] ── [h2] ── [h3] ── w3            h1 and h3 have no path to each other
 *   w1 ── [h1] ── gateway (translates) ── [h2] ── w2
 */
import assert from 'node:assert/strict';
import { attachOneEach, e2e, PASSWORD } from '../support/e2e.js';
import type { Host } from '../support/lab-host.js';
import { routedHosts, switchedHosts } from '../support/lab-topologies.js';
import type { Workload } from '../support/lab-workload.js';
import { waitFor } from '../support/wait.js';

const MEBIBYTE = 1024 ** 2;

async function transfer(from: Workload, to: Workload, port: string, bytes: number): Promise<void> {
  type Stream = { bytes: number; sha256: string };
  const receiving = to.agentResult<Stream>(60_000, 'receive', port);
  const sent = await from.agentResult<Stream>(60_000, 'send', to.address, port, `${bytes}`);
  assert.deepEqual((await receiving).sha256, sent.sha256);
}

e2e('a chain carries traffic both ways through the middle', [], async (lab) => {
  const hosts = switchedHosts(lab, 3).hosts as [Host, Host, Host];
  const [h1, h2, h3] = hosts;
  h1.block(h3);
  h3.block(h1);
  await h2.startRouter({ password: PASSWORD });
  await h1.startRouter({ password: PASSWORD, peers: [h2.address] });
  await h3.startRouter({ password: PASSWORD, peers: [h2.address] });
  await h1.waitEstablished(h2);
  await h3.waitEstablished(h2);
  const [w1, w2, w3] = (await attachOneEach(hosts)) as [Workload, Workload, Workload];
  await waitFor('answer through the middle', 20_000, () => w1.reaches(w3.address));
  for (const [from, to] of [[w1, w3] as const, [w3, w1] as const, [w2, w3] as const]) {
    const pinged = await from.ping(to.address, { count: 10 });
    assert.equal(pinged.received, 10, pinged.output);
    assert.doesNotMatch(pinged.output, /DUP/);
  }
  await transfer(w1, w3, '5001', 32 * MEBIBYTE);
  await transfer(w3, w1, '5002', 32 * MEBIBYTE);
  const direct = (await h1.connections()).find((c) => c.Info.includes(h3.name));
  assert.notEqual(direct?.State, 'established', 'h1 and h3 have no connection of their own');
});

e2e('a host behind address translation takes part', [], async (lab) => {
  const { hosts } = routedHosts(lab, { masquerade: true });
  const [h1, h2] = hosts;
  await h2.startRouter({ password: PASSWORD });
  await h1.startRouter({ password: PASSWORD, peers: [h2.address] });
  await h1.waitEstablished(h2);
  const inbound = await h2.waitEstablished(h1);
  // Seen from outside, h1 has the gateway's address and a port that is not its own.
  assert.match(inbound.Address, /^203\.0\.113\.254:4\d{4}$/);
  const [w1, w2] = (await attachOneEach(hosts)) as [Workload, Workload];
  await waitFor('answer', 5_000, () => w2.reaches(w1.address));
  for (const [from, to] of [[w1, w2] as const, [w2, w1] as const]) {
    const pinged = await from.ping(to.address, { count: 10 });
    assert.equal(pinged.received, 10, pinged.output);
  }
  await transfer(w2, w1, '5001', 32 * MEBIBYTE);
});
