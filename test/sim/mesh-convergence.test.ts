/** Many routers, simulated: whatever happened, they agree again once the network is quiet. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { PeerName } from '../../core/peer-name.js';
import {
  assertExactlyOnce,
  assertUniqueShortIds,
  converge,
  isConverged,
  isFullMesh,
  viewOf,
} from './expect.js';
import { forSeeds, type SeededRandom } from './seeded-random.js';
import { SimNetwork } from './sim-network.js';
import type { SimNode } from './sim-node.js';

const MINUTE = 60_000;

/** Everybody knows the first one; the rest is discovery. */
function star(random: SeededRandom, count: number): { network: SimNetwork; nodes: SimNode[] } {
  const network = new SimNetwork(random);
  const nodes = network.addNodes(count);
  for (const node of nodes.slice(1)) node.connect([nodes[0] as SimNode]);
  return { network, nodes };
}

test('routers that know one of them form a full mesh and agree on it', () => {
  forSeeds(100, 6, (random) => {
    const { network, nodes } = star(random, 2 + random.below(8));
    network.runUntil(() => isFullMesh(nodes) && isConverged(nodes), 2 * MINUTE, 'full mesh');
    assertExactlyOnce(network, nodes);
    assertUniqueShortIds(nodes);
  });
});

test('routers that all dial each other end with one connection per pair', () => {
  forSeeds(200, 6, (random) => {
    const network = new SimNetwork(random);
    const nodes = network.addNodes(5);
    for (const node of nodes) node.connect(nodes.filter((other) => other !== node));
    network.runUntil(() => isFullMesh(nodes) && isConverged(nodes), 2 * MINUTE, 'full mesh');
    network.run(MINUTE);
    assert.ok(isFullMesh(nodes) && isConverged(nodes), network.describe());
    for (const node of nodes) {
      assert.equal(node.sockets.size, nodes.length - 1, 'no socket is left over');
      const waiting = node.status().connections.filter(({ state }) => state !== 'established');
      assert.deepEqual(waiting, []);
    }
  });
});

test('a chain without discovery relays everything, along one path', () => {
  forSeeds(300, 4, (random) => {
    const network = new SimNetwork(random);
    const nodes = network.addNodes(6, { discovery: false });
    for (const [i, node] of nodes.entries()) if (i > 0) node.connect([nodes[i - 1] as SimNode]);
    converge(network, nodes, MINUTE);
    network.run(MINUTE);
    for (const node of nodes) assert.ok(node.sockets.size <= 2, 'nobody dialled what was gossiped');
    assertExactlyOnce(network, nodes);
    const [first, last] = [nodes[0], nodes[5]] as [SimNode, SimNode];
    assert.equal(first.sender().unicast(last.name, new Uint8Array([104, 105])), true);
    network.run(1000);
    assert.deepEqual(last.words.unicasts, [{ source: first.name, text: 'hi' }]);
  });
});

test('random sparse networks with losses converge, and broadcasts arrive exactly once', () => {
  forSeeds(400, 8, (random) => {
    const network = new SimNetwork(random);
    const nodes = network.addNodes(3 + random.below(8), { discovery: false });
    for (const [i, node] of nodes.entries()) {
      const others = nodes.filter(() => random.chance(0.2));
      if (i > 0) others.push(nodes[random.below(i)] as SimNode);
      node.connect(others);
    }
    for (let i = 0; i < 20; i++) {
      network.run(random.below(5_000));
      network.breakConnection();
    }
    converge(network, nodes, 10 * MINUTE);
    assertExactlyOnce(network, nodes);
  });
});

test('a partition splits the mesh, and it heals', () => {
  forSeeds(500, 4, (random) => {
    const { network, nodes } = star(random, 6);
    converge(network, nodes, 2 * MINUTE);
    const [left, right] = [nodes.slice(0, 3), nodes.slice(3)];
    network.partition(left, right);
    network.runUntil(() => isConverged(left) && isConverged(right), 4 * MINUTE, 'two halves');
    const peersGone = new Set((left[0] as SimNode).gone);
    assert.deepEqual(peersGone, new Set(right.map(({ name }) => name)));
    // Each half learns something that the other will have to be told.
    left[0]?.sender().neighbours(wordsOf(left[0], 'left'));
    right[0]?.sender().neighbours(wordsOf(right[0], 'right'));
    network.run(5_000);
    network.heal();
    network.runUntil(() => isFullMesh(nodes) && isConverged(nodes), 12 * MINUTE, 'healing');
    network.runUntil(
      () => nodes.every(({ words }) => words.words.has('left') && words.words.has('right')),
      2 * MINUTE,
      'exchange of words',
    );
  });
});

test('routers that restart under the same name are taken in again', () => {
  forSeeds(600, 5, (random) => {
    const { network, nodes } = star(random, 5);
    converge(network, nodes, 2 * MINUTE);
    for (let i = 0; i < 3; i++) {
      const at = 1 + random.below(4);
      const restarted = network.restart(nodes[at] as SimNode);
      nodes[at] = restarted;
      restarted.connect([nodes[0] as SimNode]);
      network.run(random.below(3_000));
    }
    network.runUntil(() => isFullMesh(nodes) && isConverged(nodes), 5 * MINUTE, 'restarts');
    for (const node of nodes) assert.deepEqual(node.status().warnings, []);
  });
});

test('routers that die are forgotten by all', () => {
  forSeeds(700, 4, (random) => {
    const { network, nodes } = star(random, 6);
    converge(network, nodes, 2 * MINUTE);
    const dead = nodes.splice(2, 2);
    for (const node of dead) node.kill();
    converge(network, nodes, 2 * MINUTE);
    for (const node of nodes) {
      const forgotten = new Set(node.overlays[0]?.forgotten);
      for (const { name } of dead) assert.ok(forgotten.has(name), 'the data path was told');
    }
  });
});

test('equal short ids are resolved', () => {
  forSeeds(800, 5, (random) => {
    const network = new SimNetwork(random);
    const nodes = network.addNodes(5, { shortId: 7 });
    for (const node of nodes.slice(1)) node.connect([nodes[0] as SimNode]);
    converge(network, nodes, 2 * MINUTE);
    assertUniqueShortIds(nodes);
    assert.equal(nodes[0]?.mesh.topology.self.shortId, 7, 'the lowest name keeps it');
  });
});

test('while UDP is blocked a connection is pending and carries gossip, but no frames', () => {
  forSeeds(900, 3, (random) => {
    const network = new SimNetwork(random);
    const [a, b, c] = network.addNodes(3) as [SimNode, SimNode, SimNode];
    network.blockUdp(a, b);
    b.connect([a]);
    c.connect([a]);
    network.runUntil(() => a.mesh.routes.unicast.get(b.name) === c.name, MINUTE, 'way around');
    const pending = a.status().connections.filter(({ state }) => state === 'pending');
    assert.deepEqual(
      pending.map(({ peer }) => peer?.name),
      [b.name],
    );
    assert.equal(a.mesh.routes.unicastAll.get(b.name), b.name);
    network.unblockUdp();
    network.runUntil(() => isFullMesh([a, b, c]), 12 * MINUTE, 'direct path');
    network.runUntil(() => a.mesh.routes.unicast.get(b.name) === b.name, 5_000, 'direct route');
  });
});

test('without changes nothing changes', () => {
  forSeeds(1000, 2, (random) => {
    const { network, nodes } = star(random, 6);
    network.runUntil(() => isFullMesh(nodes) && isConverged(nodes), 2 * MINUTE, 'full mesh');
    network.run(5_000);
    const view = viewOf(nodes[0] as SimNode);
    network.run(30 * MINUTE);
    for (const node of nodes) {
      assert.equal(viewOf(node), view);
      assert.equal(node.status().terminationCount <= 20, true);
    }
  });
});

function wordsOf(node: SimNode, word: string) {
  node.words.words.add(word);
  const data = node.words.completeState();
  assert.ok(data !== null);
  return data;
}

test('two routers with one name: both are warned, with both hosts named', () => {
  forSeeds(1100, 2, (random) => {
    const network = new SimNetwork(random);
    const [hub] = network.addNodes(1, { discovery: false }) as [SimNode];
    const first = network.addNode({ name: 9 as PeerName, nickname: 'red' }, 20);
    const second = network.addNode({ name: 9 as PeerName, nickname: 'blue' }, 21);
    first.connect([hub]);
    second.connect([first]);
    network.runUntil(() => first.status().warnings.length > 0, MINUTE, 'a warning');
    for (const node of [first, second]) {
      const [warning] = node.status().warnings;
      assert.match(warning ?? '', /red/);
      assert.match(warning ?? '', /blue/);
    }
    const target = second.status().connections.find(({ address }) => address === '10.0.0.20:6783');
    assert.equal(target?.state, 'failed');
    assert.equal(target?.retryAt, 'never');
    assert.match(target?.lastError?.text ?? '', /peer names collision/);
  });
});
