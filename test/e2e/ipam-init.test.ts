/**
 * How a range gets its first owners: votes of one, two and three, observers, seeds; what happens
 * when those contradict each other, and when name or range change.
 *
 *   [h1] ──┐
 *   [h2] ──┼── switch
 *   [h3] ──┘
 */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { e2e } from '../support/e2e.js';
import type { Host } from '../support/lab-host.js';
import {
  allocate,
  allocateLate,
  assertDistinct,
  findings,
  ipamSummary,
  ownedOn,
  sharesOn,
} from '../support/lab-ipam.js';
import { switchedHosts } from '../support/lab-topologies.js';
import { Workload } from '../support/lab-workload.js';
import { waitFor } from '../support/wait.js';

const RANGE = ['--ipalloc-range', '10.36.0.0/16'];
const init = (text: string): { args: string[] } => ({ args: [...RANGE, '--ipalloc-init', text] });

e2e('a vote of one is at once; of three it takes two; nothing happens unasked', [], async (lab) => {
  const [h1, h2, h3] = switchedHosts(lab, 3).hosts as [Host, Host, Host];
  await h3.startRouter(init('consensus=1'));
  assert.equal(await ipamSummary(h3), 'idle', 'no vote before the first request');
  assert.equal(await allocate(h3, 'c1'), '10.36.0.1/16');
  assert.equal(await ipamSummary(h3), 'ready');
  await h3.stopRouter();

  await h1.startRouter(init('consensus=3'));
  const waiting = allocateLate(h1, 'c1');
  await waitFor('quorum', 5_000, async () =>
    (await ipamSummary(h1)).startsWith('awaiting consensus (quorum: 2, known: 1)'),
  );
  assert.match((await findings(h1)).join('\n'), /quorum|majority|agree|vote/i);
  // Nothing but a choice of the allocator has to wait for that, not even at the same workload.
  const w1 = await Workload.attach(h1, 'w1', '10.36.0.99/16');
  assert.equal(await h1.weaveOk('detach', w1.cidr, w1.netns), '10.36.0.99\n');
  const attaching = h1.weave('attach', w1.netns);
  assert.equal((await h1.weave('detach', w1.netns)).code, 1);
  assert.equal(await h1.weaveOk('hide'), '\n');
  assert.equal((await h1.api('DELETE', '/ip/c9')).status, 400);
  await h2.startRouter({ ...init('consensus=3'), peers: [h1.address] });
  const first = await waiting;
  assertDistinct([first, await allocate(h2, 'c2'), `${(await attaching).stdout.trim()}/16`]);
});

e2e('observers have no vote, but they can call for one', [], async (lab) => {
  const hosts = switchedHosts(lab, 3).hosts as [Host, Host, Host];
  const [h1, h2, h3] = hosts;
  await h1.startRouter(init('observer'));
  await h2.startRouter({ ...init('observer'), peers: [h1.address] });
  const waiting = allocateLate(h1, 'c1');
  await waitFor('priming', 5_000, async () => (await ipamSummary(h1)) === 'priming');
  assert.equal(await ipamSummary(h2), 'idle');
  await h3.startRouter({ ...init('consensus=1'), peers: [h1.address, h2.address] });
  // Nobody asks h3 for an address: the observer's request makes it vote.
  const first = await waiting;
  assertDistinct([first, await allocate(h2, 'c2'), await allocate(h3, 'c3')]);
});

e2e('seeds need no contact, and everybody computes the same', [], async (lab) => {
  const hosts = switchedHosts(lab, 3).hosts as [Host, Host, Host];
  const [h1, h2, h3] = hosts;
  // Order and repetition do not matter.
  await h1.startRouter(init(`seed=${h1.name},${h2.name}`));
  await h2.startRouter(init(`seed=${h2.name},${h1.name},${h2.name}`));
  const apart = [await allocate(h1, 'c1'), await allocate(h2, 'c2')];
  assertDistinct(apart);
  assert.deepEqual(apart, ['10.36.0.1/16', '10.36.128.0/16']);
  await h2.weaveOk('connect', h1.address);
  await h2.waitEstablished(h1);
  await h3.startRouter({ ...init(`seed=${h1.name},${h2.name}`), peers: [h1.address] });
  assertDistinct([...apart, await allocate(h3, 'c3')]);
  await ownedOn(...hosts);
});

e2e('other seeds or another range: apart, alive, connected, and they say why', [], async (lab) => {
  const [h1, h2, h3] = switchedHosts(lab, 3).hosts as [Host, Host, Host];
  await h1.startRouter(init(`seed=${h1.name}`));
  await h2.startRouter({ ...init(`seed=${h2.name}`), peers: [h1.address] });
  await allocate(h2, 'c2');
  await h2.waitEstablished(h1);
  for (const host of [h1, h2]) {
    await waitFor(`the reason on ${host.label}`, 15_000, async () =>
      (await findings(host)).some((finding) => finding.includes('seeded by different peers')),
    );
    assert.ok(host.router?.running());
  }
  const other = ['--ipalloc-range', '10.38.0.0/16', '--ipalloc-init', 'consensus=1'];
  await h3.startRouter({ args: other, peers: [h1.address] });
  await allocate(h3, 'c3');
  await waitFor('the other reason', 15_000, async () =>
    (await findings(h3)).some((finding) =>
      finding.includes('Incompatible IP allocation ranges (received: 10.36.0.0/16'),
    ),
  );
  // Data goes on, and so do addresses on every side.
  await h1.waitEstablished(h2);
  await h1.waitEstablished(h3);
  assert.equal(await allocate(h1, 'c1'), '10.36.0.1/16');
});

e2e('another name or range starts afresh and keeps what was stored', [], async (lab) => {
  const [h1] = switchedHosts(lab, 1).hosts as [Host];
  await h1.startRouter(init('consensus=1'));
  await allocate(h1, 'c1');
  await h1.stopRouter();
  await h1.startRouter({ args: ['--ipalloc-range', '10.38.0.0/16'] });
  assert.deepEqual(await sharesOn(h1), []);
  assert.equal(await allocate(h1, 'c1'), '10.38.0.1/16');
  await h1.stopRouter();
  const log = readFileSync(h1.router?.logPath ?? `${lab.folder}/h1.log`, 'utf8');
  assert.match(log, /stored addresses belong to another peer or range.*ipam\.json\.other-range-1/);
  // The old file is whole: put back, the old addresses are there again.
  const { code } = await lab.exec(h1.netns, [
    ...['cp', `${h1.folder}/dbipam.json.other-range-1`, `${h1.folder}/dbipam.json`],
  ]);
  assert.equal(code, 0);
  await h1.startRouter(init('consensus=1'));
  assert.equal([...(await ownedOn(h1)).keys()].join(), '10.36.0.1');
  await h1.stopRouter();
  const other = { args: [...init('consensus=1').args, '--name', '7a:00:00:00:00:99'] };
  await h1.startRouter(other);
  assert.deepEqual(await sharesOn(h1), []);
  assert.equal(await allocate(h1, 'c2'), '10.36.0.1/16');
});

e2e('a range that a route of the host lies in is refused in one sentence', [], async (lab) => {
  const [h1] = switchedHosts(lab, 1).hosts as [Host];
  lab.ip(h1.netns, ['route add 10.36.4.0/24 dev eth0']);
  const router = h1.spawnRouter(init('consensus=1'));
  assert.equal(await router.ended, 1);
  const log = readFileSync(router.logPath, 'utf8');
  const range = '--ipalloc-range 10.36.0.0/16';
  assert.ok(
    log.includes(`${range} overlaps with the route of this host to 10.36.4.0/24 over`),
    log,
  );
  const { stdout } = await lab.exec(h1.netns, ['ip', '-o', 'link', 'show']);
  assert.doesNotMatch(stdout, /weave/, 'nothing was made');
  await h1.startRouter({ args: [...RANGE, '--ipalloc-allow-overlap'] });
  assert.equal(await allocate(h1, 'c1'), '10.36.0.1/16');
});
