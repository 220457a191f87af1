/**
 * One address range shared by our routers and the original's. Needs a binary of the original's
 * `weaver`:
 *
 *   WEAVE_REAL_ROUTER=/path/to/weaver npm test -- interop
 *
 *   [h1] ──┐
 *   [h2] ──┼── switch            which host runs which router varies
 *   [h3] ──┘
 */
import assert from 'node:assert/strict';
import { e2e, PASSWORD, startMesh } from '../support/e2e.js';
import type { Lab } from '../support/lab.js';
import { type Host, ownRouter, type RouterKind } from '../support/lab-host.js';
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
import { REAL_ROUTER_VARIABLE, realRouter } from '../support/real-router.js';
import { waitFor } from '../support/wait.js';

const binary = process.env[REAL_ROUTER_VARIABLE] ?? '';
const ours = ownRouter;
const theirs = realRouter(binary, { allocates: true });
const RANGE = ['--ipalloc-range', '10.36.0.0/24'];
const RANGE_ADDRESSES = 256;
/** The original tries again every five seconds. */
const PATIENCE_MS = 30_000;

function interop(name: string, body: (lab: Lab) => Promise<void>): void {
  e2e(name, ['iptables', 'unshare'], async (lab, t) => {
    if (binary === '') {
      t.skip(`needs ${REAL_ROUTER_VARIABLE}, the path of the original's weaver`);
      return;
    }
    await body(lab);
  });
}

async function startAll(lab: Lab, kinds: readonly RouterKind[], init: string): Promise<Host[]> {
  const { hosts } = switchedHosts(lab, kinds.length, { kinds });
  const args = [...RANGE, '--ipalloc-init', init];
  await startMesh(hosts, { password: PASSWORD, args });
  return hosts;
}

/** The owners and their shares, once a host sees this many and no other hole. */
async function assertShares(host: Host, owners: readonly Host[]): Promise<void> {
  await waitFor(`${owners.length} owners on ${host.label}`, PATIENCE_MS, async () => {
    const shares = await sharesOn(host);
    const total = shares.reduce((sum, { addresses }) => sum + addresses, 0);
    const names = new Set(shares.map(({ peer }) => peer));
    const complete = owners.every(({ name }) => names.has(name)) && names.size === owners.length;
    if (complete && total === RANGE_ADDRESSES) return true;
    const reasons = host.kind === ours ? await findings(host) : [];
    throw new Error(`shares ${JSON.stringify(shares)} ${reasons.join(' ')}`);
  });
}

const kindName = (kind: RouterKind): string => (kind === ours ? 'ours' : 'original');

for (const kinds of [[ours, theirs] as const, [theirs, ours] as const]) {
  const order = kinds.map(kindName).join(', ');
  interop(`${order}: vote, one ring, and space from each other`, async (lab) => {
    const hosts = (await startAll(lab, kinds, 'consensus=2')) as [Host, Host];
    const [h1, h2] = hosts;
    const first = await Promise.all([allocate(h1, 'first'), allocate(h2, 'first')]);
    for (const host of hosts) await assertShares(host, hosts);
    // More than a half: the rest can only come from the other one. Then the last ones there.
    const many = await allocateMany(h1, 170, 4, 'many');
    const rest = await allocateMany(h2, 80, 4, 'rest');
    assertDistinct([...first, ...many, ...rest]);
    assert.equal((await ownedOn(...hosts)).size, 252);
    for (const host of hosts) {
      assert.ok(host.router?.running());
      await assertShares(host, hosts);
      await waitFor('ready', PATIENCE_MS, async () => (await ipamSummary(host)) === 'ready');
    }
    // Claims of what the other one owns: granted if free, refused if not.
    assert.equal((await h1.api('DELETE', '/ip/first')).status, 204);
    const [address = ''] = (first[0] as string).split('/');
    const claim = (ident: string) => h2.api('PUT', `/ip/${ident}/${address}/24`);
    assert.equal((await claim('claimer')).status, 204);
    const taken = (many.at(-1) as string).split('/')[0];
    const refused = await h2.api('PUT', `/ip/claimer/${taken}/24`);
    assert.equal(refused.status, 400);
    assert.match(refused.body, /is owned by other peer|already owned by/);
    assert.equal((await ownedOn(...hosts)).size, 252);
  });

  interop(`${order}: the second dies and the first takes over its range`, async (lab) => {
    const hosts = (await startAll(lab, kinds, 'consensus=2')) as [Host, Host];
    const [h1, h2] = hosts;
    await Promise.all(hosts.map((host) => allocate(host, 'first')));
    await assertShares(h1, hosts);
    await h2.stopRouter('SIGKILL');
    await waitFor('unreachable owner', 90_000, async () =>
      (await sharesOn(h1)).some(({ unreachable }) => unreachable),
    );
    const answer = await waitFor('take-over', PATIENCE_MS, async () => {
      const { status, body } = await h1.api('DELETE', `/peer/${h2.nickname}`);
      return status === 200 ? body : null;
    });
    assert.match(answer, /^\d+ IPs taken over from host2\n$/);
    await assertShares(h1, [h1]);
    assertDistinct(await allocateMany(h1, 252, 4, 'many'));
    // It comes back with its old ring. The mesh stays whole, and nothing of what was taken over is
    // handed out twice; an original that takes over what is in use is contradicted, visibly.
    const args = [...RANGE, '--ipalloc-init', 'consensus=2'];
    await h2.startRouter({ password: PASSWORD, args, peers: [h1.address] });
    if (h2.kind === ours) {
      await h1.waitEstablished(h2);
      await waitFor('a word about the range', PATIENCE_MS, async () =>
        (await findings(h2)).some((finding) => finding.includes('10.36.0.128')),
      );
      const { Connections } = (await h1.report()).Router;
      assert.equal(Connections?.filter(({ State }) => State === 'established').length, 1);
    }
    assert.ok(h1.router?.running());
  });

  interop(`${order}: the second leaves and hands its range over`, async (lab) => {
    const hosts = (await startAll(lab, kinds, 'consensus=2')) as [Host, Host];
    const [h1, h2] = hosts;
    await Promise.all(hosts.map((host) => allocate(host, 'first')));
    await assertShares(h2, hosts);
    assert.equal((await h2.api('DELETE', '/peer')).status, 204);
    for (const host of hosts) await assertShares(host, [h1]);
    assert.deepEqual(await h2.api('POST', '/ip/late'), { status: 200, body: 'cancelled' });
    assertDistinct(await allocateMany(h1, 250, 4, 'many'));
  });
}

interop('an observer of ours among originals, and the other way round', async (lab) => {
  const { hosts } = switchedHosts(lab, 3, { kinds: [ours, theirs, theirs] });
  const [h1, h2, h3] = hosts as [Host, Host, Host];
  const start = (host: Host, init: string, ...peers: Host[]) =>
    host.startRouter({
      password: PASSWORD,
      args: [...RANGE, '--ipalloc-init', init],
      peers: peers.map(({ address }) => address),
    });
  await start(h1, 'observer');
  await start(h2, 'observer', h1);
  const waiting = [allocateLate(h1, 'c1'), allocateLate(h2, 'c2')];
  await waitFor('priming', PATIENCE_MS, async () => (await ipamSummary(h1)) === 'priming');
  await start(h3, 'consensus=1', h1, h2);
  assertDistinct([...(await Promise.all(waiting)), await allocate(h3, 'c3')]);
});

interop('other seeds: both live, ours says why', async (lab) => {
  const { hosts } = switchedHosts(lab, 2, { kinds: [ours, theirs] });
  const [h1, h2] = hosts as [Host, Host];
  const start = (host: Host, ...peers: string[]) =>
    host.startRouter({
      password: PASSWORD,
      args: [...RANGE, '--ipalloc-init', `seed=${host.name}`],
      peers,
    });
  await start(h1);
  await start(h2, h1.address);
  assertDistinct([await allocate(h1, 'c1')]);
  await allocate(h2, 'c2');
  await waitFor('the reason', PATIENCE_MS, async () =>
    (await findings(h1)).some((finding) => finding.includes('seeded by different peers')),
  );
  for (const host of hosts) assert.ok(host.router?.running());
});
