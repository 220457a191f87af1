/**
 * A bad underlay heals without anybody restarting anything.
 *
 *   w1 ── [h1] ── switch ── [h2] ── w2          20 % of packets lost, then none at all for 60 s
 */
import assert from 'node:assert/strict';
import { attachOneEach, e2e, PASSWORD, startMesh } from '../support/e2e.js';
import type { Host } from '../support/lab-host.js';
import { switchedHosts } from '../support/lab-topologies.js';
import type { Workload } from '../support/lab-workload.js';
import { holdFor, waitFor } from '../support/wait.js';

const PARTITION_MS = 60_000;
/** Redial waits grow during the partition, and then TCP must get through again. */
const HEAL_DEADLINE_MS = 90_000;

e2e('20 % loss and a partition of 60 s heal by themselves', [], async (lab) => {
  const hosts = switchedHosts(lab, 2).hosts as [Host, Host];
  const [h1, h2] = hosts;
  await startMesh(hosts, { password: PASSWORD });
  const [w1, w2] = (await attachOneEach(hosts)) as [Workload, Workload];
  await waitFor('first answer', 5_000, () => w1.reaches(w2.address));

  for (const host of hosts) host.lose(20);
  const lossy = await w1.ping(w2.address, { count: 100, intervalSeconds: 0.05 });
  // An echo crosses the loss twice, so 64 of 100 come back; below 35 something else is wrong.
  const share = lossy.received / lossy.sent;
  assert.ok(share >= 0.35 && share < 0.95, lossy.output);
  for (const host of hosts) host.heal();
  await waitFor('established connection after the loss', HEAL_DEADLINE_MS, () =>
    h1.waitEstablished(h2, 1_000),
  );
  const clean = await w1.ping(w2.address, { count: 10 });
  assert.equal(clean.received, 10, clean.output);

  h1.block(h2);
  h2.block(h1);
  await holdFor(PARTITION_MS);
  assert.equal(await w1.reaches(w2.address), false);
  const pids = hosts.map((host) => host.router?.pid);
  for (const host of hosts) host.heal();
  await waitFor('answer after the partition', HEAL_DEADLINE_MS, () => w1.reaches(w2.address));
  assert.deepEqual(
    hosts.map((host) => [host.router?.pid, host.router?.running()]),
    [
      [pids[0], true],
      [pids[1], true],
    ],
  );
});

e2e('joining works under 20 % loss', [], async (lab) => {
  const hosts = switchedHosts(lab, 2).hosts as [Host, Host];
  for (const host of hosts) host.lose(20);
  await hosts[0].startRouter({ password: PASSWORD });
  await hosts[1].startRouter({ password: PASSWORD, peers: [hosts[0].address] });
  await hosts[0].waitEstablished(hosts[1], HEAL_DEADLINE_MS);
});
