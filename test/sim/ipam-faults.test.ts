/**
 * The allocator's promise under faults: no address is owned twice, none is lost for ever, every
 * allocation that can succeed does. `SIM_SEED` repeats a run, `IPAM_SIM_SEEDS` sets how many.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Ipv4, parseCidr } from '../../core/ip.js';
import { DEFAULT_TUNING, type IpamTuning } from '../../ipam/tuning.js';
import { expectNothingLost } from './ipam-final.js';
import type { IpamHost } from './ipam-host.js';
import { IpamWorld } from './ipam-world.js';
import { forSeeds, SeededRandom } from './seeded-random.js';

const MINUTE = 60_000;
const SEEDS = Number(process.env['IPAM_SIM_SEEDS'] ?? 250);

/** Merges that keep what is in use here, whatever others say: what the simulation must notice. */
const BROKEN: IpamTuning = { ...DEFAULT_TUNING, resolve: () => 'keep' };

/** Few addresses, so that hosts run out and ask each other. */
function makeWorld(
  random: SeededRandom,
  hosts: number,
  reclaimAfterMs: number | null,
  tuning: IpamTuning = DEFAULT_TUNING,
): IpamWorld {
  const universe = parseCidr(random.pick(['10.32.0.0/27', '10.32.0.0/26', '10.32.0.0/25']));
  const seeded = random.chance(0.5);
  return new IpamWorld(
    {
      hosts,
      universe,
      init: (peers) => (seeded ? { mode: 'seed', peers } : { mode: 'consensus', peers: hosts }),
      reclaimAfterMs,
      loss: random.pick([0, 0.02, 0.2]),
      maxDelayMs: random.pick([50, 500, 2000]),
      tuning,
    },
    random,
  );
}

function useAddresses(world: IpamWorld, host: IpamHost, random: SeededRandom): void {
  const dice = random.float();
  const workloads = [...host.workloads.values()];
  if (dice < 0.55) host.allocate();
  else if (dice < 0.85 && workloads.length > 0) host.release(random.pick(workloads));
  else {
    const offset = 1 + random.below(world.addresses - 2);
    const address = (world.options.universe.address + offset) as Ipv4;
    if (!host.workloads.has(address)) host.claim(address);
  }
}

function disturb(world: IpamWorld, random: SeededRandom): void {
  const host = random.pick(world.hosts);
  const dice = random.float();
  if (host.dead) return;
  if (dice < 0.3) {
    if (host.isUp) world.stop(host);
    else world.start(host);
  } else if (dice < 0.5) {
    if (host.isUp) host.crashAfter = random.below(4);
  } else if (dice < 0.7) world.split(random.pick([2, 2, 3]));
  else if (dice < 0.9) world.heal();
  else if (!host.isUp) world.start(host);
}

function live(world: IpamWorld, random: SeededRandom, steps: number): void {
  for (let step = 0; step < steps; step++) {
    const { up } = world;
    if (up.length > 0) useAddresses(world, random.pick(up), random);
    if (random.chance(0.15)) disturb(world, random);
    world.check();
    world.run(random.pick([20, 200, 2_000, 20_000]));
  }
}

test('crashes, restarts from disk, splits, loss and delay', () => {
  forSeeds(40_000, SEEDS, (random) => {
    const world = makeWorld(random, random.pick([3, 3, 3, 4, 4, 5, 8]), null);
    live(world, random, 40);
    expectNothingLost(world);
  });
});

test('thirty hosts', () => {
  forSeeds(50_000, Math.ceil(SEEDS / 100), (random) => {
    const world = makeWorld(random, 30, null);
    live(world, random, 60);
    expectNothingLost(world);
  });
});

test('hosts that die for good, and are taken over by several others at once', () => {
  forSeeds(60_000, SEEDS, (random) => {
    const world = makeWorld(random, random.pick([3, 4, 5, 6]), null);
    live(world, random, 25);
    world.heal();
    world.run(2 * MINUTE);
    const victim = random.pick(world.hosts);
    world.kill(victim);
    if (random.chance(0.3)) world.split(2);
    world.run(random.pick([0, 100, MINUTE]));
    for (let i = 0; i < 3; i++) {
      if (world.up.length > 0) random.pick(world.up).takeOver(victim.name);
      world.run(random.pick([0, 50, 1000, 15_000]));
    }
    // It may come back after all, with the disk of then. Cut off from everybody it could not know.
    if (random.chance(0.3)) {
      world.heal();
      victim.dead = false;
      world.start(victim);
    }
    for (let i = 0; i < 10; i++) {
      if (world.up.length > 0) useAddresses(world, random.pick(world.up), random);
      world.run(random.pick([20, 2000]));
    }
    expectNothingLost(world);
  });
});

function restoreOlderDisks(random: SeededRandom, tuning: IpamTuning): void {
  const world = makeWorld(random, random.pick([3, 4, 5]), null, tuning);
  live(world, random, 25);
  world.heal();
  world.run(2 * MINUTE);
  for (let i = 0; i < 4; i++) {
    const host = random.pick(world.hosts);
    if (host.isUp) world.stop(host);
    const old = host.oldDisks.length > 0 ? random.pick(host.oldDisks) : host.disk;
    host.disk = old;
    world.start(host);
    for (let n = 0; n < 6; n++) {
      if (world.up.length > 0) useAddresses(world, random.pick(world.up), random);
      world.run(random.pick([20, 2000, 10_000]));
    }
  }
  expectNothingLost(world);
}

test('hosts restored from an older disk', () => {
  forSeeds(70_000, SEEDS, (random) => restoreOlderDisks(random, DEFAULT_TUNING));
});

/** A host with addresses in use is taken over while it is down, and starts again. */
function comeBack(random: SeededRandom, tuning: IpamTuning): void {
  const world = makeWorld(random, 3, null, tuning);
  world.loss = 0;
  const [first, , last] = world.hosts as [IpamHost, IpamHost, IpamHost];
  for (let i = 0; i < 3; i++) last.allocate();
  world.run(2 * MINUTE);
  assert.equal(last.workloads.size, 3);
  world.stop(last);
  for (let i = 0; i < 3; i++) {
    first.takeOver(last.name);
    world.run(MINUTE);
  }
  world.start(last);
  world.run(2 * MINUTE);
  expectNothingLost(world);
}

test('a broken merge rule does not get through', () => {
  forSeeds(75_000, 10, (random) => {
    const seed = random.uint32();
    comeBack(new SeededRandom(seed), DEFAULT_TUNING);
    const broken = (): void => comeBack(new SeededRandom(seed), BROKEN);
    assert.throws(broken, /is owned twice|ranges overlap|given out by|does not come to rest/);
  });
});

test('two hosts with one name and one disk, one of which goes away', () => {
  forSeeds(77_000, Math.ceil(SEEDS / 2), (random) => {
    const world = makeWorld(random, random.pick([3, 4, 5]), random.pick([null, 5 * MINUTE]));
    live(world, random, 25);
    world.heal();
    for (const host of world.hosts) if (!host.isUp) world.start(host);
    world.run(2 * MINUTE);
    const host = random.pick(world.up);
    const twin = world.clone(host);
    const before = host.workloads.size;
    for (let i = 0; i < 12; i++) {
      random.pick([host, twin]).allocate();
      const others = world.up.filter(({ name }) => name !== host.name);
      if (others.length > 0) useAddresses(world, random.pick(others), random);
      world.run(random.pick([20, 2000, 20_000]));
    }
    assert.equal(twin.workloads.size, 0);
    assert.equal(host.workloads.size, before);
    assert.match(`${host.allocator?.explain(world.nowMs)}`, /Another host uses our peer name/);
    world.kill(random.pick([host, twin]));
    world.run(3 * MINUTE);
    expectNothingLost(world);
  });
});

test('peers that take over by themselves, with splits longer than that takes', () => {
  forSeeds(80_000, Math.ceil(SEEDS / 2), (random) => {
    const world = makeWorld(random, random.pick([3, 4, 5, 7]), 5 * MINUTE);
    for (let round = 0; round < 6; round++) {
      live(world, random, 10);
      world.run(random.pick([MINUTE, 4 * MINUTE, 7 * MINUTE]), 15_000);
    }
    expectNothingLost(world);
  });
});
