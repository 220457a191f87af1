/**
 * Workloads and the host itself join and leave by the command line.
 *
 *   w1 ── [h1] ── switch ── [h2] ── w2          both hosts get an address on the overlay, too
 */
import assert from 'node:assert/strict';
import { attachOneEach, e2e, PASSWORD, startMesh } from '../support/e2e.js';
import type { Host } from '../support/lab-host.js';
import { switchedHosts } from '../support/lab-topologies.js';
import { Workload } from '../support/lab-workload.js';
import { waitFor } from '../support/wait.js';

async function addresses(workload: Workload): Promise<string> {
  return (await workload.exec(['ip', '-o', '-4', 'addr', 'show'])).stdout;
}

e2e('attach and detach', [], async (lab) => {
  const hosts = switchedHosts(lab, 2).hosts as [Host, Host];
  const [h1] = hosts;
  await startMesh(hosts, { password: PASSWORD });
  const [w1, w2] = (await attachOneEach(hosts)) as [Workload, Workload];
  await waitFor('first answer', 5_000, () => w1.reaches(w2.address));

  assert.equal(await h1.weaveOk('attach', '10.41.0.1/24', w1.netns), '10.41.0.1\n');
  assert.match(await addresses(w1), /10\.40\.0\.1\/16[\s\S]*10\.41\.0\.1\/24/);
  assert.match(await h1.weaveOk('ps'), /10\.40\.0\.1\/16/);
  assert.equal(await h1.weaveOk('attach', '10.41.0.1/24', w1.netns), '10.41.0.1\n', 'again');
  assert.equal(await h1.weaveOk('detach', '10.41.0.1/24', w1.netns), '10.41.0.1\n');
  assert.ok(await w1.reaches(w2.address), 'the other address is untouched');
  assert.equal(await h1.weaveOk('detach', w1.cidr, w1.netns), '10.40.0.1\n');
  assert.doesNotMatch(await addresses(w1), /ethwe/);
  const twice = await h1.weave('detach', w1.cidr, w1.netns);
  assert.notEqual(twice.code, 0);
  // And back again, by the path of the namespace.
  await h1.weaveOk('attach', w1.cidr, `/run/netns/${w1.netns}`);
  await waitFor('answer after attaching again', 10_000, () => w1.reaches(w2.address));
});

e2e('a workload that moves to another host is found there', [], async (lab) => {
  const hosts = switchedHosts(lab, 2).hosts as [Host, Host];
  const [h1, h2] = hosts;
  await startMesh(hosts, { password: PASSWORD });
  const [w1, w2] = (await attachOneEach(hosts)) as [Workload, Workload];
  await waitFor('first answer', 5_000, () => w1.reaches(w2.address));
  await h2.weaveOk('detach', w2.cidr, w2.netns);
  // Same address, new MAC, announced by gratuitous ARP.
  await Workload.attach(h1, 'moved', w2.cidr);
  await waitFor('answer at the new place', 10_000, () => w1.reaches(w2.address));
});

e2e('expose and hide', [], async (lab) => {
  const hosts = switchedHosts(lab, 2).hosts as [Host, Host];
  const [h1, h2] = hosts;
  await startMesh(hosts, { password: PASSWORD });
  const [w1, w2] = (await attachOneEach(hosts)) as [Workload, Workload];
  const hostReaches = async (host: Host, address: string): Promise<boolean> =>
    (await lab.exec(host.netns, ['ping', '-n', '-c', '1', '-W', '1', address])).code === 0;
  assert.equal(await hostReaches(h1, w2.address), false, 'not before expose');
  assert.equal(await h1.weaveOk('expose', '10.40.1.1/16'), '10.40.1.1\n');
  await h2.weaveOk('expose', '10.40.1.2/16', '--without-masquerade');
  for (const address of [w1.address, w2.address, '10.40.1.2']) {
    await waitFor(`answer of ${address}`, 5_000, () => hostReaches(h1, address));
  }
  await waitFor('answer of the exposed host', 5_000, () => w2.reaches('10.40.1.1'));
  await h1.weaveOk('expose', '10.40.1.1/16');
  assert.match(await h1.weaveOk('ps', 'weave:expose'), /10\.40\.1\.1\/16/);
  // Exposed addresses stay with the bridge over a restart of the router.
  await h1.stopRouter();
  await h1.startRouter({ password: PASSWORD, peers: [h2.address] });
  await h1.waitEstablished(h2);
  await waitFor('answer after the restart', 10_000, () => hostReaches(h1, w2.address));
  assert.equal(await h1.weaveOk('hide', '10.40.1.1/16'), '10.40.1.1\n');
  assert.equal(await w2.reaches('10.40.1.1'), false);
  const again = await h1.weave('hide', '10.40.1.1/16');
  assert.equal(again.code, 0, 'hiding twice is no error');
});

e2e('every status command and its JSON form answer', [], async (lab) => {
  const hosts = switchedHosts(lab, 2).hosts as [Host, Host];
  const [h1, h2] = hosts;
  await startMesh(hosts, { password: PASSWORD });
  assert.match(await h2.weaveOk('status'), /Connections: 1 \(1 established\)/);
  assert.match(await h2.weaveOk('--local', 'status', 'targets'), /^198\.51\.100\.1$/m);
  assert.match(await h2.weaveOk('status', 'peers'), new RegExp(`^${h1.name}\\(host1\\)$`, 'm'));
  assert.match(
    await h2.weaveOk('status', 'connections'),
    /^-> 198\.51\.100\.1:6783 +established encrypted +sleeve 7a:00:00:00:00:01\(host1\) .*mtu=\d+/m,
  );
  for (const args of [['status'], ['status', 'connections'], ['status', 'peers'], ['report']]) {
    JSON.parse(await h1.weaveOk(...args, '--output', 'json'));
  }
  assert.equal(await h1.weaveOk('report', '-f', '{{.Router.Name}}'), h1.name);
  assert.match(await h1.weaveOk('version'), /^weave /);
  const wrong = await h1.weave('status', 'nosuch');
  assert.equal(wrong.code, 1);
  assert.match(wrong.stderr, /Invalid 'weave status' sub-command: nosuch/);
  const metrics = await h1.api('GET', '/metrics');
  assert.match(metrics.body, /^weave_connections\{.*state="established".*\} 1$/m);
});
