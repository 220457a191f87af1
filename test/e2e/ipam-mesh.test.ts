/**
 * One address range among three hosts: load, the loss of a host, a partition.
 *
 *   [h1] ──┐
 *   [h2] ──┼── switch
 *   [h3] ──┘
 */
import assert from 'node:assert/strict';
import { e2e, PASSWORD, startMesh, waitFullMesh } from '../support/e2e.js';
import type { Host } from '../support/lab-host.js';
import {
  allocate,
  allocateMany,
  assertDistinct,
  findings,
  ipamSummary,
  ownedOn,
  sharesOn,
} from '../support/lab-ipam.js';
import { switchedHosts } from '../support/lab-topologies.js';
import { waitFor } from '../support/wait.js';

const RANGE_ADDRESSES = 4096;
/** The first host has no targets: by itself it would take that for being alone. */
const ARGS = ['--ipalloc-range', '10.36.0.0/20', '--ipalloc-init', 'consensus=3'];

e2e('three hosts allocate 3000 addresses at once; one dies and is taken over', [], async (lab) => {
  const hosts = switchedHosts(lab, 3).hosts as [Host, Host, Host];
  const [h1, h2, h3] = hosts;
  await startMesh(hosts, { password: PASSWORD, args: ARGS });
  // The last share is a quarter of the range: it has to ask the others for more.
  const given = await Promise.all(hosts.map((host) => allocateMany(host, 1000, 16)));
  assertDistinct(given.flat());
  const owned = await ownedOn(...hosts);
  assert.equal(owned.size, 3000);
  for (const host of hosts) {
    const shares = await waitFor('a ring of three owners', 10_000, async () => {
      const list = await sharesOn(host);
      return list.length === 3 ? list : null;
    });
    assert.equal(
      shares.reduce((sum, { addresses }) => sum + addresses, 0),
      RANGE_ADDRESSES,
    );
  }

  const alive = await h1.weave('rmpeer', h3.name);
  assert.equal(alive.code, 1, `a living peer keeps its range: ${alive.stdout}`);
  assert.match(alive.stderr, new RegExp(h3.name));
  await h3.stopRouter('SIGKILL');
  await waitFor('unreachable owner', 60_000, async () =>
    (await sharesOn(h1)).some(({ peer, unreachable }) => peer === h3.name && unreachable),
  );
  assert.match((await findings(h1)).join('\n'), /unreachable/);
  const answer = await waitFor('take-over', 30_000, async () => {
    const { code, stdout } = await h1.weave('rmpeer', h3.nickname);
    return code === 0 ? stdout : null;
  });
  assert.match(answer, /^\d+ IPs taken over from host3\n$/);
  for (const host of [h1, h2]) {
    await waitFor('a ring of two owners', 10_000, async () => {
      const shares = await sharesOn(host);
      const total = shares.reduce((sum, { addresses }) => sum + addresses, 0);
      return shares.length === 2 && total === RANGE_ADDRESSES;
    });
  }
  // What the dead host had is given again, by either of the others.
  const more = await allocateMany(h2, 1500, 16, 'more');
  assertDistinct([...(given[0] as string[]), ...(given[1] as string[]), ...more]);
  await ownedOn(h1, h2);
  // Who leaves in order hands its range over.
  await h2.weaveOk('reset');
  await waitFor('a ring of one owner', 10_000, async () => {
    const [share, ...others] = await sharesOn(h1);
    return share?.peer === h1.name && share.addresses === RANGE_ADDRESSES && others.length === 0;
  });
});

e2e('both sides of a partition allocate, and healing finds no duplicate', [], async (lab) => {
  const hosts = switchedHosts(lab, 2).hosts as [Host, Host];
  const [h1, h2] = hosts;
  await startMesh(hosts, { password: PASSWORD, args: ARGS });
  await Promise.all(hosts.map((host) => allocate(host, 'first')));
  // An address that the other one owns changes hands.
  const moves = await h1.api('PUT', '/ip/mover/10.36.15.77/20');
  assert.deepEqual(moves, { status: 204, body: '' });
  const taken = await h2.api('PUT', '/ip/thief/10.36.15.77/20');
  assert.match(taken.body, /^Unable to claim: address 10\.36\.15\.77\/20 is owned by other peer/);
  // Ends what is established, too, instead of letting it wait for better times.
  const cut = (from: Host): string => `add table inet cut; add chain inet cut in {
    type filter hook input priority -300; };
    add rule inet cut in tcp flags & rst == rst accept;
    add rule inet cut in ip saddr ${from.address} meta l4proto tcp reject with tcp reset;
    add rule inet cut in ip saddr ${from.address} drop`;
  lab.nft(h1.netns, cut(h2));
  lab.nft(h2.netns, cut(h1));
  for (const host of hosts) {
    await waitFor(`${host.label} alone`, 60_000, async () =>
      (await sharesOn(host)).some(({ unreachable }) => unreachable),
    );
  }
  const given = await Promise.all(hosts.map((host) => allocateMany(host, 200, 8)));
  assertDistinct(given.flat());
  for (const host of hosts) lab.nft(host.netns, 'delete table inet cut');
  await waitFullMesh(hosts, 60_000);
  for (const host of hosts) {
    await waitFor(`${host.label} sees both`, 30_000, async () =>
      (await sharesOn(host)).every(({ unreachable }) => !unreachable),
    );
    assert.equal(await ipamSummary(host), 'ready');
  }
  assert.equal((await ownedOn(...hosts)).size, 403);
  // One ring again: more than a half for one side can only come from the other.
  assertDistinct([...given.flat(), ...(await allocateMany(h1, 2200, 16, 'more'))]);
});
