/**
 * Ranges of lost hosts pass to others by themselves (`--ipalloc-reclaim-after 5m`, the shortest
 * there is). Time of the routers passes ten times faster (support/fast-clock.ts).
 *
 *   [h1] ──┐
 *   [h2] ──┼── switch
 *   [h3] ──┤
 *   [h4] ──┘
 */
import assert from 'node:assert/strict';
import { e2e, PASSWORD, startMesh, waitFullMesh } from '../support/e2e.js';
import { fasterClock } from '../support/fast-clock.js';
import type { Host } from '../support/lab-host.js';
import {
  allocate,
  allocateLate,
  allocateMany,
  assertDistinct,
  findings,
  ipamSummary,
  ownedOn,
  sharesOn,
} from '../support/lab-ipam.js';
import { switchedHosts } from '../support/lab-topologies.js';
import { Workload } from '../support/lab-workload.js';
import { holdFor, waitFor } from '../support/wait.js';

const RATE = 10;
const MINUTE_MS = 60_000 / RATE;
const RECLAIM_MS = 5 * MINUTE_MS;
const RANGE_ADDRESSES = 256;
const OPTIONS = {
  password: PASSWORD,
  args: ['--ipalloc-range', '10.36.0.0/24', '--no-dns', '--ipalloc-reclaim-after', '5m'],
  env: fasterClock(RATE),
};
const MEANWHILE = 10;
/** Beyond the time itself: until the loss is seen, and until those who decide have agreed. */
const AGREE_DEADLINE_MS = 30_000;

const ownersOn = async (host: Host): Promise<string[]> =>
  (await sharesOn(host)).map(({ peer }) => peer).sort();

/** Each has a range, for longer than it takes to have a say: two minutes. */
async function startOwners(hosts: readonly Host[]): Promise<string[]> {
  await startMesh(hosts, OPTIONS);
  const given: string[] = [];
  for (const host of hosts) given.push(await allocate(host, 'first'));
  for (const host of hosts) {
    await waitFor(`all owners on ${host.label}`, 20_000, async () => {
      return (await sharesOn(host)).length === hosts.length;
    });
  }
  await holdFor(2.5 * MINUTE_MS);
  return given;
}

e2e(
  'a dead host’s range passes to others, that of a host one can’t see does not',
  [],
  async (lab) => {
    const hosts = switchedHosts(lab, 4).hosts as [Host, Host, Host, Host];
    const [h1, h2, h3, h4] = hosts;
    const given = await startOwners(hosts);
    // h2 still sees both.
    h1.block(h3);
    h3.block(h1);
    await h4.stopRouter('SIGKILL');
    const lostMs = performance.now();
    const living = [h1, h2, h3].map(({ name }) => name);
    await waitFor('take-over', RECLAIM_MS + AGREE_DEADLINE_MS, async () => {
      return !(await ownersOn(h2)).includes(h4.name);
    });
    const tookMs = performance.now() - lostMs;
    assert.ok(tookMs > 0.9 * RECLAIM_MS, `not before its time: ${tookMs} ms`);
    for (const host of [h1, h2, h3]) {
      await waitFor(`new owners on ${host.label}`, 20_000, async () => {
        return `${await ownersOn(host)}` === `${living}`;
      });
      assert.equal(await ipamSummary(host), 'ready');
      assert.deepEqual(await findings(host), []);
    }
    // What it had is given again, and each address once.
    const free = RANGE_ADDRESSES - 2 - 3;
    const more = await allocateMany(h2, free, 8, 'more');
    assertDistinct([...given.slice(0, 3), ...more]);
    assert.equal((await ownedOn(h1, h2, h3)).size, RANGE_ADDRESSES - 2);
  },
);

e2e('a host cut off from the majority stops in time, and comes back by asking', [], async (lab) => {
  const hosts = switchedHosts(lab, 3).hosts as [Host, Host, Host];
  const [h1, h2, h3] = hosts;
  const given = await startOwners(hosts);
  const w3 = await Workload.join(h3, 'w3');
  h3.block(h1, h2);
  h1.block(h3);
  h2.block(h3);
  assert.match(await allocate(h3, 'early'), /^10\.36\.0\./, 'at first it goes on');
  await waitFor('end of handing out', RECLAIM_MS / 2 + AGREE_DEADLINE_MS, async () => {
    return (await ipamSummary(h3)).startsWith('handing out nothing: cut off');
  });
  assert.match((await findings(h3)).join('\n'), /cut off from most owners/);
  assert.ok((await ownersOn(h1)).includes(h3.name), 'it stops before it loses its range');
  const waiting = allocateLate(h3, 'late');
  await waitFor('take-over', RECLAIM_MS + AGREE_DEADLINE_MS, async () => {
    return !(await ownersOn(h1)).includes(h3.name);
  });
  // Out of what h1 had before: of the range taken over it would give what h3 has in use.
  const meanwhile = await allocateMany(h1, MEANWHILE, 2, 'meanwhile');
  for (const host of hosts) host.heal();
  await waitFullMesh(hosts, 60_000);
  const late = await waiting;
  assertDistinct([...given, w3.cidr, ...meanwhile, late]);
  await waitFor('all well', 60_000, async () => {
    return (await ipamSummary(h3)) === 'ready' && (await findings(h3)).length === 0;
  });
  assert.equal(await h3.weaveOk('attach', w3.netns), `${w3.address}\n`, 'in use, and kept');
  // First ones, early, late and w3's; no address is held by two.
  assert.equal((await ownedOn(...hosts)).size, 3 + 3 + MEANWHILE);
});
