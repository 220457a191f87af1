/**
 * Which cipher seals the data: agreed on by both ends, restricted by --cipher.
 *
 *   [h1] 198.51.100.1 ── switch ── 198.51.100.2 [h2]
 */
import assert from 'node:assert/strict';
import { attachOneEach, e2e, PASSWORD, startMesh } from '../support/e2e.js';
import type { Host } from '../support/lab-host.js';
import { switchedHosts } from '../support/lab-topologies.js';
import type { Workload } from '../support/lab-workload.js';
import { waitFor } from '../support/wait.js';

/** Both ends' attributes once the path MTU is known, and traffic passes. */
async function agreed(hosts: readonly [Host, Host]): Promise<(string | undefined)[]> {
  const [w1, w2] = (await attachOneEach(hosts)) as [Workload, Workload];
  await waitFor('answer', 5_000, () => w1.reaches(w2.address));
  const said: (string | undefined)[] = [];
  for (const host of hosts) {
    const { Attrs, Info } = await waitFor('path MTU', 5_000, async () =>
      (await host.connections()).find(({ Attrs }) => Attrs?.['mtu'] !== undefined),
    );
    assert.match(Info, /^encrypted +sleeve/);
    assert.equal(Attrs?.['encrypted'], true);
    said.push(Attrs?.['cipher'] as string | undefined);
  }
  return said;
}

e2e('two routers of ours take AES-256-GCM by themselves', [], async (lab) => {
  const hosts = switchedHosts(lab, 2).hosts as [Host, Host];
  await startMesh(hosts, { password: PASSWORD });
  assert.deepEqual(await agreed(hosts), ['aes-256-gcm', 'aes-256-gcm']);
  assert.match(await hosts[0].weaveOk('status', 'connections'), / cipher=aes-256-gcm encrypted=/);
  const [connection] = await hosts[1].connections();
  assert.equal(connection?.Attrs?.['mtu'], 1412);
});

e2e('one end that accepts NaCl alone is enough for NaCl', [], async (lab) => {
  const hosts = switchedHosts(lab, 2).hosts as [Host, Host];
  await hosts[0].startRouter({ password: PASSWORD });
  await hosts[1].startRouter({
    password: PASSWORD,
    peers: [hosts[0].address],
    args: ['--cipher', 'nacl'],
  });
  for (const [index, host] of hosts.entries()) {
    await host.waitEstablished(hosts[1 - index] as Host);
  }
  assert.deepEqual(await agreed(hosts), [undefined, undefined]);
});

e2e('nothing in common is refused with the reason on both sides, until mended', [], async (lab) => {
  const hosts = switchedHosts(lab, 2).hosts as [Host, Host];
  const [h1, h2] = hosts;
  await h1.startRouter({ password: PASSWORD, args: ['--cipher=aes-256-gcm'] });
  await h2.startRouter({ password: PASSWORD, args: ['--cipher=nacl'], peers: [h1.address] });
  for (const [host, other, arrow, lists] of [
    [h1, h2, '<-', '(theirs: nacl; ours: aes-256-gcm)'],
    [h2, h1, '->', '(theirs: aes-256-gcm; ours: nacl)'],
  ] as const) {
    await waitFor(`reason in the status of ${host.label}`, 20_000, async () => {
      const lines = (await host.weaveOk('status', 'connections')).split('\n');
      return lines.some(
        (line) =>
          line.startsWith(`${arrow} ${other.address}`) &&
          line.includes(`no cipher in common with peer ${lists}`),
      );
    });
  }
  await h2.stopRouter();
  await h2.startRouter({ password: PASSWORD, peers: [h1.address] });
  await h1.waitEstablished(h2);
  await h2.waitEstablished(h1);
  assert.deepEqual(await agreed(hosts), ['aes-256-gcm', 'aes-256-gcm']);
});

e2e('without a password the ciphers do not matter', [], async (lab) => {
  const hosts = switchedHosts(lab, 2).hosts as [Host, Host];
  await hosts[0].startRouter({ args: ['--cipher=aes-256-gcm'] });
  await hosts[1].startRouter({ args: ['--cipher=nacl'], peers: [hosts[0].address] });
  const { Attrs } = await hosts[0].waitEstablished(hosts[1]);
  assert.equal(Attrs?.['encrypted'], undefined);
});
