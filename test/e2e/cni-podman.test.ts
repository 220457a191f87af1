/**
 * Podman as a real runtime of the CNI plugin, one on each host.
 *
 *   containers ── [h1] ──── [h2] ── containers
 */
import assert from 'node:assert/strict';
import { e2e, startMesh, waitFullMesh } from '../support/e2e.js';
import type { Host } from '../support/lab-host.js';
import { ownedOn } from '../support/lab-ipam.js';
import { PodmanHost, requirePodman } from '../support/lab-podman.js';
import { switchedHosts } from '../support/lab-topologies.js';
import { waitFor } from '../support/wait.js';

const RANGE = '10.37.0.0/16';
const ARGS = ['--ipalloc-range', RANGE, '--ipalloc-default-subnet', RANGE];
const TOGETHER = 4;
const DEADLINE_MS = 60_000;

const portsOf = async (host: Host): Promise<number> => {
  const { stdout } = await host.lab.exec(host.netns, ['ip', '-d', 'link', 'show', 'type', 'veth']);
  return stdout.match(/alias cni:/g)?.length ?? 0;
};

/** Addresses of containers that the allocator of a host holds: all but that of the bridge. */
async function heldOn(host: Host): Promise<string[]> {
  const owned = [...(await ownedOn(host)).entries()];
  return owned.flatMap(([address, by]) => (by.includes(' cni:') ? [address] : [])).sort();
}

e2e('containers of podman on two hosts', ['podman', 'runc', 'nsenter'], async (lab, t) => {
  const [h1, h2] = switchedHosts(lab, 2).hosts as [Host, Host];
  if (!requirePodman(t, h1)) return;
  const [one, two] = [new PodmanHost(h1), new PodmanHost(h2)];
  try {
    await startMesh([h1, h2], { args: ARGS });
    const [a, b] = [await one.start('a'), await two.start('b')];
    assert.deepEqual([await heldOn(h1), await heldOn(h2)], [[a], [b]]);
    await waitFor('answer of the other host', DEADLINE_MS, () => one.reaches('a', b));

    // Containers outlive their router, which knows them again.
    await h1.stopRouter('SIGKILL');
    await h1.startRouter({ args: ARGS, peers: [h2.address] });
    await waitFullMesh([h1, h2], DEADLINE_MS);
    assert.deepEqual(await heldOn(h1), [a]);
    await waitFor('answer after the restart', DEADLINE_MS, () => two.reaches('b', a));
    const names = Array.from({ length: TOGETHER }, (_, index) => `c${index}`);
    const more = await Promise.all(names.map((name) => one.start(name)));
    assert.equal(new Set([a, b, ...more]).size, TOGETHER + 2, 'no address twice');
    assert.deepEqual(await heldOn(h1), [a, ...more].sort());
    await waitFor('answer of a new one', DEADLINE_MS, () => two.reaches('b', more[0] as string));

    // Killed ones are removed like others; also without a router.
    await one.ok('kill', '-s', 'KILL', 'c0');
    await one.remove(...names);
    assert.deepEqual(await heldOn(h1), [a]);
    await h1.stopRouter();
    await one.remove('a');
    await h1.startRouter({ args: ARGS, peers: [h2.address] });
    await two.remove('b');
    assert.deepEqual([await heldOn(h1), await heldOn(h2)], [[], []]);
    assert.deepEqual([await portsOf(h1), await portsOf(h2)], [0, 0]);
  } finally {
    await one.close();
    await two.close();
  }
});
