/**
 * Nodes that join and leave a cluster in random order: each one's addresses come back, through one
 * of the others, and the ring is sound at every moment.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseCidr } from '../../core/ip.js';
import { formatPeerName, type PeerName } from '../../core/peer-name.js';
import { ClusterWorld } from './cluster-world.js';
import { expectNothingLost } from './ipam-final.js';
import type { IpamHost } from './ipam-host.js';
import { IpamWorld } from './ipam-world.js';
import { forSeeds, type SeededRandom } from './seeded-random.js';

const MINUTE = 60_000;
/** Nodes that are there at some time or other. */
const NODES = 50;
const FIRST = 3;
/** Nodes at one time; beyond it nobody joins. */
const AT_ONCE = 20;

interface Member {
  readonly node: string;
  readonly host: IpamHost;
}

class Life {
  readonly cluster: ClusterWorld;
  readonly world: IpamWorld;
  readonly random: SeededRandom;
  readonly members: Member[] = [];
  readonly gone: PeerName[] = [];
  #joined = FIRST;

  constructor(random: SeededRandom) {
    this.random = random;
    this.world = new IpamWorld(
      {
        hosts: FIRST,
        universe: parseCidr('10.32.0.0/24'),
        init: () => ({ mode: 'consensus', peers: FIRST }),
        reclaimAfterMs: null,
        loss: random.pick([0, 0.02]),
        maxDelayMs: random.pick([50, 500]),
      },
      random,
    );
    this.cluster = new ClusterWorld(this.world, random);
    this.cluster.failures = random.pick([0, 0.05, 0.2]);
    for (const host of this.world.hosts) this.#enter(`node-${host.name}`, host);
    for (const { host } of this.members) host.allocate();
    this.world.run(MINUTE);
  }

  get isComplete(): boolean {
    return this.#joined === NODES;
  }

  join(): void {
    if (this.members.length >= AT_ONCE || this.isComplete) return;
    this.#joined += 1;
    const name = this.#joined as PeerName;
    // A machine that was set up anew keeps its place in the cluster, not its peer name.
    const reused = this.random.chance(0.15) ? this.random.pick(this.members) : null;
    if (reused !== null) {
      this.#drop(reused);
      this.world.kill(reused.host);
    }
    this.#enter(reused?.node ?? `node-${name}`, this.world.join(name));
  }

  leave(): void {
    if (this.members.length <= FIRST) return;
    const member = this.random.pick(this.members);
    this.#drop(member);
    // Whoever operates the cluster removes the node before the machine ends, or after.
    const nodeFirst = this.random.chance(0.5);
    const endMachine = (): void => {
      this.cluster.stopAgent(member.host);
      this.world.kill(member.host);
    };
    if (nodeFirst) this.cluster.removeNode(member.node);
    else endMachine();
    this.world.after(this.random.float() * MINUTE, () => {
      if (nodeFirst) endMachine();
      else this.cluster.removeNode(member.node);
    });
  }

  /** A node that is only unreachable, or starts anew, stays what it was. */
  restart(): void {
    const { host, node } = this.random.pick(this.members);
    if (!host.isUp) return;
    this.cluster.stopAgent(host);
    this.world.stop(host);
    this.world.after(this.random.float() * MINUTE, () => {
      if (host.dead) return;
      this.world.start(host);
      this.cluster.startAgent(node, host);
    });
  }

  work(): void {
    const { host } = this.random.pick(this.members);
    if (!this.cluster.isListed(host)) return;
    const workloads = [...host.workloads.values()];
    if (workloads.length < 6 || this.random.chance(0.5)) host.allocate();
    else host.release(this.random.pick(workloads));
  }

  #enter(node: string, host: IpamHost): void {
    this.members.push({ node, host });
    this.cluster.addNode(node, host);
  }

  #drop(member: Member): void {
    this.members.splice(this.members.indexOf(member), 1);
    this.gone.push(member.host.name);
  }
}

function live(random: SeededRandom): Life {
  const life = new Life(random);
  while (!life.isComplete) {
    const dice = random.float();
    if (dice < 0.35) life.join();
    else if (dice < 0.6) life.leave();
    else if (dice < 0.65) life.restart();
    for (let i = 0; i < 3; i++) life.work();
    life.world.run(random.pick([200, 2_000, 20_000]));
  }
  return life;
}

test(`${NODES} nodes join and leave; what they had comes back, once`, (t) => {
  let most = 0;
  forSeeds(90_000, 3, (random) => {
    const life = live(random);
    const { cluster, world } = life;
    cluster.failures = 0;
    // Longer than the slowest look at the record.
    for (let minute = 0; minute < 30; minute++) {
      const before = cluster.requests;
      world.run(MINUTE, 15_000);
      most = Math.max(most, (cluster.requests - before) / life.members.length);
    }
    if (process.env['SIM_TRACE'] !== undefined) console.log(cluster.describe());
    const living = life.members.map(({ host }) => formatPeerName(host.name)).sort();
    assert.deepEqual([...cluster.peers].sort(), living, 'the record holds who is there');
    for (const peer of life.gone) {
      const takers = cluster.removals.get(formatPeerName(peer)) ?? [];
      const many = `${formatPeerName(peer)} was taken over by ${takers.join()}`;
      assert.ok(new Set(takers).size <= 1 && takers.length <= 1, many);
    }
    const owners = new Set(world.up.flatMap((host) => host.status().owners.map((o) => o.peer)));
    for (const peer of life.gone) assert.ok(!owners.has(peer), `host${peer} still owns a range`);
    expectNothingLost(world);
  });
  t.diagnostic(`at most ${most.toFixed(1)} requests a minute and node once nodes stay`);
  assert.ok(most < 20);
});
