/**
 * Two living hosts of one peer name, as a copied disk makes them: neither gives out what the other
 * might give, too, until one has been gone for two minutes. Time of the routers passes ten times
 * faster (support/fast-clock.ts).
 *
 *   [h1] ── [h3] ── [h4] ── [h2], a copy of h1
 */
import assert from 'node:assert/strict';
import { cpSync } from 'node:fs';
import { basename } from 'node:path';
import { e2e, PASSWORD } from '../support/e2e.js';
import { fasterClock } from '../support/fast-clock.js';
import { type Host, ownRouter, type RouterKind, type RouterOptions } from '../support/lab-host.js';
import {
  allocate,
  allocateLate,
  assertDistinct,
  findings,
  ipamSummary,
  ownedOn,
} from '../support/lab-ipam.js';
import { switchedHosts } from '../support/lab-topologies.js';
import { Workload } from '../support/lab-workload.js';
import { holdFor, waitFor } from '../support/wait.js';

const RATE = 10;
const GONE_MS = 120_000 / RATE;
const ARGS = ['--ipalloc-range', '10.36.0.0/20', '--no-discovery', '--no-dns'];

/** The original's name on the host of the copy. */
const copied: RouterKind = {
  ...ownRouter,
  argv: (host, options) =>
    ownRouter.argv(host, options).map((word) => (word === host.name ? '7a:00:00:00:00:01' : word)),
};

const heldMetric = async (host: Host): Promise<string> => {
  const { body } = await host.api('GET', '/metrics');
  return /^weave_ipam_held\{reason="cloned"\} (\d)$/m.exec(body)?.[1] ?? 'none';
};

e2e('two hosts of one name give out nothing until one is gone', [], async (lab) => {
  const kinds = [ownRouter, copied];
  const [h1, h2, h3, h4] = switchedHosts(lab, 4, { kinds }).hosts as [Host, Host, Host, Host];
  const options: RouterOptions = { password: PASSWORD, args: ARGS, env: fasterClock(RATE) };
  await h1.startRouter({ ...options, args: [...ARGS, '--ipalloc-init', 'consensus=1'] });
  await h3.startRouter({ ...options, peers: [h1.address] });
  await h1.waitEstablished(h3);
  const w1 = await Workload.join(h1, 'w1');
  const w3 = await Workload.join(h3, 'w3');
  await h4.startRouter({ ...options, peers: [h3.address] });
  await h3.waitEstablished(h4);
  await allocate(h4, 'c4');
  // The disk is copied while its host is at rest.
  await h1.stopRouter();
  const isState = (path: string): boolean => path === h1.folder || basename(path).startsWith('db');
  cpSync(h1.folder, h2.folder, { recursive: true, filter: isState });
  await h1.startRouter({ ...options, peers: [h3.address] });
  await h2.startRouter({ ...options, peers: [h4.address] });

  for (const host of [h1, h2]) {
    await waitFor(`${host.label} to know`, 30_000, async () => (await heldMetric(host)) === '1');
    assert.match((await findings(host)).join('\n'), /Another host uses our peer name 7a:.*:01/);
    assert.match(await host.weaveOk('ipam', 'check'), /Another host uses our peer name/);
    assert.match(await ipamSummary(host), /^handing out nothing: another host/);
    const warnings = await host.weaveOk('report', '-f', '{{.WeaveNet.Warnings}}');
    assert.match(
      warnings,
      /two hosts use the peer name 7a:00:00:00:00:01: this one, .*, and "host/,
    );
    assert.match(await host.weaveOk('status'), /Status: handing out nothing: another host has/);
  }
  assert.equal(await heldMetric(h3), '0');
  const waiting = [allocateLate(h1, 'new1'), allocateLate(h2, 'new2')];
  // Who has a name of its own goes on, and so does what is attached.
  const elsewhere = await allocate(h3, 'c3');
  await waitFor('answer', 10_000, () => w1.reaches(w3.address));
  assert.equal(await h1.weaveOk('attach', w1.netns), `${w1.address}\n`, 'its own it keeps');
  await w1.ping(w3.address, { count: 10 }).then(({ received }) => assert.equal(received, 10));
  let isGiven = false;
  for (const one of waiting) {
    const note = (): void => {
      isGiven = true;
    };
    one.then(note, note);
  }
  await holdFor(1000);
  assert.ok(!isGiven, 'both wait');

  await h2.stopRouter('SIGKILL');
  const goneMs = performance.now();
  const given = await (waiting[0] as Promise<string>);
  assert.ok(performance.now() - goneMs > GONE_MS * 0.7, 'not at once');
  assertDistinct([given, elsewhere, w1.cidr, w3.cidr]);
  assert.equal(await heldMetric(h1), '0');
  assert.deepEqual(await findings(h1), []);
  await ownedOn(h1, h3, h4);
});
