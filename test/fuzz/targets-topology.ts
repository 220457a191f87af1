/** Topology updates of hostile peers, against the table, the routes and the connection maker. */
import { ByteReader } from '../../core/bytes.js';
import { DecodeError } from '../../core/errors.js';
import type { PeerName } from '../../core/peer-name.js';
import { Dialer } from '../../mesh/peer/dial.js';
import { computeRoutes } from '../../mesh/routes.js';
import { Topology } from '../../mesh/topology.js';
import { encodeTopology } from '../../mesh/topology-codec.js';
import { entry, link, linkMap, seededRandom } from '../support/topology.js';
import type { FuzzTarget } from './target.js';

const SELF = 1 as PeerName;

function newTopology(): Topology {
  const topology = new Topology(
    { self: { name: SELF, nickname: 'self', uid: 100n, shortId: 7 } },
    { random: seededRandom(1) },
  );
  topology.introduce(2 as PeerName, 'two', 200n, 8);
  topology.addConnection(link(2));
  return topology;
}

/** Invariants that no update may break. */
function check(topology: Topology): void {
  if (topology.self.uid !== 100n) throw new Error('an update changed our UID');
  if (topology.self.connections.size !== 1) throw new Error('an update changed our connections');
  const { shortId } = topology.self;
  if (!topology.shortIds.owns(SELF, shortId)) throw new Error('we use a short id of another peer');
  topology.collectGarbage();
  for (const peer of topology.peers.values()) {
    for (const target of peer.connections.keys()) {
      if (!topology.peers.has(target)) throw new Error('a listed peer has no entry');
    }
  }
}

function applyAndUse(payloads: readonly Uint8Array[]): void {
  const topology = newTopology();
  const dialer = new Dialer(
    { ownPort: 6783, discovery: true, connLimit: 0 },
    {
      random: seededRandom(2),
      view: () => ({
        connections: [],
        peers: topology.peers.values(),
        self: SELF,
        connectedPeers: new Set([2 as PeerName]),
        connectionCount: 1,
      }),
    },
  );
  for (const [index, payload] of payloads.entries()) {
    try {
      topology.applyUpdate(payload, index);
    } catch (error) {
      if (!(error instanceof DecodeError)) throw error;
    }
    check(topology);
    const routes = computeRoutes(topology, SELF);
    for (const source of topology.peers.keys()) routes.broadcastAll(source);
    routes.randomNeighbours(null, seededRandom(index));
    dialer.refresh(index);
    const again = topology.applyUpdate(topology.encodeAll(), index);
    if (again.improved.size > 0) throw new Error('our own table is news to us');
  }
}

/** Cuts the input into updates: each has a 16-bit length before it. */
function cut(input: Uint8Array): Uint8Array[] {
  const reader = new ByteReader(input);
  const payloads: Uint8Array[] = [];
  while (reader.remaining >= 2) {
    const wanted = reader.u16be();
    payloads.push(reader.bytes(Math.min(wanted, reader.remaining)));
  }
  return payloads;
}

const updates = [
  encodeTopology([entry(2, { shortId: 7, connections: linkMap([link(1), link(3)]) }), entry(3)]),
  encodeTopology([entry(1, { uid: 9n, version: 40n }), entry(2, { version: 3n, shortId: 60000 })]),
  encodeTopology([entry(4, { connections: linkMap([link(2, { outbound: false })]) })]),
];

function joined(parts: readonly Uint8Array[]): Uint8Array {
  const bytes = parts.flatMap((part) => [part.length >> 8, part.length & 255, ...part]);
  return Uint8Array.from(bytes);
}

export const targets: FuzzTarget[] = [
  { name: 'topology-update', seeds: updates, run: (input) => applyAndUse([input]) },
  { name: 'topology-updates', seeds: [joined(updates)], run: (input) => applyAndUse(cut(input)) },
];
