/** What must hold once a network is at rest: nothing is lost, everything can be handed out. */
import assert from 'node:assert/strict';
import { formatIpv4 } from '../../core/ip.js';
import type { IpamWorld } from './ipam-world.js';

const MINUTE = 60_000;
/** Requests of a host that wait at the same time. */
const AT_ONCE = 6;

/** All live hosts have the same ring, of live owners only. */
function isSettled(world: IpamWorld): boolean {
  const views = world.up.map((host) => {
    const { entries, held, stranded } = host.status();
    const ring = entries.map(({ token, peer }) => `${token} ${peer}`);
    return `${ring.join()} ${held} ${stranded.filter(({ duplicate }) => !duplicate).length}`;
  });
  const [first] = world.up;
  if (first === undefined || new Set(views).size > 1) return false;
  const owners = first.status().owners;
  const living = new Set(world.up.map(({ name }) => name));
  return owners.length > 0 && owners.every(({ peer }) => living.has(peer));
}

/** The dead are removed, everybody else comes back, then addresses are taken until none is left. */
export function expectNothingLost(world: IpamWorld): void {
  world.loss = 0;
  for (const host of world.hosts) host.crashAfter = null;
  world.heal();
  for (const host of world.hosts) if (!host.isUp && !host.dead) world.start(host);
  const [remover] = world.up;
  assert.ok(remover !== undefined);
  for (let round = 0; round < 20 && !isSettled(world); round++) {
    for (const host of world.hosts) if (host.dead) remover.takeOver(host.name);
    // Somebody must want an address, else nobody needs a ring.
    if (remover.status().entries.length === 0 && remover.waiting.size === 0) remover.allocate();
    world.run(MINUTE, 20_000);
  }
  // Whoever waits for what is taken gives up, as clients do.
  for (const host of world.up) {
    for (const id of [...host.waiting.keys()]) host.allocator?.cancel(id, world.nowMs);
    host.drain();
  }
  if (!isSettled(world)) {
    const seen = world.up.map(
      (host) => `host${host.name}: ${host.allocator?.explain(world.nowMs)}`,
    );
    throw new Error(`does not come to rest: ${seen.join(' | ')}`);
  }
  expectAllUsable(world);
}

/** Every address but the first and the last can be had, from whichever host asks. */
function expectAllUsable(world: IpamWorld): void {
  const usable = world.addresses - 2;
  const inUse = (): number => {
    const all = world.up.flatMap(({ workloads }) => [...workloads.keys()]);
    return new Set(all).size;
  };
  let idle = 0;
  for (; inUse() < usable && idle < 6; ) {
    const before = inUse();
    for (const host of world.up) {
      for (let i = host.waiting.size; i < AT_ONCE; i++) host.allocate();
    }
    world.run(20_000, 20_000);
    idle = inUse() === before ? idle + 1 : 0;
  }
  const { universe } = world.options;
  const unused: string[] = [];
  for (let address = universe.address + 1; address <= universe.address + usable; address++) {
    const isUsed = world.up.some(({ workloads }) => workloads.has(address as never));
    if (!isUsed) unused.push(formatIpv4(address as never));
  }
  const seen = world.up.map((host) => `host${host.name}: ${host.allocator?.explain(world.nowMs)}`);
  assert.deepEqual(unused, [], `lost addresses; ${seen.slice(0, 3).join(' | ')}`);
}
