/**
 * Containers of a real Docker daemon: addresses and names they get, keep and lose.
 *
 *   c1, c2, … (--net=none) ── [h1] router ── dockerd's socket
 */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import type { TestContext } from 'node:test';
import { e2e } from '../support/e2e.js';
import type { Lab } from '../support/lab.js';
import { DockerHost } from '../support/lab-docker.js';
import type { Host } from '../support/lab-host.js';
import { ownedOn } from '../support/lab-ipam.js';
import { switchedHosts } from '../support/lab-topologies.js';
import { run } from '../support/shell.js';
import { holdFor, waitFor } from '../support/wait.js';

const RANGE = ['--ipalloc-range', '10.36.0.0/16', '--resolv-conf='];
/** Addresses of what is gone are free after 30 s. */
const RELEASE_DEADLINE_MS = 45_000;
const SOON_MS = 10_000;

interface Rig {
  readonly host: Host;
  readonly docker: DockerHost;
  readonly args: readonly string[];
}

function dockerTest(name: string, args: readonly string[], body: (rig: Rig) => Promise<void>) {
  e2e(name, ['nsenter', 'tar'], async (lab: Lab, t: TestContext) => {
    const [host] = switchedHosts(lab, 1).hosts as [Host];
    await DockerHost.with(t, host, async (docker) => {
      const all = [...RANGE, '--docker-api', `unix://${docker.socket}`, ...args];
      await host.startRouter({ args: all });
      await body({ host, docker, args: all });
    });
  });
}

/** Addresses in use, by the start of their container's id or what else has them. */
async function held(host: Host): Promise<string[]> {
  return [...(await ownedOn(host))].map(([address, who]) => {
    return `${who.split(' ')[1]?.slice(0, 12)} ${address}`;
  });
}

/** How often the router has begun to follow the daemon. */
const follows = (host: Host): number =>
  readFileSync(host.router?.logPath ?? '', 'utf8').split('following the containers').length;

const lookup = async (host: Host, name: string): Promise<string> =>
  (await host.weave('dns-lookup', name)).stdout.trim();

dockerTest('attach gives an address and a name, which containers find', [], async (rig) => {
  const { host, docker } = rig;
  const exposed = (await host.weaveOk('expose')).trim();
  const dnsArgs = (await host.weaveOk('dns-args')).trim().split(' ');
  assert.ok(dnsArgs.includes(`--dns=${exposed}`), `${dnsArgs}`);
  const byName = await docker.run('c1', ...dnsArgs);
  const byHostname = await docker.run('c2', '--hostname', 'web', ...dnsArgs);
  // By name, by the start of the id.
  assert.equal(await host.weaveOk('attach', 'c1'), '10.36.0.2\n');
  assert.equal(await host.weaveOk('attach', byHostname.slice(0, 12)), '10.36.0.3\n');
  assert.equal(await host.weaveOk('attach', byName), '10.36.0.2\n', 'the same container');
  assert.equal(await lookup(host, 'c1'), '10.36.0.2');
  assert.equal(await lookup(host, 'web'), '10.36.0.3');
  assert.equal(await lookup(host, 'c2'), '');
  const [first, second] = [byName.slice(0, 12), byHostname.slice(0, 12)];
  const line = (id: string, address: string) => `${id} [0-9a-f:]{17} ${address}/16\n`;
  const lines = [
    line('weave:expose', exposed),
    line(first, '10.36.0.2'),
    line(second, '10.36.0.3'),
  ];
  assert.match(await host.weaveOk('ps'), new RegExp(`^${lines.join('')}$`));
  for (const word of ['c2', byHostname, second.slice(0, 6)]) {
    assert.match(await host.weaveOk('ps', word), new RegExp(`^${lines[2]}$`), word);
  }
  await host.weaveOk('dns-add', 'c2', '-h', 'more.weave.local');
  assert.equal(await lookup(host, 'more'), '10.36.0.3');
  assert.match(await docker.exec('c2', 'nslookup', 'c1.weave.local'), /Address.*10\.36\.0\.2\n/);
  // The search domain of dns-args.
  assert.match(await docker.exec('c1', 'ping', '-c', '1', '-w', '5', 'web'), / 0% packet loss/);
  const reverse = await docker.exec('c1', 'nslookup', '10.36.0.3');
  assert.match(reverse, /name = (web|more)\.weave\.local/);
});

dockerTest('killed and removed containers lose address and name in time', [], async (rig) => {
  const { host, docker } = rig;
  const ids = [await docker.run('c1'), await docker.run('c2'), await docker.run('c3')];
  const [killed, removed, stays] = ids.map((id) => id.slice(0, 12)) as [string, string, string];
  for (const name of ['c1', 'c2', 'c3']) await host.weaveOk('attach', name);
  assert.deepEqual(await held(host), [
    `${killed} 10.36.0.1`,
    `${removed} 10.36.0.2`,
    `${stays} 10.36.0.3`,
  ]);
  await docker.ok('kill', 'c1');
  await docker.ok('rm', '-f', 'c2');
  const killedMs = performance.now();
  for (const name of ['c1', 'c2']) {
    await waitFor(
      `end of the name ${name}`,
      SOON_MS,
      async () => (await lookup(host, name)) === '',
    );
  }
  await waitFor('release of the one', SOON_MS, async () => (await held(host)).length === 2);
  assert.deepEqual(await held(host), [`${killed} 10.36.0.1`, `${stays} 10.36.0.3`]);
  await waitFor('release of the other', RELEASE_DEADLINE_MS, async () => {
    return (await held(host)).length === 1;
  });
  const tookMs = performance.now() - killedMs;
  assert.ok(tookMs > 25_000, `a killed one keeps its address for half a minute: ${tookMs} ms`);
  assert.deepEqual(await held(host), [`${stays} 10.36.0.3`]);
  assert.equal(await lookup(host, 'c3'), '10.36.0.3');
  // What is free is given again, and a container can come back under its old name.
  await docker.run('c4');
  assert.equal(await host.weaveOk('attach', 'c4'), '10.36.0.1\n');
  await docker.run('c2');
  assert.equal(await host.weaveOk('attach', 'c2'), '10.36.0.2\n');
  assert.equal(await lookup(host, 'c2'), '10.36.0.2');
});

dockerTest('restarts of container, router and daemon lose no address', [], async (rig) => {
  const { host, docker, args } = rig;
  await docker.run('c1');
  await docker.run('c2');
  for (const name of ['c1', 'c2']) await host.weaveOk('attach', name);
  const before = await held(host);
  let pid = await docker.pidOf('c1');
  // Not by the daemon, which may be away.
  const works = async (): Promise<boolean> => {
    const inside = ['nsenter', '-t', pid, '-n'];
    return (await run([...inside, 'ping', '-c', '1', '-W', '2', '10.36.0.2'])).code === 0;
  };
  await waitFor('answer', SOON_MS, works);

  await host.stopRouter('SIGKILL');
  await host.startRouter({ args });
  assert.deepEqual(await held(host), before, 'after the router');
  await waitFor('name', SOON_MS, async () => (await lookup(host, 'c1')) === '10.36.0.1');
  assert.equal(await lookup(host, 'c2'), '10.36.0.2');
  assert.ok(await works());

  const followed = follows(host);
  await docker.stop();
  assert.ok(await works());
  assert.deepEqual(await held(host), before, 'without the daemon');
  assert.equal(await lookup(host, 'c1'), '10.36.0.1');
  await docker.start();
  // Both followers, that of addresses and that of names.
  await waitFor('events again', 30_000, () => follows(host) === followed + 2);
  assert.deepEqual(await held(host), before, 'after the daemon');
  assert.equal(await lookup(host, 'c2'), '10.36.0.2');

  // Its namespace is new: the interface is gone, the address is kept for it.
  await docker.ok('restart', '-t', '0', 'c1');
  pid = await docker.pidOf('c1');
  await holdFor(2000);
  assert.deepEqual(await held(host), before, 'after the container');
  assert.equal(await host.weaveOk('attach', 'c1'), '10.36.0.1\n');
  assert.equal(await lookup(host, 'c1'), '10.36.0.1');
  await waitFor('answer', SOON_MS, works);
  await holdFor(35_000);
  assert.deepEqual(await held(host), before, 'half a minute later');
});
