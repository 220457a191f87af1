/**
 * The life of a router: killed and restarted, stopped cleanly, and what it remembers.
 *
 *   w1 ── [h1] 198.51.100.1 ── switch ── 198.51.100.2 [h2] ── w2
 */
import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { attachOneEach, e2e, PASSWORD, startMesh } from '../support/e2e.js';
import type { Host } from '../support/lab-host.js';
import { switchedHosts } from '../support/lab-topologies.js';
import { Workload } from '../support/lab-workload.js';
import { waitFor } from '../support/wait.js';

/** For the slowest machine; a quiet one takes 2 to 6 s. */
const RESUME_LIMIT_MS = 60_000;

async function targetsOf(host: Host): Promise<string[]> {
  const page = await host.weaveOk('status', 'targets');
  return page.split('\n').filter((line) => line !== '');
}

e2e('traffic resumes after the restart of a killed router', [], async (lab, t) => {
  const hosts = switchedHosts(lab, 2).hosts as [Host, Host];
  const [h1, h2] = hosts;
  await startMesh(hosts, { password: PASSWORD });
  const [w1, w2] = (await attachOneEach(hosts)) as [Workload, Workload];
  await waitFor('first answer', 5_000, () => w1.reaches(w2.address));
  // Each end in turn: the one that is dialled and the one that dials.
  for (const [killed, peers] of [[h1, []] as const, [h2, [h1.address]] as const]) {
    assert.equal(await killed.stopRouter('SIGKILL'), null);
    assert.equal(await w1.reaches(w2.address), false);
    const startedMs = performance.now();
    await killed.startRouter({ password: PASSWORD, peers });
    await waitFor('answer after the restart', RESUME_LIMIT_MS, () => w1.reaches(w2.address));
    const tookMs = performance.now() - startedMs;
    t.diagnostic(`${killed.label}: traffic ${tookMs.toFixed(0)} ms after the start`);
  }
});

e2e('SIGTERM ends the router with status 0 and leaves local traffic alone', [], async (lab) => {
  const [h1] = switchedHosts(lab, 1).hosts as [Host];
  await h1.startRouter({ password: PASSWORD });
  const [w1] = (await attachOneEach([h1])) as [Workload];
  const near = await Workload.attach(h1, 'near', '10.40.0.9/16');
  await waitFor('answer on the same host', 5_000, () => w1.reaches(near.address));
  const log = h1.router?.logPath ?? '';
  assert.equal(await h1.stopRouter('SIGTERM'), 0);
  assert.equal(existsSync(h1.socketPath), false, 'the socket file is gone');
  assert.ok(await w1.reaches(near.address), 'workloads of one host reach each other without it');
  assert.doesNotMatch(readFileSync(log, 'utf8'), /^(ERRO|FATA)|unhandled|Error:/im);
  // A second start finds bridge and workloads in place.
  await h1.startRouter({ password: PASSWORD });
  assert.ok(await w1.reaches(near.address));
  assert.equal(await h1.stopRouter('SIGINT'), 0);
});

e2e('targets and name survive a restart; connect, forget and --replace', [], async (lab) => {
  const hosts = switchedHosts(lab, 3).hosts as [Host, Host, Host];
  const [h1, h2, h3] = hosts;
  await h2.startRouter({ password: PASSWORD });
  await h3.startRouter({ password: PASSWORD });
  await h1.startRouter({ password: PASSWORD });
  assert.deepEqual(await targetsOf(h1), []);

  await h1.weaveOk('connect', h2.address, h3.address);
  assert.deepEqual((await targetsOf(h1)).sort(), [h2.address, h3.address]);
  await h1.waitEstablished(h2);
  await h1.waitEstablished(h3);
  await h1.weaveOk('connect', '--replace', h2.address);
  assert.deepEqual(await targetsOf(h1), [h2.address]);

  await h1.stopRouter();
  await h1.startRouter({ password: PASSWORD, args: ['--resume'] });
  assert.deepEqual(await targetsOf(h1), [h2.address], '--resume uses the stored targets');
  await h1.waitEstablished(h2);

  await h1.weaveOk('forget', h2.address);
  assert.deepEqual(await targetsOf(h1), []);
  await h1.waitEstablished(h2, 1_000);
  await h1.stopRouter();
  await h1.startRouter({ password: PASSWORD, args: ['--resume'] });
  assert.deepEqual(await targetsOf(h1), [], 'forgetting is stored, too');

  const bad = await h1.weave('connect', 'no:such:thing', h3.address);
  assert.equal(bad.code, 2);
  assert.match(bad.stderr, /invalid peer name "no:such:thing", should be host\[:port\]/);
  assert.deepEqual(await targetsOf(h1), [h3.address], 'the good target of the call was added');
});

e2e('a router without --name keeps the one it had', [], async (lab) => {
  const [h1] = switchedHosts(lab, 1).hosts as [Host];
  await h1.startRouter();
  const first = (await h1.report()).Router.Name;
  assert.equal(first, h1.name);
  await h1.stopRouter();
  // The bridge carries the name; an empty option is as none.
  await h1.startRouter({ args: ['--name', ''] });
  assert.equal((await h1.report()).Router.Name, first);
});
