/** Gossip between simulated routers: channels, surrogates, broadcasts, unicasts, failures. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { utf8 } from '../../core/bytes.js';
import { converge } from './expect.js';
import { forSeeds, type SeededRandom } from './seeded-random.js';
import { Words } from './sim-channel.js';
import { SimNetwork } from './sim-network.js';
import type { SimNode, SimNodeOptions } from './sim-node.js';

const MINUTE = 60_000;

/** 1 - 2 - … - count, nobody dials anybody else. */
function chain(
  random: SeededRandom,
  count: number,
  optionsOf: (index: number) => Partial<SimNodeOptions> = () => ({}),
): { network: SimNetwork; nodes: SimNode[] } {
  const network = new SimNetwork(random);
  const nodes: SimNode[] = [];
  for (let i = 0; i < count; i++) {
    const name = (i + 1) as SimNode['name'];
    const node = network.addNode({ discovery: false, ...optionsOf(i), name });
    if (i > 0) node.connect([nodes[i - 1] as SimNode]);
    nodes.push(node);
  }
  converge(network, nodes, MINUTE);
  return { network, nodes };
}

test('news spreads to everybody, also to those who join later', () => {
  forSeeds(2000, 4, (random) => {
    const { network, nodes } = chain(random, 5);
    const [first] = nodes as [SimNode];
    first.words.words.add('alpha');
    first.sender().neighbours(new Words(['alpha']));
    const allKnow = (): boolean => nodes.every(({ words }) => words.words.has('alpha'));
    network.runUntil(allKnow, 5_000, 'alpha everywhere');
    const late = network.addNode({ name: 50 as SimNode['name'] });
    late.connect([nodes[4] as SimNode]);
    nodes.push(late);
    network.runUntil(allKnow, 2_000, 'alpha at the newcomer with its first messages');
  });
});

test('gossip broadcasts reach everybody exactly once, through slow connections too', () => {
  forSeeds(2100, 4, (random) => {
    const network = new SimNetwork(random, { blockProbability: 0.5 });
    const nodes = network.addNodes(8);
    for (const node of nodes.slice(1)) node.connect([nodes[0] as SimNode]);
    converge(network, nodes, 5 * MINUTE);
    network.run(2 * MINUTE);
    for (const [i, node] of nodes.entries()) {
      node.sender().broadcast(new Words([`from-${i}`]));
    }
    network.run(20_000);
    for (const [i, source] of nodes.entries()) {
      for (const node of nodes) {
        const expected = node === source ? undefined : 1;
        assert.equal(node.words.broadcasts.get(`from-${i}`), expected);
      }
    }
  });
});

test('a router that lacks a channel passes it on between those that have it', () => {
  forSeeds(2200, 4, (random) => {
    const { network, nodes } = chain(random, 4, (i) => ({
      channels: i === 1 || i === 2 ? [] : ['secret'],
    }));
    const [first, , , last] = nodes as [SimNode, SimNode, SimNode, SimNode];
    first.channels.get('secret')?.words.add('one');
    first.sender('secret').neighbours(new Words(['one']));
    first.sender('secret').broadcast(new Words(['two']));
    first.sender('secret').unicast(last.name, utf8('three'));
    network.run(10_000);
    const there = last.channels.get('secret');
    assert.deepEqual(there?.words, new Set(['one', 'two']));
    assert.deepEqual(there?.broadcasts, new Map([['two', 1]]));
    assert.deepEqual(there?.unicasts, [{ source: first.name, text: 'three' }]);
    // Whole states keep coming every 30 s; surrogates must not let them circle in between.
    const before = first.status().counters['messages-received-tag-4'] ?? 0;
    network.run(2 * MINUTE);
    const after = first.status().counters['messages-received-tag-4'] ?? 0;
    assert.ok(after - before < 40, `${after - before} messages in two idle minutes`);
  });
});

test('unicasts without a way are refused, and nothing goes round in circles', () => {
  forSeeds(2300, 2, (random) => {
    const { network, nodes } = chain(random, 3);
    const [first, middle] = nodes as [SimNode, SimNode];
    assert.equal(first.sender().unicast(77 as SimNode['name'], utf8('x')), false);
    const [, , last] = nodes as [SimNode, SimNode, SimNode];
    last.kill();
    // The first has not heard yet; the middle finds no way on.
    assert.equal(first.sender().unicast(last.name, utf8('x')), true);
    network.run(5_000);
    const { counters } = middle.status();
    assert.ok((counters['gossip-unicasts-no-route'] ?? 0) <= 1);
    assert.equal(counters['gossip-unicasts-turned-back'], 0);
  });
});

test('a contradiction in a channel ends the connection, and its text shows on this side', () => {
  forSeeds(2400, 2, (random) => {
    const { network, nodes } = chain(random, 2);
    const [first, second] = nodes as [SimNode, SimNode];
    first.sender().neighbours(new Words(['poison']));
    network.runUntil(
      () => second.status().connections.some(({ lastError }) => lastError !== null),
      5_000,
      'an error in the status',
    );
    const [connection] = second.status().connections;
    assert.equal(connection?.lastError?.code, 'poison');
    assert.equal(connection?.lastError?.text, 'seeded by different peers');
    converge(network, nodes, MINUTE);
  });
});

test('much news behind a blocked connection becomes few messages', () => {
  forSeeds(2500, 2, (random) => {
    const network = new SimNetwork(random, { blockProbability: 1 });
    const nodes = network.addNodes(2);
    nodes[1]?.connect([nodes[0] as SimNode]);
    converge(network, nodes, 5 * MINUTE);
    const [first, second] = nodes as [SimNode, SimNode];
    network.run(5_000);
    const before = second.status().counters['messages-received-tag-4'] ?? 0;
    for (let i = 0; i < 1000; i++) first.sender().neighbours(new Words([`w${i}`]));
    network.run(5_000);
    assert.equal(second.words.words.size, 1000);
    const count = (second.status().counters['messages-received-tag-4'] ?? 0) - before;
    assert.ok(count <= 5, `${count} messages`);
  });
});
