/**
 * Two hosts with a password carry every kind of traffic.
 *
 *   w1 10.40.0.1 ── [h1] 198.51.100.1 ── switch ── 198.51.100.2 [h2] ── 10.40.0.2 w2
 */
import assert from 'node:assert/strict';
import { attachOneEach, e2e, PASSWORD, startMesh } from '../support/e2e.js';
import type { Lab } from '../support/lab.js';
import { switchedHosts } from '../support/lab-topologies.js';
import type { Workload } from '../support/lab-workload.js';
import { vlanPing } from '../support/vlan-ping.js';
import { holdFor, waitFor } from '../support/wait.js';

const GIBIBYTE = 1024 ** 3;
const TRANSFER_LIMIT_MS = 300_000;

async function twoWorkloads(lab: Lab): Promise<[Workload, Workload]> {
  const { hosts } = switchedHosts(lab, 2);
  await startMesh(hosts, { password: PASSWORD });
  return (await attachOneEach(hosts)) as [Workload, Workload];
}

e2e('ping, ping6, multicast, VLAN tags and 1 GiB of TCP', ['tcpdump', 'socat'], async (lab, t) => {
  const [w1, w2] = await twoWorkloads(lab);
  const connection = (await w1.host.connections())[0];
  assert.equal(connection?.Attrs?.encrypted, true);
  assert.equal(connection?.Attrs?.name, 'sleeve');
  await t.test('ping both ways', () => pingBothWays(w1, w2));
  await t.test('ping over IPv6, also with packets that fill the overlay', () => ping6(w1, w2));
  await t.test('UDP multicast arrives', () => multicast(w1, w2));
  await t.test('a tagged ping is answered with a tag', (inner) => vlanPing(inner, w1, w2));
  await t.test('1 GiB over TCP arrives with equal SHA-256', () => transfer(w1, w2, GIBIBYTE));
  const down = await w2.host.connections();
  assert.equal(down[0]?.State, 'established', 'the connection outlived the load');
});

async function pingBothWays(w1: Workload, w2: Workload): Promise<void> {
  for (const [from, to] of [[w1, w2] as const, [w2, w1] as const]) {
    await waitFor('first answer', 5_000, () => from.reaches(to.address));
    const result = await from.ping(to.address, { count: 10 });
    assert.equal(result.received, 10, result.output);
  }
}

async function ping6(w1: Workload, w2: Workload): Promise<void> {
  const { lab } = w1.host;
  lab.ip(w1.netns, ['addr add fd00:40::1/64 dev ethwe nodad']);
  lab.ip(w2.netns, ['addr add fd00:40::2/64 dev ethwe nodad']);
  await waitFor('first answer over IPv6', 10_000, () => w1.reaches('fd00:40::2'));
  // 40 bytes of IPv6 and 8 of ICMPv6 in front fill 1376 bytes.
  for (const payloadBytes of [56, 1376 - 48, 4000]) {
    const result = await w1.ping('fd00:40::2', { payloadBytes });
    assert.equal(result.received, 3, result.output);
  }
}

async function multicast(w1: Workload, w2: Workload): Promise<void> {
  const collected = w2.agentResult<{ payloads: Record<string, number> }>(
    20_000,
    'collect',
    ...['5001', '224.1.2.3', '3000'],
  );
  // The receiver joins the group first; multicast has no way to ask whether it has.
  await holdFor(1_000);
  await w1.agentResult(20_000, 'scatter', '224.1.2.3', '5001', '20', 'group');
  const { payloads } = await collected;
  const expected = Object.fromEntries(Array.from({ length: 20 }, (_, i) => [`group-${i}`, 1]));
  assert.deepEqual(payloads, expected);
}

async function transfer(w1: Workload, w2: Workload, bytes: number): Promise<void> {
  type Stream = { bytes: number; sha256: string };
  const receiving = w2.agentResult<Stream>(TRANSFER_LIMIT_MS, 'receive', '5002');
  const args = [w2.address, '5002', `${bytes}`];
  const sent = await w1.agentResult<Stream>(TRANSFER_LIMIT_MS, 'send', ...args);
  const received = await receiving;
  assert.equal(received.bytes, bytes);
  assert.equal(received.sha256, sent.sha256);
}
