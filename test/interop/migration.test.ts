/**
 * Hosts of the original become ours one by one, with their names, ranges and addresses. Needs a
 * binary of the original's `weaver`:
 *
 *   WEAVE_REAL_ROUTER=/path/to/weaver npm test -- interop
 *
 *   [h1] ──┐
 *          ├── switch            both run the original, then h1 ours, then both
 *   [h2] ──┘
 */
import assert from 'node:assert/strict';
import { e2e, PASSWORD, startMesh } from '../support/e2e.js';
import { type Host, ownRouter, type RouterKind } from '../support/lab-host.js';
import {
  allocate,
  allocateLate,
  allocateMany,
  assertDistinct,
  ownedOn,
  sharesOn,
} from '../support/lab-ipam.js';
import { switchedHosts } from '../support/lab-topologies.js';
import { REAL_ROUTER_VARIABLE, realRouter } from '../support/real-router.js';
import { waitFor } from '../support/wait.js';

const binary = process.env[REAL_ROUTER_VARIABLE] ?? '';
const RANGE = ['--ipalloc-range', '10.36.0.0/24', '--ipalloc-init', 'consensus=2'];
const PATIENCE_MS = 60_000;

/** Ours on a host where the original ran: the same database prefix, and no name on its line. */
const successor: RouterKind = {
  ...ownRouter,
  argv: (host, options) => {
    const argv = [...ownRouter.argv(host, options)];
    argv.splice(argv.indexOf('--name'), 2);
    argv[argv.indexOf('--db-prefix') + 1] = `${host.folder}/real`;
    return argv;
  },
};

const held = async (host: Host): Promise<string[]> => [...(await ownedOn(host)).keys()].sort();

e2e('the original is replaced host by host', ['iptables', 'unshare'], async (lab, t) => {
  if (binary === '') {
    t.skip(`needs ${REAL_ROUTER_VARIABLE}, the path of the original's weaver`);
    return;
  }
  const original = realRouter(binary, { allocates: true });
  const replaced = new Set<Host>();
  const current = (host: Host): RouterKind => (replaced.has(host) ? successor : original);
  const kind: RouterKind = {
    argv: (host, options) => current(host).argv(host, options),
    env: (host, options) => current(host).env(host, options),
  };
  const [h1, h2] = switchedHosts(lab, 2, { kinds: [kind, kind] }).hosts as [Host, Host];
  await startMesh([h1, h2], { password: PASSWORD, args: RANGE });
  const given = await Promise.all([h1, h2].map((host) => allocate(host, 'first')));
  given.push(...(await allocateMany(h1, 20, 4, 'one')));
  given.push(...(await allocateMany(h2, 20, 4, 'two')));
  for (const host of [h1, h2]) {
    const before = await held(host);
    await host.stopRouter('SIGKILL');
    replaced.add(host);
    await host.startRouter({ password: PASSWORD, args: RANGE });
    const { Name, Targets } = (await host.report()).Router;
    assert.equal(Name, host.name);
    // Whom h2 called stands in its database; h1 is called by h2.
    assert.deepEqual(Targets ?? [], host === h2 ? [h1.address] : []);
    assert.deepEqual(await held(host), before);
    await host.waitEstablished(host === h1 ? h2 : h1, PATIENCE_MS);
    await waitFor('one ring', PATIENCE_MS, async () => {
      const shares = await sharesOn(host);
      return shares.length === 2 && shares.every(({ unreachable }) => !unreachable);
    });
    // A router with ranges from its store hands out nothing for some seconds, see ipam/lease.ts.
    given.push(await allocateLate(host, 'late'));
    given.push(...(await allocateMany(host, 10, 2, `after-${host.label}`)));
  }
  assertDistinct(given);
});
