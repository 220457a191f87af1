/** Names in simulated meshes: they converge through partitions, restarts and slow connections. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { PeerName } from '../../core/peer-name.js';
import { registerNameChannels } from '../../dns/name-channel.js';
import { identityOf, isLive } from '../../dns/name-entry.js';
import { Names, PEER_GRACE_MS } from '../../dns/names.js';
import type { Mesh } from '../../mesh/mesh.js';
import { converge } from './expect.js';
import { forSeeds, type SeededRandom } from './seeded-random.js';
import { SimNetwork } from './sim-network.js';
import type { SimNode } from './sim-node.js';

const MINUTE = 60_000;
const TICK_MS = 500;
const EPOCH_MS = 1_700_000_000_000;
const HOSTNAMES = ['web', 'Web', 'db', 'a.sub', 'cache'].map((name) => `${name}.weave.local.`);

/** A router with names; `names` of a router that dies goes on to be looked at, but not changed. */
interface Peer {
  node: SimNode;
  names: Names;
}

class NamesMesh {
  readonly network: SimNetwork;
  readonly peers: Peer[];
  readonly #random: SeededRandom;

  constructor(random: SeededRandom, count: number) {
    this.#random = random;
    this.network = new SimNetwork(random, { blockProbability: 0.3 });
    this.peers = Array.from({ length: count }, (_, i) => this.#start((i + 1) as PeerName));
    for (const { node } of this.peers.slice(1)) node.connect([this.first.node]);
  }

  get first(): Peer {
    return this.peers[0] as Peer;
  }

  /** One registration or removal somewhere. */
  change(): void {
    const { names } = this.#random.pick(this.peers);
    const hostname = this.#random.pick(HOSTNAMES);
    const containerId = `c${this.#random.below(3)}`;
    if (this.#random.chance(0.3)) {
      names.remove(this.#random.chance(0.5) ? { containerId } : { hostname });
      return;
    }
    const type = this.#random.chance(0.7) ? 'A' : 'AAAA';
    const data =
      type === 'A' ? `10.32.0.${this.#random.below(4)}` : `fd00::${1 + this.#random.below(3)}`;
    names.register(hostname, containerId, { type, data });
  }

  /** The process dies and comes back without memory of its names. */
  restart(index: number): void {
    const { node } = this.peers[index] as Peer;
    node.kill();
    const peer = this.#start(node.name);
    this.peers[index] = peer;
    peer.node.connect([this.first.node === node ? (this.peers[1] as Peer).node : this.first.node]);
  }

  /** Everybody knows exactly what each peer says of itself. */
  agrees(peers: readonly Peer[] = this.peers): boolean {
    const wanted = this.#said(peers.flatMap(({ names }) => [...names.own()].map(identityOf)));
    return peers.every(
      ({ names }) => this.#said([...names.table.all()].filter(isLive).map(identityOf)) === wanted,
    );
  }

  #said(identities: readonly string[]): string {
    return [...identities].sort().join('\n');
  }

  #start(name: PeerName): Peer {
    const clock = {
      nowMs: () => this.network.nowMs,
      wallMs: () => EPOCH_MS + this.network.nowMs,
    };
    let mesh: Mesh | null = null;
    const names = new Names(
      { localPeer: name, domain: 'weave.local.' },
      { clock, isKnownPeer: (peer) => mesh?.topology.peers.has(peer) === true, warn: () => {} },
    );
    const node = this.network.addNode({
      name,
      onMesh: (made) => {
        mesh = made;
        registerNameChannels((channel) => made.registerChannel(channel), { names, clock });
        made.onPeerGone((gone) => names.handlePeerGone(gone, this.network.nowMs));
      },
    });
    const tick = (): void => {
      if (!node.alive) return;
      node.input((nowMs) => names.handleTimeout(nowMs));
      this.network.events.after(TICK_MS, tick);
    };
    tick();
    return { node, names };
  }
}

const nodesOf = (peers: readonly Peer[]): SimNode[] => peers.map(({ node }) => node);

test('what one peer says all know within a second', () => {
  forSeeds(3000, 4, (random) => {
    const mesh = new NamesMesh(random, 5);
    converge(mesh.network, nodesOf(mesh.peers), 2 * MINUTE);
    mesh.network.run(MINUTE);
    for (let i = 0; i < 20; i++) {
      mesh.change();
      mesh.network.runUntil(() => mesh.agrees(), 1_000, 'agreement');
    }
  });
});

test('each half of a partition goes on, and both agree when it heals', () => {
  forSeeds(3100, 6, (random) => {
    const mesh = new NamesMesh(random, 6);
    converge(mesh.network, nodesOf(mesh.peers), 2 * MINUTE);
    for (let i = 0; i < 20; i++) mesh.change();
    mesh.network.runUntil(() => mesh.agrees(), MINUTE, 'agreement before');
    const [left, right] = [mesh.peers.slice(0, 3), mesh.peers.slice(3)];
    mesh.network.partition(nodesOf(left), nodesOf(right));
    for (let i = 0; i < 20; i++) {
      mesh.change();
      mesh.network.run(random.below(5_000));
    }
    mesh.network.runUntil(
      () => mesh.agrees(left) && mesh.agrees(right),
      4 * MINUTE,
      'each half without the other',
    );
    mesh.network.heal();
    mesh.network.runUntil(() => mesh.agrees(), 14 * MINUTE, 'agreement after');
  });
});

test('peers that restart without memory end what others remember of them', () => {
  forSeeds(3200, 5, (random) => {
    const mesh = new NamesMesh(random, 4);
    converge(mesh.network, nodesOf(mesh.peers), 2 * MINUTE);
    for (let round = 0; round < 6; round++) {
      for (let i = 0; i < 5; i++) mesh.change();
      mesh.network.run(random.below(2_000));
      if (random.chance(0.5)) mesh.restart(random.below(4));
      else mesh.network.breakConnection();
    }
    mesh.network.runUntil(() => mesh.agrees(), 5 * MINUTE, 'agreement');
  });
});

test('the names of a peer that dies go within ten seconds of its end', () => {
  forSeeds(3300, 4, (random) => {
    const mesh = new NamesMesh(random, 5);
    converge(mesh.network, nodesOf(mesh.peers), 2 * MINUTE);
    for (let i = 0; i < 20; i++) mesh.change();
    mesh.network.runUntil(() => mesh.agrees(), MINUTE, 'agreement');
    const [dead] = mesh.peers.splice(2, 1);
    dead?.node.kill();
    mesh.network.runUntil(() => mesh.agrees(), PEER_GRACE_MS + 5_000, 'its names gone');
  });
});

test('tombstones die out, and do not come back from neighbours', () => {
  forSeeds(3400, 2, (random) => {
    const mesh = new NamesMesh(random, 4);
    converge(mesh.network, nodesOf(mesh.peers), 2 * MINUTE);
    for (let i = 0; i < 40; i++) {
      mesh.change();
      mesh.network.run(random.below(60_000));
    }
    mesh.network.run(40 * MINUTE);
    for (const { names } of mesh.peers) assert.equal(names.table.tombstoneCount, 0);
    assert.ok(mesh.agrees());
  });
});
