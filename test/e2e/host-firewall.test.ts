/**
 * Hosts whose other software drops forwarded packets by default.
 *
 *   world 192.0.2.2 ── up0 192.0.2.1 (host, forward: drop) weave 10.2.1.100 ── 10.2.1.1 workload
 */
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { requireNetns, requireTool } from '../support/requirements.js';
import { HostRig, run } from './host-rig.js';

const EXPOSED = '10.2.1.100/24';

const ready = (t: TestContext): boolean => requireNetns(t) && requireTool(t, 'nft');

interface Site {
  readonly rig: HostRig;
  readonly world: string;
  readonly workload: string;
}

async function build(t: TestContext): Promise<Site> {
  const rig = await HostRig.create(t);
  const [world, workload] = [await rig.addNetns('world'), await rig.addNetns('a')];
  await rig.ip('link', 'add', 'up0', 'type', 'veth', 'peer', 'name', 'eth0', 'netns', world);
  await rig.ip('addr', 'add', '192.0.2.1/24', 'dev', 'up0');
  await rig.ip('link', 'set', 'up0', 'up');
  await run('ip', '-n', world, 'addr', 'add', '192.0.2.2/24', 'dev', 'eth0');
  await run('ip', '-n', world, 'link', 'set', 'eth0', 'up');
  await run('ip', '-n', world, 'route', 'add', '10.2.1.0/24', 'via', '192.0.2.1');
  await rig.inside(rig.host, 'sysctl', '-q', 'net.ipv4.ip_forward=1');
  return { rig, world, workload };
}

async function attach({ rig, workload }: Site) {
  const network = await rig.up();
  await network.attach(workload, ['10.2.1.1/24'], { multicastRoute: true });
  await run('ip', '-n', workload, 'route', 'add', 'default', 'via', '10.2.1.100');
  return network;
}

/** Both ways through the host, each begun by its own side. */
async function passes({ rig, world, workload }: Site): Promise<[boolean, boolean]> {
  return [await rig.pings(world, '10.2.1.1'), await rig.pings(workload, '192.0.2.2')];
}

test('FORWARD of iptables-nft with policy DROP lets the overlay through', async (t) => {
  if (!ready(t) || !requireTool(t, 'iptables-nft')) return;
  const site = await build(t);
  const { rig } = site;
  const iptables = (...args: string[]) => rig.inside(rig.host, 'iptables-nft', ...args);
  await iptables('-P', 'FORWARD', 'DROP');
  await iptables(
    '-A',
    'FORWARD',
    '-i',
    'docker0',
    '-m',
    'conntrack',
    '--ctstate',
    'NEW',
    '-j',
    'DROP',
  );
  const before = await iptables('-S');
  const network = await attach(site);
  assert.deepEqual(await passes(site), [false, false]);
  await network.expose(EXPOSED, { masquerade: true });
  assert.deepEqual(await passes(site), [true, true]);
  // iptables can still read its own table, and shows our rules on top.
  assert.deepEqual(
    (await iptables('-S', 'FORWARD')).split('\n').slice(1, 4),
    ['-i weave -o weave', '-d 10.2.1.0/24 -o weave', '-i weave'].map(
      (what) => `-A FORWARD ${what} -m comment --comment "weave-net weave" -j ACCEPT`,
    ),
  );
  assert.equal(await network.reconcile(), false);
  const rules = await rig.rules();
  await rig.up();
  assert.equal(await rig.rules(), rules);
  await network.tearDown();
  assert.equal(await iptables('-S'), before);
});

test('a native chain that rejects at its end is opened, and again after a reload', async (t) => {
  if (!ready(t)) return;
  const site = await build(t);
  const { rig } = site;
  const reload = async (): Promise<void> => {
    for (const line of [
      'add table inet firewalld',
      'delete table inet firewalld',
      'add table inet firewalld',
      'add chain inet firewalld filter_FORWARD { type filter hook forward priority 10; }',
      'add rule inet firewalld filter_FORWARD iifname "docker0" accept',
      'add rule inet firewalld filter_FORWARD reject with icmpx admin-prohibited',
    ]) {
      await rig.inside(rig.host, 'nft', line);
    }
  };
  await reload();
  const before = await rig.rules();
  const network = await attach(site);
  await network.expose(EXPOSED, { masquerade: false });
  assert.deepEqual(await passes(site), [true, true]);
  await reload();
  assert.deepEqual(await passes(site), [false, false]);
  assert.equal(await network.reconcile(), true);
  assert.deepEqual(await passes(site), [true, true]);
  assert.equal(network.counters().ruleRepairs, 1);
  await rig.inside(rig.host, 'nft', 'flush chain inet firewalld filter_FORWARD');
  assert.equal(await network.reconcile(), false);
  await reload();
  assert.equal(await network.reconcile(), true);
  await network.tearDown();
  assert.equal(await rig.rules(), before);
});

test('hiding takes the network out of foreign chains, and open chains keep nothing', async (t) => {
  if (!ready(t)) return;
  const site = await build(t);
  const { rig } = site;
  const policy = (word: string) =>
    rig.inside(
      rig.host,
      'nft',
      `add table ip other; add chain ip other f { type filter hook forward priority 0; policy ${word}; }`,
    );
  await policy('drop');
  const network = await attach(site);
  await network.expose(EXPOSED, { masquerade: true });
  const chain = () => rig.inside(rig.host, 'nft', 'list', 'chain', 'ip', 'other', 'f');
  assert.match(await chain(), /ip daddr 10\.2\.1\.0\/24 accept comment "weave-net weave"/);
  await network.hide(EXPOSED);
  assert.doesNotMatch(await chain(), /daddr/);
  assert.match(await chain(), /iifname "weave" accept/);
  await policy('accept');
  assert.equal(await network.reconcile(), true);
  assert.doesNotMatch(await chain(), /weave/);
  assert.equal(await network.reconcile(), false);
});

test('a chain that refuses changes is warned about once and hinders nothing', async (t) => {
  if (!ready(t)) return;
  const { rig, workload } = await build(t);
  const modulesOptions = { engineSockets: [] };
  const network = rig.network({}, modulesOptions, (modules) => ({
    ...modules,
    nft: {
      ...modules.nft,
      apply: (netns, script) =>
        script.includes('rule inet owned')
          ? Promise.reject(new Error('nft: Operation not permitted'))
          : modules.nft.apply(netns, script),
    },
  }));
  await rig.inside(
    rig.host,
    'nft',
    'add table inet owned; add chain inet owned f { type filter hook forward priority 0; policy drop; }',
  );
  await network.setUp();
  await network.attach(workload, ['10.2.1.1/24'], { multicastRoute: true });
  await network.expose(EXPOSED, { masquerade: true });
  assert.equal(await network.reconcile(), false);
  const warnings = rig.logged.filter((line) => line.includes('inet owned f'));
  assert.equal(warnings.length, 1);
  assert.match(warnings.join(), /^warn .*cannot be changed.*not permitted/);
  await network.tearDown();
});

test('rules of iptables-legacy are left alone and warned about', async (t) => {
  if (!ready(t) || !requireTool(t, 'iptables-legacy')) return;
  const { rig } = await build(t);
  const legacy = (...args: string[]) => rig.inside(rig.host, 'iptables-legacy', ...args);
  try {
    await legacy('-P', 'FORWARD', 'DROP');
  } catch {
    t.skip('this kernel has no tables of iptables-legacy');
    return;
  }
  const before = await legacy('-S');
  await rig.up();
  assert.match(rig.logged.join('\n'), /warn Rules of iptables-legacy are in force/);
  assert.equal(await legacy('-S'), before);
});
