/** News of the topology on its way out: merging, messages of bounded size, memory. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MAX_CONTROL_FRAME_BYTES } from '../../../core/limits.js';
import { type PeerName, UNKNOWN_PEER } from '../../../core/peer-name.js';
import { Topology } from '../../../mesh/topology.js';
import { TopologyChannel } from '../../../mesh/topology-channel.js';
import { encodeTopology, MAX_REMOTE_ADDRESS_LENGTH } from '../../../mesh/topology-codec.js';
import { comparable, entry, link, linkMap, seededRandom } from '../../support/topology.js';

const self = { name: 1 as PeerName, nickname: 'self', uid: 1n, shortId: null };

function rig() {
  const topology = new Topology({ self }, { random: seededRandom(1) });
  const channel = new TopologyChannel({ topology, onUpdate: () => {} });
  return { topology, channel };
}

test('news too large for one message goes in several, which together say the same', () => {
  const from = rig();
  const remoteTcpAddr = '€'.repeat(MAX_REMOTE_ADDRESS_LENGTH);
  const peers = Array.from({ length: 45 }, (_, p) => {
    const links = Array.from({ length: 400 }, (_, i) => link(1000 + i, { remoteTcpAddr }));
    return entry(2 + p, { connections: linkMap(links) });
  });
  for (const peer of peers) {
    from.channel.onGossip(encodeTopology([peer]), UNKNOWN_PEER, 0);
  }
  const payloads = [...(from.channel.completeState()?.encode() ?? [])];
  assert.ok(payloads.length > 1, 'the whole is above the limit');
  for (const payload of payloads) assert.ok(payload.length < MAX_CONTROL_FRAME_BYTES - 4096);
  const to = rig();
  for (const payload of payloads.reverse()) to.channel.onGossip(payload, UNKNOWN_PEER, 0);
  const others = (table: Topology) => [...table.peers.values()].filter(({ name }) => name > 1);
  assert.deepEqual(comparable(others(to.topology)), comparable(others(from.topology)));
});

test('merging joins the names and leaves alone what goes to other neighbours', () => {
  const { topology, channel } = rig();
  const peers = [2, 3, 4].map((name) => entry(name));
  const [a, b, c] = peers.map((p) => channel.onGossip(encodeTopology([p]), UNKNOWN_PEER, 0));
  assert.ok(a && b && c);
  const before = [...a.encode()];
  const merged = a.merge(b).merge(c);
  assert.deepEqual([...a.encode()], before);
  assert.deepEqual([...b.encode()], [topology.encode([3 as PeerName])]);
  assert.deepEqual([...merged.encode()], [topology.encode([2, 3, 4] as PeerName[])]);
  assert.ok((merged.heldBytes ?? 0) > (a.heldBytes ?? 0));
});

test('of long names and addresses no more is kept than is shown', () => {
  const { topology, channel } = rig();
  const before = process.memoryUsage().heapUsed;
  const long = 'x'.repeat(2 * 1024 * 1024);
  for (let name = 2; name < 66; name++) {
    const connections = linkMap([link(1, { remoteTcpAddr: `${name}${long}` })]);
    const peer = entry(name, { nickname: `${name}${long}`, connections });
    channel.onGossip(encodeTopology([peer]), UNKNOWN_PEER, 0);
  }
  assert.equal(topology.peers.size, 65);
  const grown = process.memoryUsage().heapUsed - before;
  assert.ok(grown < 128 * 1024 * 1024, `${grown} bytes more in use after 256 MiB of names`);
});
