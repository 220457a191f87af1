/**
 * Many containers of podman at once, and what is left when podman and its monitors are killed.
 *
 *   containers ── [h1]
 */
import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { e2e } from '../support/e2e.js';
import { CniRuntime } from '../support/lab-cni.js';
import type { Host } from '../support/lab-host.js';
import { ownedOn } from '../support/lab-ipam.js';
import { PodmanHost, requirePodman } from '../support/lab-podman.js';
import { switchedHosts } from '../support/lab-topologies.js';
import { runSync } from '../support/shell.js';
import { waitFor } from '../support/wait.js';

const RANGE = '10.37.0.0/16';
const ARGS = ['--ipalloc-range', RANGE, '--ipalloc-default-subnet', RANGE];
/** A hundred take 50 s on a quiet machine, and minutes on a busy one. */
const TOGETHER = Number(process.env['PODMAN_CONTAINERS'] ?? 20);
const MONITORS_KILLED = 3;
const STARTS_KILLED = 4;
const DEADLINE_MS = 60_000;

const names = (prefix: string, count: number): string[] =>
  Array.from({ length: count }, (_, index) => `${prefix}${index}`);

/** Addresses of containers that the allocator holds, by the id of the container. */
async function heldOn(host: Host): Promise<Map<string, string>> {
  const held = new Map<string, string>();
  for (const [address, by] of await ownedOn(host)) {
    const id = /cni:weave:(\w+):eth0/.exec(by)?.[1];
    if (id !== undefined) held.set(id, address);
  }
  return held;
}

/** Namespaces that the ports of containers lead to. */
async function portsOn({ lab, netns }: Host): Promise<string[]> {
  const { stdout } = await lab.exec(netns, ['ip', '-o', '-d', 'link', 'show', 'type', 'veth']);
  return stdout.split('\n').flatMap((line) => {
    return line.includes('alias cni:') ? [/link-netns (\S+)/.exec(line)?.[1] ?? ''] : [];
  });
}

e2e('containers at once; GC after kill -9', ['podman', 'runc', 'nsenter'], async (lab, t) => {
  const [h1] = switchedHosts(lab, 1).hosts as [Host];
  if (!requirePodman(t, h1)) return;
  const podman = new PodmanHost(h1);
  let namespaces: string[] = [];
  try {
    await h1.startRouter({ args: ARGS });
    const all = names('c', TOGETHER);
    const addresses = await Promise.all(all.map((name) => podman.start(name)));
    assert.equal(new Set(addresses).size, TOGETHER, 'no address twice');
    assert.deepEqual([...(await heldOn(h1)).values()].sort(), [...addresses].sort());
    assert.equal((await portsOn(h1)).length, TOGETHER);

    // Monitors with their containers, and podman itself in the middle of starting some.
    const dead = all.slice(0, MONITORS_KILLED);
    for (const name of dead) await podman.crash(name);
    const starts = names('d', STARTS_KILLED).map((name) => podman.begin(name));
    namespaces = await waitFor('interfaces of those that start', DEADLINE_MS, async () => {
      const found = await portsOn(h1);
      return found.length === TOGETHER + STARTS_KILLED ? found : null;
    });
    for (const start of starts) start.kill('SIGKILL');
    await Promise.all(starts.map(({ ended }) => ended));
    const living = all.slice(MONITORS_KILLED);
    const ids = await podman.ids(...living);
    const gc = {
      'cni.dev/valid-attachments': ids.map((id) => ({ containerID: id, ifname: 'eth0' })),
    };
    // A plugin whose podman was killed may still be at work, and is not told.
    await waitFor('an end of what was begun', DEADLINE_MS, async () => {
      await new CniRuntime(h1).ok('GC', null, gc);
      return (
        (await heldOn(h1)).size === living.length && (await portsOn(h1)).length === living.length
      );
    });
    assert.deepEqual(
      [...(await heldOn(h1)).entries()].sort(),
      ids.map((id, index) => [id, addresses[MONITORS_KILLED + index]]).sort(),
    );
    const [first, second] = [living[0] as string, addresses[MONITORS_KILLED + 1] as string];
    await waitFor('answer between two', DEADLINE_MS, () => podman.reaches(first, second));

    // What was collected may be deleted once more.
    await podman.close();
    assert.deepEqual([...(await heldOn(h1)).keys()], []);
    assert.deepEqual(await portsOn(h1), []);
  } finally {
    await podman.close();
    // Podman does not know those that it had not noted down when it was killed.
    const left = namespaces.filter((name) => existsSync(`/run/netns/${name}`));
    for (const name of left) runSync(['ip', 'netns', 'del', name]);
  }
});
