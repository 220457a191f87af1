/**
 * Who may join: passwords, and subnets that are trusted without encryption.
 *
 *   [h1] 198.51.100.1 ── switch ── 198.51.100.2 [h2]
 */
import assert from 'node:assert/strict';
import { attachOneEach, e2e, PASSWORD, startMesh } from '../support/e2e.js';
import type { Host } from '../support/lab-host.js';
import { switchedHosts } from '../support/lab-topologies.js';
import type { Workload } from '../support/lab-workload.js';
import { waitFor } from '../support/wait.js';

const REFUSED_DEADLINE_MS = 20_000;

/** The lines of `weave status connections` that name the other host. */
async function linesAbout(host: Host, other: Host): Promise<string[]> {
  const page = await host.weaveOk('status', 'connections');
  return page.split('\n').filter((line) => line.includes(other.address));
}

async function showsReason(host: Host, other: Host, arrow: string, reason: RegExp): Promise<void> {
  await waitFor(`${reason} in the status of ${host.label}`, REFUSED_DEADLINE_MS, async () => {
    const lines = await linesAbout(host, other);
    if (lines.some((line) => line.startsWith(arrow) && reason.test(line))) return true;
    throw new Error(`it shows: ${lines.join(' / ')}`);
  });
}

e2e('a wrong password is refused with the reason on both sides', [], async (lab) => {
  const [h1, h2] = switchedHosts(lab, 2).hosts as [Host, Host];
  await h1.startRouter({ password: PASSWORD });
  await h2.startRouter({ password: 'something else', peers: [h1.address] });
  const reason = /Unable to decrypt TCP msg/;
  await showsReason(h2, h1, '->', reason);
  await showsReason(h1, h2, '<-', reason);
  assert.match(await h2.weaveOk('status'), /Connections: \d+ \(.*\b(failed|retrying|connecting)\b/);
  for (const host of [h1, h2]) {
    const established = (await host.connections()).filter((c) => c.State === 'established');
    assert.deepEqual(established, []);
  }
  // The right password heals it without touching the other host.
  await h2.stopRouter();
  await h2.startRouter({ password: PASSWORD, peers: [h1.address] });
  await h1.waitEstablished(h2);
});

e2e('a password against none is refused with the reason on both sides', [], async (lab) => {
  const [h1, h2] = switchedHosts(lab, 2).hosts as [Host, Host];
  await h1.startRouter({ password: PASSWORD });
  await h2.startRouter({ peers: [h1.address] });
  await showsReason(h2, h1, '->', /password/);
  await showsReason(h1, h2, '<-', /password/);
});

e2e('trusted subnets go unencrypted only if both ends say so', [], async (lab) => {
  const hosts = switchedHosts(lab, 3).hosts as [Host, Host, Host];
  const [h1, h2, h3] = hosts;
  const trusting = { password: PASSWORD, args: ['--trusted-subnets', '198.51.100.0/24'] };
  await h1.startRouter(trusting);
  await h2.startRouter({ ...trusting, peers: [h1.address] });
  await h3.startRouter({ password: PASSWORD, peers: [h1.address, h2.address] });
  const open = await h1.waitEstablished(h2);
  const closed = await h1.waitEstablished(h3);
  assert.match(open.Info, /^unencrypted/);
  assert.match(closed.Info, /^encrypted/);
  assert.match(await h1.weaveOk('status'), /TrustedSubnets: 198\.51\.100\.0\/24/);
  const [w1, w2, w3] = (await attachOneEach(hosts)) as [Workload, Workload, Workload];
  for (const other of [w2, w3]) {
    await waitFor('answer', 5_000, () => w1.reaches(other.address));
  }
});

e2e('without a password the mesh runs in the clear', [], async (lab) => {
  const { hosts } = switchedHosts(lab, 2);
  await startMesh(hosts);
  const [w1, w2] = (await attachOneEach(hosts)) as [Workload, Workload];
  await waitFor('answer', 5_000, () => w1.reaches(w2.address));
  const connection = (await w1.host.connections())[0];
  assert.equal(connection?.Attrs?.encrypted, undefined);
  assert.match(await w1.host.weaveOk('status'), /Encryption: disabled/);
});
