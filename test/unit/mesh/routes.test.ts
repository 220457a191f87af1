/** Routing tables against the original's, against a plain reading of the rules, and in whole meshes. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { formatPeerName, type PeerName, parsePeerName } from '../../../core/peer-name.js';
import { computeRoutes, type RoutedPeer, type TopologyView } from '../../../mesh/routes.js';
import { seededRandom } from '../../support/topology.js';
import { loadVectors } from '../../support/vectors.js';

interface Link {
  readonly from: number;
  readonly to: number;
  readonly established: boolean;
}

function viewOf(names: readonly number[], links: readonly Link[]): TopologyView {
  const peers = new Map<PeerName, RoutedPeer>();
  for (const name of names) {
    const own = links.filter((link) => link.from === name);
    const connections = new Map(
      own.map(({ to, established }) => [
        to as PeerName,
        { remotePeer: to as PeerName, established },
      ]),
    );
    peers.set(name as PeerName, { connections });
  }
  return { peers };
}

interface RouteVectors {
  readonly cases: readonly {
    readonly name: string;
    readonly peers: readonly string[];
    readonly connections: readonly {
      readonly from: string;
      readonly to: string;
      readonly established: boolean;
    }[];
    readonly routes: Readonly<
      Record<
        string,
        {
          readonly unicast: Readonly<Record<string, string>>;
          readonly unicast_all: Readonly<Record<string, string>>;
          readonly broadcast: Readonly<Record<string, readonly string[]>>;
          readonly broadcast_all: Readonly<Record<string, readonly string[]>>;
        }
      >
    >;
    readonly random_neighbour_count: Readonly<Record<string, Readonly<Record<string, number>>>>;
  }[];
}

const unicastRecord = (table: ReadonlyMap<PeerName, PeerName>, self: string) => ({
  // The original lists itself with hop 0.
  [self]: '00:00:00:00:00:00',
  ...Object.fromEntries([...table].map(([to, via]) => [formatPeerName(to), formatPeerName(via)])),
});
const hopTexts = (hops: readonly PeerName[]) => [...hops].sort((a, b) => a - b).map(formatPeerName);

for (const item of loadVectors<RouteVectors>('routes.json').cases) {
  test(`all tables of ${item.name} equal the original's`, () => {
    const links = item.connections.map(({ from, to, established }) => ({
      from: parsePeerName(from),
      to: parsePeerName(to),
      established,
    }));
    const view = viewOf(item.peers.map(parsePeerName), links);
    for (const [self, expected] of Object.entries(item.routes)) {
      const routes = computeRoutes(view, parsePeerName(self));
      assert.deepEqual(unicastRecord(routes.unicast, self), expected.unicast);
      assert.deepEqual(unicastRecord(routes.unicastAll, self), expected.unicast_all);
      const broadcast = [...routes.broadcast].map(([s, hops]) => [
        formatPeerName(s),
        hopTexts(hops),
      ]);
      assert.deepEqual(Object.fromEntries(broadcast), expected.broadcast);
      for (const [source, hops] of Object.entries(expected.broadcast_all)) {
        assert.deepEqual(hopTexts(routes.broadcastAll(parsePeerName(source))), hops);
      }
      for (const [except, count] of Object.entries(item.random_neighbour_count[self] ?? {})) {
        const excluded = except === 'none' ? null : parsePeerName(except);
        assert.equal(routes.randomNeighbourCount(excluded), count);
        const picked = routes.randomNeighbours(excluded, seededRandom(count));
        assert.equal(new Set(picked).size, count);
        assert.ok(excluded === null || !picked.includes(excluded));
      }
    }
  });
}

/** Section 7.1 word for word. */
function referenceWalk(
  view: TopologyView,
  start: PeerName,
  stop: PeerName | null,
  strict: boolean,
) {
  const table = new Map<PeerName, PeerName | 0>([[start, 0]]);
  let level = [start];
  while (level.length > 0) {
    level.sort((a, b) => a - b);
    const next: PeerName[] = [];
    for (const current of level) {
      if (current === stop) return { met: true, table };
      for (const { remotePeer, established } of view.peers.get(current)!.connections.values()) {
        if (strict && !established) continue;
        if (table.has(remotePeer)) continue;
        const back = view.peers.get(remotePeer)!.connections.get(current);
        if (strict && back?.established !== true) continue;
        next.push(remotePeer);
        table.set(remotePeer, current === start ? remotePeer : (table.get(current) as PeerName));
      }
    }
    level = next;
  }
  return { met: false, table };
}

function referenceBroadcast(
  view: TopologyView,
  self: PeerName,
  source: PeerName,
  strict: boolean,
): PeerName[] {
  const { met, table } = referenceWalk(view, source, self, strict);
  if (!met) return [];
  return [...view.peers.get(self)!.connections.values()]
    .filter(({ remotePeer, established }) => {
      const back = view.peers.get(remotePeer)!.connections.get(self);
      const usable = !strict || (established && back?.established === true);
      return usable && !table.has(remotePeer);
    })
    .map(({ remotePeer }) => remotePeer);
}

/** Peers with scattered names, and directed links between them that need not agree. */
const anyTopology = fc
  .uniqueArray(fc.integer({ min: 1, max: 2 ** 48 - 1 }), { minLength: 1, maxLength: 12 })
  .chain((names) => {
    const peer = fc.constantFrom(...names);
    const directed = fc.record({ from: peer, to: peer, established: fc.boolean() });
    const pair = fc.tuple(peer, peer);
    return fc
      .tuple(fc.array(directed, { maxLength: 20 }), fc.array(pair, { maxLength: 30 }))
      .map(([loose, pairs]) => {
        const both = pairs.flatMap(([from, to]) => [
          { from, to, established: true },
          { from: to, to: from, established: true },
        ]);
        return { names, links: [...loose, ...both].filter(({ from, to }) => from !== to) };
      });
  });

test('all tables agree with the rules read literally', () => {
  fc.assert(
    fc.property(anyTopology, ({ names, links }) => {
      const view = viewOf(names, links);
      const sorted = (hops: readonly PeerName[]) => [...hops].sort((a, b) => a - b);
      for (const self of view.peers.keys()) {
        const routes = computeRoutes(view, self);
        for (const strict of [true, false]) {
          const { table } = referenceWalk(view, self, null, strict);
          table.delete(self);
          assert.deepEqual(strict ? routes.unicast : routes.unicastAll, sortedMap(table));
          for (const source of view.peers.keys()) {
            const hops = strict ? routes.broadcast.get(source) : routes.broadcastAll(source);
            const expected = referenceBroadcast(view, self, source, strict);
            assert.deepEqual(sorted(hops ?? []), sorted(expected));
          }
        }
      }
    }),
    { numRuns: 300 },
  );
});

function sortedMap<V>(map: ReadonlyMap<PeerName, V>): Map<PeerName, V> {
  return new Map([...map].sort(([a], [b]) => a - b));
}

test('on a symmetric topology every reachable peer gets each broadcast exactly once', () => {
  const names = fc.uniqueArray(fc.integer({ min: 1, max: 999 }), { minLength: 2, maxLength: 14 });
  const graph = names.chain((list) =>
    fc.tuple(
      fc.constant(list),
      fc.array(fc.tuple(fc.constantFrom(...list), fc.constantFrom(...list)), { maxLength: 40 }),
    ),
  );
  fc.assert(
    fc.property(graph, ([list, pairs]) => {
      const links = pairs
        .filter(([a, b]) => a !== b)
        .flatMap(([a, b]) => [
          { from: a, to: b, established: true },
          { from: b, to: a, established: true },
        ]);
      const view = viewOf(list, links);
      const routes = new Map([...view.peers.keys()].map((p) => [p, computeRoutes(view, p)]));
      for (const [source, own] of routes) {
        for (const strict of [true, false]) {
          const copies = new Map<PeerName, number>();
          const queue = [source];
          for (const at of queue) {
            const table = routes.get(at)!;
            const hops = strict ? table.broadcast.get(source)! : table.broadcastAll(source);
            for (const hop of hops) {
              copies.set(hop, (copies.get(hop) ?? 0) + 1);
              assert.ok(queue.length <= list.length, 'a broadcast circles');
              queue.push(hop);
            }
          }
          const expected = new Map([...own.unicast.keys()].map((peer) => [peer, 1]));
          assert.deepEqual(sortedMap(copies), sortedMap(expected));
        }
      }
    }),
    { numRuns: 300 },
  );
});

test('a neighbour is picked in proportion to the peers behind it', () => {
  // Peer 1 has the neighbours 2, with nobody behind, and 3, with eight peers behind: weights 1 and
  // 9. Both are needed, so what the weights decide is who is drawn first.
  const names = [1, 2, 3, 11, 12, 13, 14, 15, 16, 17, 18];
  const pairs = [[1, 2], [1, 3], ...names.slice(3).map((name) => [3, name])] as [number, number][];
  const links = pairs.flatMap(([a, b]) => [
    { from: a, to: b, established: true },
    { from: b, to: a, established: true },
  ]);
  const routes = computeRoutes(viewOf(names, links), 1 as PeerName);
  const random = seededRandom(7);
  let heavyFirst = 0;
  for (let i = 0; i < 1000; i++) {
    if (routes.randomNeighbours(null, random)[0] === 3) heavyFirst += 1;
  }
  assert.ok(heavyFirst > 860 && heavyFirst < 940, `${heavyFirst} of 1000, 900 expected`);
});

test('an unknown local peer or source has no routes', () => {
  const view = viewOf([1, 2], [{ from: 1, to: 2, established: true }]);
  const stranger = computeRoutes(view, 9 as PeerName);
  assert.equal(stranger.unicast.size + stranger.unicastAll.size, 0);
  assert.deepEqual(stranger.broadcastAll(1 as PeerName), []);
  assert.deepEqual(stranger.broadcast.get(1 as PeerName), []);
  assert.deepEqual(stranger.randomNeighbours(null, seededRandom(1)), []);
  assert.deepEqual(computeRoutes(view, 1 as PeerName).broadcastAll(9 as PeerName), []);
});

test('links to peers without an entry are ignored', () => {
  const view = viewOf([1], [{ from: 1, to: 2, established: true }]);
  assert.equal(computeRoutes(view, 1 as PeerName).unicastAll.size, 0);
});
