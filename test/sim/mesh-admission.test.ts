/** Who gets in, simulated: passwords, limits, own name, overlays, strangers, trust. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { equalBytes, utf8 } from '../../core/bytes.js';
import { parseCidr } from '../../core/ip.js';
import { converge, isFullMesh } from './expect.js';
import { forSeeds, type SeededRandom } from './seeded-random.js';
import { SimNetwork } from './sim-network.js';
import type { SimNode, SimNodeOptions } from './sim-node.js';

const MINUTE = 60_000;

function pair(
  random: SeededRandom,
  left: Partial<SimNodeOptions>,
  right: Partial<SimNodeOptions>,
): { network: SimNetwork; a: SimNode; b: SimNode } {
  const network = new SimNetwork(random);
  const a = network.addNode({ ...left, name: 1 as SimNode['name'] });
  const b = network.addNode({ ...right, name: 2 as SimNode['name'] });
  b.connect([a]);
  return { network, a, b };
}

const only = (node: SimNode) => {
  const { connections } = node.status();
  assert.equal(connections.length, 1, JSON.stringify(connections));
  return connections[0] as (typeof connections)[number];
};

for (const [what, left, right, text] of [
  ['different passwords', 'one', 'two', /Unable to decrypt TCP msg|refused by the peer/],
  ['a password on the called side only', 'one', null, /password|refused by the peer/],
  ['a password on the calling side only', null, 'two', /password|refused by the peer/],
] as const) {
  test(`${what}: refused, and the status of both sides tells why`, () => {
    forSeeds(3000, 4, (random) => {
      const passwordOf = (value: string | null) => (value === null ? null : utf8(value));
      const { network, a, b } = pair(
        random,
        { password: passwordOf(left) },
        { password: passwordOf(right) },
      );
      network.run(20_000);
      for (const node of [a, b]) {
        const { state, outbound, lastError } = only(node);
        assert.ok(['failed', 'retrying'].includes(state), state);
        assert.equal(outbound, node === b);
        assert.match(lastError?.text ?? '', text);
        assert.equal(node.mesh.topology.peers.size, 1, 'nobody got in');
      }
      // When the password is mended the old trouble goes away.
      const mended = network.restart(b, { password: passwordOf(left) });
      mended.connect([a]);
      network.runUntil(() => only(a).state === 'established', MINUTE, 'the right password');
    });
  });
}

test('with one password sessions are encrypted, and both overlays get the same key', () => {
  forSeeds(3100, 3, (random) => {
    const password = utf8('wfvAwt7sj');
    const { network, a, b } = pair(random, { password }, { password });
    network.runUntil(() => isFullMesh([a, b]), MINUTE, 'connection');
    assert.equal(only(a).encrypted, true);
    const [keyA, keyB] = [a, b].map((node) => {
      const [link] = node.overlays[0]?.links.values() ?? [];
      return link?.peering.sessionKey ?? new Uint8Array(0);
    }) as [Uint8Array, Uint8Array];
    assert.equal(keyA.length, 32);
    assert.ok(equalBytes(keyA, keyB) && keyA.some((byte) => byte !== 0));
  });
});

test('mutual trust lets frames go in the clear, one-sided trust does not', () => {
  const trustedSubnets = [parseCidr('10.0.0.0/24')];
  for (const mutual of [true, false]) {
    forSeeds(3200, 2, (random) => {
      const password = utf8('p');
      const trusting = { password, trustedSubnets };
      const { network, a, b } = pair(random, trusting, mutual ? trusting : { password });
      network.runUntil(() => isFullMesh([a, b]), MINUTE, 'connection');
      assert.equal(only(a).encrypted, true, 'the TCP session stays sealed');
      for (const node of [a, b]) {
        const [link] = node.overlays[0]?.links.values() ?? [];
        assert.equal(link?.peering.sessionKey === null, mutual);
      }
    });
  }
});

test('both ends agree on a cipher, also with a router of the original and over protocol 1', () => {
  const password = utf8('p');
  for (const [left, right, cipher] of [
    [{}, {}, 'aes-256-gcm'],
    // What the original does: it announces nothing and has NaCl.
    [{ ciphers: ['nacl'] }, {}, 'nacl'],
    [{}, { maxVersion: 1 }, 'nacl'],
    [{ ciphers: ['aes-256-gcm'] }, {}, 'aes-256-gcm'],
  ] as const) {
    forSeeds(3250, 2, (random) => {
      const { network, a, b } = pair(random, { password, ...left }, { password, ...right });
      network.runUntil(() => isFullMesh([a, b]), MINUTE, 'connection');
      for (const node of [a, b]) {
        const [link] = node.overlays[0]?.links.values() ?? [];
        assert.equal(link?.peering.cipher, cipher);
      }
    });
  }
});

test('no cipher in common: refused, and the status of both sides tells why; later mended', () => {
  forSeeds(3270, 3, (random) => {
    const password = utf8('p');
    const strict = { password, ciphers: ['aes-256-gcm'] } as const;
    const old = { password, ciphers: ['nacl'] } as const;
    const { network, a, b } = pair(random, strict, old);
    network.run(20_000);
    assert.match(only(a).lastError?.text ?? '', /theirs: nacl; ours: aes-256-gcm/);
    assert.match(only(b).lastError?.text ?? '', /theirs: aes-256-gcm; ours: nacl/);
    for (const node of [a, b]) {
      assert.equal(only(node).lastError?.code, 'no-common-cipher');
      assert.equal(node.mesh.topology.peers.size, 1, 'nobody got in');
    }
    const mended = network.restart(b, { password });
    mended.connect([a]);
    network.runUntil(() => only(a).state === 'established', MINUTE, 'a cipher in common');
    // Without a password there is nothing to agree on.
    const clear = pair(random, { ciphers: ['aes-256-gcm'] }, { ciphers: ['nacl'] });
    clear.network.runUntil(() => isFullMesh([clear.a, clear.b]), MINUTE, 'connection');
  });
});

test('protocol 1 works with a password and without', () => {
  for (const password of [null, utf8('p')]) {
    forSeeds(3300, 2, (random) => {
      const { network, a, b } = pair(random, { password, maxVersion: 1 }, { password });
      converge(network, [a, b], MINUTE);
      assert.equal(only(a).protocolVersion, 1);
      assert.equal(only(b).overlay, 'sleeve');
    });
  }
});

test('versions that do not overlap: refused', () => {
  forSeeds(3350, 2, (random) => {
    const { network, a, b } = pair(random, { maxVersion: 1 }, { minVersion: 2 });
    network.run(5_000);
    assert.match(only(b).lastError?.text ?? '', /version|refused by the peer/);
    assert.equal(a.mesh.topology.peers.size, 1);
  });
});

test('the connection limit counts both polarities and removes the refused at once', () => {
  forSeeds(3400, 3, (random) => {
    const network = new SimNetwork(random);
    const hub = network.addNode({ name: 100 as SimNode['name'], connLimit: 2, discovery: false });
    const callers = network.addNodes(4, { discovery: false });
    for (const caller of callers) caller.connect([hub]);
    network.run(10_000);
    const { connections } = hub.status();
    const open = connections.filter(({ state }) => state === 'established');
    assert.equal(open.length, 2);
    assert.equal(hub.mesh.topology.peers.size, 3, 'no trace of the others (C33)');
    assert.ok(connections.some(({ lastError }) => lastError?.code === 'connection-limit'));
  });
});

test('calling oneself is given up for good, unless the user asks again', () => {
  forSeeds(3500, 2, (random) => {
    const network = new SimNetwork(random);
    const [node] = network.addNodes(1) as [SimNode];
    node.connect([node]);
    network.run(MINUTE);
    const { state, retryAt, lastError } = only(node);
    assert.deepEqual([state, retryAt], ['failed', 'never']);
    assert.equal(lastError?.text, 'cannot connect to ourself');
    assert.equal(node.status().terminationCount, 0);
    assert.equal(node.status().counters['dial-attempts'], 1);
    node.connect([node]);
    network.run(MINUTE);
    assert.equal(node.status().counters['dial-attempts'], 2);
  });
});

test('no overlay in common: refused with the reason; several: the best that works is used', () => {
  forSeeds(3600, 2, (random) => {
    const refused = pair(random, { overlays: ['awsvpc'] }, { overlays: ['sleeve'] });
    refused.network.run(5_000);
    const texts = [refused.a, refused.b].map((node) => only(node).lastError?.text ?? '');
    assert.ok(texts.some((text) => text.startsWith('no overlays in common with peer')));

    const both = { overlays: ['fastdp', 'sleeve'] };
    const { network, a, b } = pair(random, both, both);
    network.runUntil(() => isFullMesh([a, b]), MINUTE, 'connection');
    network.run(2_000);
    assert.equal(only(a).overlay, 'fastdp');
    assert.equal(only(a).overlayReason, 'fastdp is the best overlay that works.');
    const [connId] = a.overlays[0]?.links.keys() ?? [];
    a.overlays[0]?.onEvent({ type: 'failed', connId: connId as number, code: 'x', reason: 'gone' });
    network.run(1_000);
    assert.equal(only(a).overlay, 'sleeve');
    assert.match(only(a).overlayReason ?? '', /fastdp failed: gone/);
    assert.equal(only(a).state, 'established');
    a.overlays[1]?.onEvent({ type: 'failed', connId: connId as number, code: 'y', reason: 'lost' });
    network.run(200);
    const ended = a.status();
    assert.equal(ended.counters['connections-ended-y'], 1);
  });
});

test('a silent UDP path ends the connection with the overlay reason', () => {
  forSeeds(3700, 2, (random) => {
    const { network, a, b } = pair(random, {}, {});
    network.blockUdp(a, b);
    network.run(90_000);
    for (const node of [a, b]) {
      // The next session is up already, with the same trouble ahead.
      const { state, lastError } = only(node);
      assert.equal(state, 'pending');
      assert.ok(lastError !== null);
    }
    const codes = [a, b].map((node) => Object.keys(node.status().counters));
    assert.ok(codes.flat().includes('connections-ended-heartbeat-timeout'));
  });
});

test('connect --replace and forget change the targets, not the open connections', () => {
  forSeeds(3800, 2, (random) => {
    const network = new SimNetwork(random);
    const [a, b, c] = network.addNodes(3, { discovery: false }) as [SimNode, SimNode, SimNode];
    a.connect([b]);
    network.run(5_000);
    assert.deepEqual(a.targets, [b.ip]);
    a.connect([c], true);
    network.run(5_000);
    assert.deepEqual(a.targets, [c.ip]);
    assert.equal(a.sockets.size, 2);
    a.input((nowMs) => a.mesh.forget([c.ip], nowMs));
    network.run(5_000);
    assert.deepEqual(a.targets, []);
    assert.equal(a.sockets.size, 2);
    c.kill();
    network.run(5_000);
    assert.equal(a.sockets.size, 1);
    assert.equal(a.status().connections.length, 1, 'nobody calls the forgotten');
  });
});

test('stop ends all sessions in order, and the others find them ended', () => {
  forSeeds(3900, 2, (random) => {
    const { network, a, b } = pair(random, {}, {});
    converge(network, [a, b], MINUTE);
    a.input((nowMs) => a.mesh.stop(nowMs));
    network.run(500);
    assert.equal(a.sockets.size, 0);
    assert.equal(b.mesh.topology.peers.size, 1);
    network.run(MINUTE);
    assert.equal(a.mesh.topology.peers.size, 1, 'callers are turned away');
    assert.ok((a.status().counters['connections-rejected-accept-rate'] ?? 0) > 0);
  });
});
