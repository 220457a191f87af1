/**
 * Strangers and secrets.
 *
 *   w1 ── [h1] ── switch ── [h2] ── w2
 *                   └── stranger 198.51.100.66
 */
import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { attachOneEach, e2e, PASSWORD, startMesh } from '../support/e2e.js';
import type { Lab } from '../support/lab.js';
import { type Host, WEAVER } from '../support/lab-host.js';
import { switchedHosts } from '../support/lab-topologies.js';
import { agentIn, type Workload } from '../support/lab-workload.js';
import { runSync } from '../support/shell.js';
import { waitFor } from '../support/wait.js';

const GARBAGE_COUNT = 4_000;
/** What a router may grow by while strangers shout at it. */
const ALLOWED_GROWTH_BYTES = 64 * 1024 * 1024;

function addStranger(lab: Lab, switchNetns: string): string {
  const netns = lab.addNetns('stranger');
  lab.cable({ netns: switchNetns, device: 'stranger' }, { netns, device: 'eth0' }, 1500);
  lab.ip(switchNetns, ['link set stranger master br0']);
  lab.ip(netns, ['addr add 198.51.100.66/24 dev eth0']);
  return netns;
}

e2e('garbage on TCP and UDP 6783 does no harm', [], async (lab) => {
  const { hosts, switchNetns } = switchedHosts(lab, 2);
  const [h1] = hosts as [Host, Host];
  await startMesh(hosts, { password: PASSWORD });
  const [w1, w2] = (await attachOneEach(hosts)) as [Workload, Workload];
  await waitFor('first answer', 5_000, () => w1.reaches(w2.address));
  const stranger = addStranger(lab, switchNetns);
  const before = h1.residentBytes();
  const logBefore = statSync(h1.router?.logPath ?? '').size;
  const shouting = agentIn<{ tcp: number; udp: number }>(
    stranger,
    180_000,
    ...(['garbage', h1.address, '6783', `${GARBAGE_COUNT}`, '1'] as const),
  );
  const during = await w1.ping(w2.address, { count: 50 });
  assert.ok(during.received >= 45, `traffic goes on meanwhile: ${during.output}`);
  const { tcp, udp } = await shouting;
  assert.ok(tcp > 100 && udp === GARBAGE_COUNT);
  assert.ok(h1.router?.running());
  const after = await w1.ping(w2.address, { count: 10 });
  assert.equal(after.received, 10, after.output);
  assert.ok(h1.residentBytes() - before < ALLOWED_GROWTH_BYTES);
  const logged = statSync(h1.router?.logPath ?? '').size - logBefore;
  assert.ok(logged < 1024 * 1024, `the log grew by ${logged} bytes`);
  const own = (await h1.connections()).filter((c) => c.State === 'established');
  assert.equal(own.length, 1);
});

/** All files below a folder with their mode, sockets and links left out. */
function filesBelow(folder: string): { path: string; mode: number }[] {
  return readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .map((name) => join(folder, name))
    .filter((path) => existsSync(path) && statSync(path).isFile())
    .map((path) => ({ path, mode: statSync(path).mode }));
}

async function assertSecretIsHidden(host: Host, secret: string): Promise<void> {
  const pages = ['/report', '/status', '/status/connections', '/status/peers', '/metrics'];
  for (const path of pages) {
    const { body } = await host.api('GET', path, '', { Accept: 'application/json' });
    assert.ok(!body.includes(secret), `${path} shows the password`);
  }
  const log = readFileSync(host.router?.logPath ?? '', 'utf8');
  assert.ok(!log.includes(secret), 'the log shows the password');
  for (const { path, mode } of filesBelow(host.folder)) {
    // Only the owner may read the few files that are allowed to hold secrets.
    if ((mode & 0o077) === 0) continue;
    assert.ok(!readFileSync(path, 'latin1').includes(secret), `${path} shows the password`);
  }
  const pids = runSync(['ip', 'netns', 'pids', host.netns]).split('\n').filter(Boolean);
  for (const pid of pids) {
    const cmdline = readFileSync(`/proc/${pid}/cmdline`, 'latin1');
    assert.ok(!cmdline.includes(secret), `the process list shows the password: ${cmdline}`);
  }
}

e2e('the password shows nowhere, however it was given', [], async (lab) => {
  const hosts = switchedHosts(lab, 2).hosts as [Host, Host];
  const [h1, h2] = hosts;
  await h1.startRouter({ password: PASSWORD });
  await h2.startRouter({ args: ['--password', PASSWORD], peers: [h1.address] });
  await h1.waitEstablished(h2);
  for (const host of hosts) await assertSecretIsHidden(host, PASSWORD);
  const socket = statSync(h1.socketPath);
  assert.equal(socket.mode & 0o777, 0o600, 'only root may use the control socket');
});

e2e('a web page cannot use the control port', [], async (lab) => {
  const [h1] = switchedHosts(lab, 1).hosts as [Host];
  await h1.startRouter();
  const foreign = await h1.api('POST', '/connect', 'peer=198.51.100.9', {
    Origin: 'http://attacker.example',
    'Content-Type': 'application/x-www-form-urlencoded',
  });
  assert.equal(foreign.status, 403);
  assert.deepEqual((await h1.report()).Router.Targets ?? [], []);
  const bound = await lab.exec(h1.netns, [process.execPath, WEAVER, '--version']);
  assert.match(bound.stdout, /^weave /);
});
