/**
 * A peer that was let in and then says anything at all. It may lose its session; nothing it says
 * may throw, or keep the mesh from serving others.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { concatBytes, utf8 } from '../../../core/bytes.js';
import { silentLogger } from '../../../core/log.js';
import type { PeerName } from '../../../core/peer-name.js';
import { Mesh } from '../../../mesh/mesh.js';
import type { Overlay } from '../../../mesh/overlay.js';
import { Connection } from '../../../mesh/peer/connection.js';
import { encodeGossip, encodeUnicast } from '../../../mesh/protocol.js';
import { Topology } from '../../../mesh/topology.js';
import { SeededRandom } from '../../sim/seeded-random.js';
import { SimChannel } from '../../sim/sim-channel.js';

const ours = 1 as PeerName;
const theirs = 2 as PeerName;
const nothing = (): void => {};

const overlay: Overlay = {
  name: 'sleeve',
  onEvent: nothing,
  prepare: nothing,
  confirm: nothing,
  handleControl: nothing,
  stop: nothing,
  setForwarding: nothing,
  forgetPeer: nothing,
};

const common = {
  password: null,
  minVersion: 1,
  maxVersion: 2,
  ciphers: [],
  extraFeatures: {},
} as const;

/** A mesh with one admitted session, whose other end is in our hands. */
function rig() {
  const random = new SeededRandom(1);
  const meshOptions = {
    ...common,
    name: ours,
    nickname: 'ours',
    uid: 1n,
    shortId: 1,
    port: 6783,
    discovery: true,
    connLimit: 200,
    trustedSubnets: [],
  };
  const mesh = new Mesh(meshOptions, { random, overlays: [overlay], log: silentLogger });
  mesh.registerChannel(new SimChannel('words'));
  const options = {
    ...common,
    connId: 1,
    outbound: true,
    remoteAddr: '192.0.2.1:6783',
    localAddr: '192.0.2.2:40000',
    identity: { name: theirs, nickname: 'theirs', uid: 2n, shortId: 2 },
    trustsRemote: false,
    overlays: ['sleeve'],
  };
  const hostile = new Connection(options, { random });
  let nowMs = 1000;
  let admitted = false;
  let closed = false;
  const shuttle = (): void => {
    for (let busy = true; busy; ) {
      busy = false;
      for (let next = mesh.pollAction(); next !== null; next = mesh.pollAction()) {
        busy = true;
        if (next.type === 'write') hostile.handleBytes(next.bytes, nowMs);
        if (next.type === 'close') closed = true;
      }
      for (let next = hostile.pollAction(); next !== null; next = hostile.pollAction()) {
        busy = true;
        if (next.type === 'write' && !closed) mesh.handleBytes(9, next.bytes, nowMs);
        if (next.type === 'introduced') {
          admitted = true;
          hostile.admit(nowMs);
        }
      }
    }
  };
  mesh.start(nowMs);
  const socket = { connId: 9, remoteAddr: '192.0.2.2:40000', localAddr: '192.0.2.1:6783' };
  mesh.handleAccepted(socket, nowMs);
  hostile.start(nowMs);
  shuttle();
  assert.ok(admitted && !closed, 'the session is up');
  return {
    mesh,
    say: (tag: number, payload: Uint8Array): void => {
      if (!closed) hostile.send(tag, payload);
      shuttle();
    },
    pass: (ms: number): void => {
      nowMs += ms;
      mesh.handleTimeout(nowMs);
      shuttle();
    },
    isClosed: () => closed,
    status: () => mesh.status(nowMs, nowMs),
  };
}

/** A topology payload that is valid, and names us and many others. */
const validTopology = (() => {
  const self = { name: theirs, nickname: 'theirs', uid: 2n, shortId: 2 };
  const topology = new Topology({ self }, { random: new SeededRandom(2) });
  for (let i = 1; i < 9; i++) {
    if (i === theirs) continue;
    const remotePeer = i as PeerName;
    topology.introduce(remotePeer, `peer${i}`, BigInt(i) << 60n, i);
    topology.retain(remotePeer);
    topology.addConnection({ remotePeer, remoteTcpAddr: `192.0.2.${i}:6783`, outbound: true });
  }
  return topology.encodeAll();
})();

const mutated = (base: Uint8Array): fc.Arbitrary<Uint8Array> =>
  fc.array(fc.tuple(fc.nat(base.length - 1), fc.nat(255)), { maxLength: 4 }).chain((changes) =>
    fc.nat(base.length).map((end) => {
      const bytes = base.slice(0, changes.length % 2 === 0 ? base.length : end);
      for (const [at, value] of changes) if (at < bytes.length) bytes[at] = value;
      return bytes;
    }),
  );

const anyName = fc.constantFrom(0, 1, 2, 3, 7, 2 ** 48 - 1).map((value) => value as PeerName);
const channel = fc.constantFrom('topology', 'words', 'other', '', 'x'.repeat(300));
const body = fc.oneof(
  fc.uint8Array({ maxLength: 64 }),
  mutated(validTopology),
  fc.constant(utf8('poison')),
  fc.constant(utf8('word')),
);
const gossip = fc
  .record({ channel, source: anyName, payload: body })
  .map((message) => encodeGossip(message));
const unicast = fc
  .record({ channel, source: anyName, destination: anyName, payload: body })
  .map((message) => encodeUnicast(message));
const message = fc.oneof(
  fc.tuple(fc.constantFrom(4, 6), gossip),
  fc.tuple(fc.constant(5), unicast),
  fc.tuple(fc.nat(255), fc.uint8Array({ maxLength: 40 })),
  fc.tuple(fc.constantFrom(4, 5, 6), gossip.chain(mutated)),
  fc.tuple(fc.constantFrom(1, 2, 3, 7), fc.uint8Array({ maxLength: 6 })),
);

test('whatever an admitted peer says, the mesh stays whole', () => {
  fc.assert(
    fc.property(fc.array(message, { maxLength: 12 }), (messages) => {
      const { say, pass, status, mesh } = rig();
      for (const [tag, payload] of messages) {
        say(tag, payload);
        pass(60);
      }
      pass(31_000);
      const { peers, connections } = status();
      assert.equal(peers[0]?.name, ours);
      assert.ok(connections.length <= 2_000);
      assert.ok(mesh.topology.peers.size >= 1);
    }),
    { numRuns: 300 },
  );
});

test('a good message after bad overlay control still counts', () => {
  const { say, isClosed, status } = rig();
  for (const bad of [[], [0], [9, 9], [255]]) say(7, Uint8Array.from(bad));
  say(99, utf8('unknown tag'));
  say(4, encodeGossip({ channel: 'topology', source: theirs, payload: validTopology }));
  assert.equal(isClosed(), false);
  assert.equal(status().peers.length, 8);
});

test('a gossip that does not decode ends the session', () => {
  const { say, isClosed, status } = rig();
  const payload = concatBytes(validTopology.subarray(0, 100), utf8('zzz'));
  say(4, encodeGossip({ channel: 'topology', source: theirs, payload }));
  assert.equal(isClosed(), true);
  assert.equal(status().peers.length, 1, 'and the peer is forgotten');
});
