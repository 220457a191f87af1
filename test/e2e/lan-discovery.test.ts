/**
 * Routers of one local network find each other without being told of anybody; one with another
 * password stays out.
 *
 *   h1 ── switch ── h2, h3, h4 (another password)
 */
import assert from 'node:assert/strict';
import { e2e, PASSWORD, waitFullMesh } from '../support/e2e.js';
import type { Host } from '../support/lab-host.js';
import { switchedHosts } from '../support/lab-topologies.js';
import { waitFor } from '../support/wait.js';

const LIMIT_MS = 60_000;
const MULTICAST = ['--discovery', 'multicast'];

e2e('announcements on the local network', [], async (lab) => {
  const hosts = switchedHosts(lab, 4).hosts as [Host, Host, Host, Host];
  const [h1, h2, h3, stranger] = hosts;
  const friends = [h1, h2, h3];
  for (const host of [h1, h2]) await host.startRouter({ args: MULTICAST, password: PASSWORD });
  await h3.startRouter({ args: MULTICAST, password: PASSWORD });
  await stranger.startRouter({ args: MULTICAST, password: `${PASSWORD}-not` });
  await waitFullMesh(friends, LIMIT_MS);
  // In the mesh, gossip is enough: nobody stays a target.
  await waitFor('no targets', LIMIT_MS, async () =>
    (await Promise.all(friends.map((host) => host.weaveOk('status', 'targets')))).every(
      (text) => text.trim() === '',
    ),
  );
  await waitFor('strangers are counted', LIMIT_MS, async () => {
    const { body } = await h1.api('GET', '/metrics');
    return /lan-other-password"\} [1-9]/.test(body);
  });
  assert.doesNotMatch(await h1.weaveOk('status', 'peers'), new RegExp(stranger.name));
  // Who was away is found again, by whoever hears it first.
  await h3.stopRouter('SIGKILL');
  await waitFor('its absence', LIMIT_MS, async () => {
    return !(await h1.weaveOk('status', 'peers')).includes(h3.name);
  });
  await h3.startRouter({ args: MULTICAST, password: PASSWORD });
  await waitFullMesh(friends, LIMIT_MS);
});
