/**
 * Names between our routers and the original's. Needs a binary of the original's `weaver`:
 *
 *   WEAVE_REAL_ROUTER=/path/to/weaver npm test -- interop --only names
 *
 *   [h1] ours ── [h2] original ── [h3] ours      h1 and h3 see each other through h2 only
 *
 * Each host answers on 127.0.0.1; names are added by the API, which both have.
 */
import assert from 'node:assert/strict';
import { dig, digShort } from '../support/dns-client.js';
import { e2e, PASSWORD } from '../support/e2e.js';
import type { Lab } from '../support/lab.js';
import { type Host, ownRouter } from '../support/lab-host.js';
import { switchedHosts } from '../support/lab-topologies.js';
import { REAL_ROUTER_VARIABLE, realRouter } from '../support/real-router.js';
import { waitFor } from '../support/wait.js';

const binary = process.env[REAL_ROUTER_VARIABLE] ?? '';
const theirs = realRouter(binary, { names: true });
const TOOLS = ['iptables', 'dig'];
const SPREAD_MS = 1_000;
const FORM = { 'Content-Type': 'application/x-www-form-urlencoded' };

async function add(host: Host, container: string, address: string, fqdn: string): Promise<void> {
  const path = `/name/${container}/${encodeURIComponent(address)}`;
  const { status, body } = await host.api('PUT', path, `fqdn=${fqdn}`, FORM);
  assert.deepEqual([status, body], [204, '']);
}

const ask = (lab: Lab, host: Host, ...words: string[]): Promise<string[]> =>
  digShort(lab, host.netns, '127.0.0.1', ...words);

function becomes(
  lab: Lab,
  host: Host,
  words: readonly string[],
  data: readonly string[],
  deadlineMs = SPREAD_MS,
): Promise<unknown> {
  return waitFor(`${words.join(' ')} as "${data}" on ${host.label}`, deadlineMs, async () => {
    return `${await ask(lab, host, ...words)}` === `${data}`;
  });
}

function interop(name: string, body: (lab: Lab) => Promise<void>): void {
  e2e(name, TOOLS, async (lab, t) => {
    if (binary === '') {
      t.skip(`needs ${REAL_ROUTER_VARIABLE}, the path of the original's weaver`);
      return;
    }
    await body(lab);
  });
}

async function startChain(lab: Lab): Promise<[Host, Host, Host]> {
  const { hosts } = switchedHosts(lab, 3, { kinds: [ownRouter, theirs, ownRouter] });
  const [h1, h2, h3] = hosts as [Host, Host, Host];
  h1.block(h3);
  h3.block(h1);
  const args = ['--resolv-conf='];
  await h1.startRouter({ password: PASSWORD, args });
  await h2.startRouter({ password: PASSWORD, peers: [h1.address] });
  await h3.startRouter({ password: PASSWORD, args, peers: [h2.address] });
  await h1.waitEstablished(h2);
  await h3.waitEstablished(h2);
  return [h1, h2, h3];
}

interop('names added on either side resolve on the other, and go there', async (lab) => {
  const hosts = await startChain(lab);
  const [h1, h2, h3] = hosts;
  await add(h1, 'c1', '10.32.0.1', 'ours.weave.local');
  await add(h2, 'c2', '10.32.0.2', 'Theirs.weave.local');
  await add(h3, 'c3', '10.32.0.3', 'ours.weave.local');
  for (const host of hosts) {
    await becomes(lab, host, ['ours.weave.local'], ['10.32.0.1', '10.32.0.3']);
    await becomes(lab, host, ['theirs.weave.local'], ['10.32.0.2']);
    await becomes(lab, host, ['-x', '10.32.0.2'], ['Theirs.weave.local.']);
  }
  await h1.api('DELETE', '/name/c1/10.32.0.1?fqdn=ours.weave.local');
  await h2.api('DELETE', '/name/c2');
  for (const host of hosts) {
    await becomes(lab, host, ['ours.weave.local'], ['10.32.0.3']);
    assert.equal(
      (await dig(lab, host.netns, '127.0.0.1', 'theirs.weave.local')).status,
      'NXDOMAIN',
    );
  }
  // Said again they come back.
  await add(h1, 'c1', '10.32.0.1', 'ours.weave.local');
  for (const host of hosts) {
    await becomes(lab, host, ['ours.weave.local'], ['10.32.0.1', '10.32.0.3']);
  }
  for (const host of hosts) assert.ok(host.router?.running());
});

interop('what the original does not know passes through it', async (lab) => {
  const [h1, h2, h3] = await startChain(lab);
  await h1.weaveOk('dns-add', 'fd00::1', '10.32.0.1', '-h', 'six.weave.local');
  await h1.weaveOk('dns-add', '--srv', '0 5 80 six.weave.local', '-h', '_http._tcp.weave.local');
  await becomes(lab, h3, ['six.weave.local', 'AAAA'], ['fd00::1'], 5_000);
  await becomes(lab, h3, ['_http._tcp.weave.local', 'SRV'], ['0 5 80 six.weave.local.'], 5_000);
  await becomes(lab, h2, ['six.weave.local'], ['10.32.0.1']);
  assert.deepEqual(await ask(lab, h2, 'six.weave.local', 'AAAA'), []);
});

interop(
  'restarts of either kind: names of the dead go, those of the living return',
  async (lab) => {
    const [h1, h2, h3] = await startChain(lab);
    await add(h1, 'c1', '10.32.0.1', 'one.weave.local');
    await add(h2, 'c2', '10.32.0.2', 'two.weave.local');
    await becomes(lab, h3, ['one.weave.local'], ['10.32.0.1']);
    await h1.stopRouter('SIGKILL');
    await becomes(lab, h2, ['one.weave.local'], [], 10_000);
    await becomes(lab, h3, ['one.weave.local'], [], 10_000);
    await h1.startRouter({ password: PASSWORD, args: ['--resolv-conf='], peers: [h2.address] });
    await becomes(lab, h3, ['one.weave.local'], ['10.32.0.1'], 40_000);
    await becomes(lab, h1, ['two.weave.local'], ['10.32.0.2'], 40_000);
    // The original forgets what it was told by hand, and its neighbours learn that from it.
    await h2.stopRouter('SIGKILL');
    await h2.startRouter({ password: PASSWORD, peers: [h1.address, h3.address] });
    await becomes(lab, h2, ['one.weave.local'], ['10.32.0.1'], 40_000);
    for (const host of [h1, h2, h3]) await becomes(lab, host, ['two.weave.local'], [], 40_000);
  },
);
