/**
 * Names of workloads, asked for from workloads with dig, ping and busybox.
 *
 *   c1 10.40.0.1 ── [h1] 10.40.0.101 ─┐
 *   c2 10.40.0.2 ── [h2] 10.40.0.102 ─┴── switch
 *
 * Each host is exposed under its address; workloads ask their own host there.
 */
import assert from 'node:assert/strict';
import { dig, digShort, setResolvConf } from '../support/dns-client.js';
import { attachOneEach, e2e, startMesh } from '../support/e2e.js';
import type { Lab } from '../support/lab.js';
import type { Host } from '../support/lab-host.js';
import { switchedHosts } from '../support/lab-topologies.js';
import { Workload } from '../support/lab-workload.js';
import { waitFor } from '../support/wait.js';

const TOOLS = ['dig', 'busybox'];
const SERVED_MS = 5_000;
/** Docker's container ends, or its namespace: noticed by the ports of the bridge. */
const REMOVAL_MS = 5_000;

const serverOf = (host: Host): string => `10.40.0.10${host.label.slice(1)}`;

async function start(lab: Lab): Promise<{ hosts: [Host, Host]; c1: Workload; c2: Workload }> {
  const { hosts } = switchedHosts(lab, 2);
  await startMesh(hosts, { args: ['--resolv-conf='] });
  const workloads = await attachOneEach(hosts);
  const [c1, c2] = workloads as [Workload, Workload];
  for (const host of hosts) {
    await host.weaveOk('expose', `${serverOf(host)}/16`, '-h', `${host.label}.weave.local`);
  }
  for (const { host, netns } of [c1, c2]) {
    setResolvConf(lab, netns, `nameserver ${serverOf(host)}\nsearch weave.local\n`);
    await waitFor(`DNS on ${host.label}`, SERVED_MS, async () => {
      return (await dig(lab, netns, serverOf(host), 'h1.weave.local')).status === 'NOERROR';
    });
  }
  return { hosts: hosts as [Host, Host], c1, c2 };
}

e2e('names across hosts: qualified, short, in any case, forward and back', TOOLS, async (lab) => {
  const { hosts, c1, c2 } = await start(lab);
  const [h1, h2] = hosts;
  await h2.weaveOk('dns-add', c2.netns, '-h', 'SeeTwo.weave.local');
  const ask = (...words: string[]) => dig(lab, c1.netns, serverOf(h1), ...words);
  await waitFor('name of the other host', 1_000, async () => {
    return (await ask('seetwo.weave.local')).answers.length === 1;
  });
  // smoke 210, 230: ping and nslookup by both forms of the name
  for (const name of ['seetwo.weave.local', 'seetwo']) {
    const ping = await c1.exec(['ping', '-c', '1', '-W', '2', name]);
    assert.equal(ping.code, 0, `${ping.stdout}${ping.stderr}`);
    const looked = await c1.exec(['busybox', 'nslookup', name]);
    assert.match(looked.stdout, /Address( \d)?: 10\.40\.0\.2\b/, name);
  }
  // smoke 245: the answer has the spelling of the question
  const { answers, flags } = await ask('SEEtwo.Weave.LOCAL');
  assert.deepEqual(answers, ['SEEtwo.Weave.LOCAL. 1 IN A 10.40.0.2']);
  assert.deepEqual(flags, ['qr', 'aa', 'rd', 'ra']);
  // smoke 265
  assert.deepEqual(await digShort(lab, c1.netns, serverOf(h1), '-x', '10.40.0.2'), [
    'SeeTwo.weave.local.',
  ]);
  const reverse = await c1.exec(['busybox', 'nslookup', '10.40.0.2']);
  assert.match(reverse.stdout, /SeeTwo\.weave\.local/);
  // smoke 250: NXDOMAIN and NODATA told apart, both with a SOA
  const nothing = await ask('nope.weave.local');
  assert.deepEqual([nothing.status, nothing.answers], ['NXDOMAIN', []]);
  assert.match(nothing.authorities.join(), /^weave\.local\. 1 IN SOA /);
  const mx = await ask('seetwo.weave.local', 'MX');
  assert.deepEqual([mx.status, mx.answers, mx.authorities.length], ['NOERROR', [], 1]);
  assert.equal((await ask('-x', '10.40.0.77')).status, 'NXDOMAIN');
  // smoke 200: the exposed address has a name
  assert.deepEqual(await digShort(lab, c2.netns, serverOf(h2), 'h1.weave.local'), ['10.40.0.101']);
  assert.equal(await h1.weaveOk('dns-lookup', 'seetwo'), '10.40.0.2\n');
});

e2e('replicas in random order, IPv6, services and aliases; sub-domains', TOOLS, async (lab) => {
  const { hosts, c1, c2 } = await start(lab);
  const [h1, h2] = hosts;
  await h1.weaveOk('dns-add', c1.netns, '-h', 'web.weave.local');
  await h2.weaveOk('dns-add', c2.netns, '-h', 'web.weave.local');
  await h2.weaveOk('dns-add', 'fd00::2', '-h', 'web.weave.local');
  await h2.weaveOk('dns-add', '--cname', 'web.weave.local', '-h', 'alias.weave.local');
  await h2.weaveOk('dns-add', '--srv', '10 60 80 web.weave.local', '-h', '_http._tcp.weave.local');
  await h1.weaveOk('dns-add', '192.0.2.9', '-h', 'a.sub.weave.local');
  const ask = (...words: string[]) => digShort(lab, c1.netns, serverOf(h1), ...words);
  await waitFor('both replicas and the service', 1_000, async () => {
    const service = await ask('_http._tcp.weave.local', 'SRV');
    return service.length === 1 && (await ask('web.weave.local')).length === 2;
  });
  // smoke 210: load spreads over the replicas
  const firsts = new Set<string>();
  await waitFor('both orders', 10_000, async () => {
    const { answers } = await dig(lab, c1.netns, serverOf(h1), 'web.weave.local');
    firsts.add(answers[0] ?? '');
    return firsts.size === 2;
  });
  assert.deepEqual(await ask('web.weave.local', 'AAAA'), ['fd00::2']);
  assert.deepEqual(await ask('-x', 'fd00::2'), ['web.weave.local.']);
  assert.deepEqual(await ask('_http._tcp.weave.local', 'SRV'), ['10 60 80 web.weave.local.']);
  const alias = ['10.40.0.1', '10.40.0.2', 'web.weave.local.'];
  assert.deepEqual(await ask('alias.weave.local'), alias);
  // smoke 225
  assert.deepEqual(await ask('a.sub.weave.local'), ['192.0.2.9']);
  assert.equal((await dig(lab, c1.netns, serverOf(h1), 'sub.weave.local')).status, 'NOERROR');
  // hot swap: the old one's name goes, its connections need not
  await h1.weaveOk('dns-remove', c1.netns, '-h', 'web.weave.local');
  assert.deepEqual(await ask('web.weave.local'), ['10.40.0.2']);
});

e2e('names are added and removed in all forms, and end with their workload', TOOLS, async (lab) => {
  const { hosts, c1, c2 } = await start(lab);
  const [h1, h2] = hosts;
  const ask = (name: string) => digShort(lab, c2.netns, serverOf(h2), name);
  const becomes = (name: string, addresses: readonly string[]) =>
    waitFor(`${name} as ${addresses.join(' ')}`, REMOVAL_MS, async () => {
      return `${await ask(name)}` === `${addresses}`;
    });
  // smoke 240
  await h1.weaveOk('dns-add', '10.40.0.1', c1.netns, '-h', 'one.weave.local');
  await h1.weaveOk('dns-add', c1.netns, '-h', 'two.weave.local');
  await h1.weaveOk('dns-add', '192.0.2.1', '192.0.2.2', '-h', 'out.weave.local');
  await becomes('one.weave.local', ['10.40.0.1']);
  await becomes('two.weave.local', ['10.40.0.1']);
  await becomes('out.weave.local', ['192.0.2.1', '192.0.2.2']);
  await h1.weaveOk('dns-remove', '192.0.2.1', '-h', 'out.weave.local');
  await becomes('out.weave.local', ['192.0.2.2']);
  await h1.weaveOk('dns-remove', c1.netns);
  await becomes('one.weave.local', []);
  await becomes('two.weave.local', []);
  // Names given at attach; without DNS there is none.
  const named = await Workload.attach(h1, 'c3', '10.40.1.3/16', [
    '--name',
    'three',
    '--name',
    'tri.weave.local',
  ]);
  await Workload.attach(h1, 'c4', '10.40.1.4/16', ['--name', 'four', '--without-dns']);
  await becomes('three.weave.local', [named.address]);
  assert.deepEqual(await ask('tri.weave.local'), [named.address]);
  assert.deepEqual(await ask('four.weave.local'), []);
  // smoke 260: the namespace goes without a detach
  lab.removeNetns(named.netns);
  await becomes('three.weave.local', []);
  await h1.weaveOk('hide', '10.40.0.101/16');
  await becomes('h1.weave.local', []);
  const page = await h2.weaveOk('status', 'dns');
  assert.deepEqual(
    page.split('\n').map((line) => line.split(/\s+/).slice(0, 2).join(' ')),
    ['h2 10.40.0.102', 'out 192.0.2.2', ''],
  );
});
