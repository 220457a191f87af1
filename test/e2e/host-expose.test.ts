/** The host's own addresses on the overlay: reachability, masquerading, repair, memory. */
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { silentLogger } from '../../core/log.js';
import { RepairTimer } from '../../router/host/io/repair-timer.js';
import { requireNetns, requireTool } from '../support/requirements.js';
import { waitFor } from '../support/wait.js';
import { HostRig, hasCode, run } from './host-rig.js';

const PLAIN = { multicastRoute: true };
const EXPOSED = '10.2.1.100/24';

const ready = (t: TestContext): boolean => requireNetns(t) && requireTool(t, 'nft');

/** A network behind the host, with counters of who its packets come from. */
async function addWorld(rig: HostRig): Promise<string> {
  const world = await rig.addNetns('world');
  await rig.ip('link', 'add', 'up0', 'type', 'veth', 'peer', 'name', 'eth0', 'netns', world);
  await rig.ip('addr', 'add', '192.0.2.1/24', 'dev', 'up0');
  await rig.ip('link', 'set', 'up0', 'up');
  await run('ip', '-n', world, 'addr', 'add', '192.0.2.2/24', 'dev', 'eth0');
  await run('ip', '-n', world, 'link', 'set', 'eth0', 'up');
  await run('ip', '-n', world, 'route', 'add', '10.2.1.0/24', 'via', '192.0.2.1');
  await rig.inside(rig.host, 'sysctl', '-q', 'net.ipv4.ip_forward=1');
  await rig.inside(world, 'nft', 'add table ip seen');
  await rig.inside(world, 'nft', 'add chain ip seen in { type filter hook input priority 0; }');
  for (const source of ['192.0.2.1', '10.2.1.1']) {
    await rig.inside(world, 'nft', `add rule ip seen in ip saddr ${source} counter`);
  }
  return world;
}

async function packetsFrom(rig: HostRig, world: string, source: string): Promise<number> {
  const text = await rig.rules(world);
  const match = new RegExp(`ip saddr ${source.replaceAll('.', '\\.')} counter packets (\\d+)`);
  return Number(match.exec(text)?.[1]);
}

test('the host reaches workloads only while it is exposed', async (t) => {
  if (!ready(t)) return;
  const rig = await HostRig.create(t);
  const a = await rig.addNetns('a');
  // New namespaces take it from the machine that the test runs on.
  await rig.inside(rig.host, 'sysctl', '-q', 'net.ipv4.ip_forward=0');
  const network = await rig.up();
  await network.attach(a, ['10.2.1.1/24'], PLAIN);
  assert.equal(await rig.pings(rig.host, '10.2.1.1'), false);
  await network.expose(EXPOSED, { masquerade: true });
  await network.expose(EXPOSED, { masquerade: true });
  assert.equal(await rig.pings(rig.host, '10.2.1.1'), true);
  assert.match(rig.logged.join('\n'), /IP forwarding is off/);
  await network.hide(EXPOSED);
  await network.hide(EXPOSED);
  assert.equal(await rig.pings(rig.host, '10.2.1.1'), false);
  assert.deepEqual(await rig.addresses(rig.host, 'weave'), []);
  assert.doesNotMatch(await rig.rules(), /10\.2\.1|224\.0\.0\.0/);
});

test('several addresses of one network can be hidden singly', async (t) => {
  if (!ready(t)) return;
  const rig = await HostRig.create(t);
  const network = await rig.up();
  for (const cidr of [EXPOSED, '10.2.1.101/24', '10.3.1.100/24']) {
    await network.expose(cidr, { masquerade: true });
  }
  await network.hide(EXPOSED);
  assert.deepEqual((await rig.addresses(rig.host, 'weave')).sort(), [
    '10.2.1.101/24',
    '10.3.1.100/24',
  ]);
  assert.match(await rig.rules(), /ip saddr 10\.2\.1\.0\/24 ip daddr != 10\.2\.1\.0\/24 masq/);
  await assert.rejects(
    network.expose('10.2.1.0/24', { masquerade: true }),
    hasCode('address-unusable'),
  );
});

test('clients from outside keep their address on their way to workloads of this host', async (t) => {
  if (!ready(t)) return;
  const rig = await HostRig.create(t);
  const a = await rig.addNetns('a');
  const world = await addWorld(rig);
  const network = await rig.up();
  await network.attach(a, ['10.2.1.1/24'], PLAIN);
  await run('ip', '-n', a, 'route', 'add', 'default', 'via', '10.2.1.100');
  await network.expose(EXPOSED, { masquerade: true });
  await rig.inside(a, 'nft', 'add table ip seen');
  await rig.inside(a, 'nft', 'add chain ip seen in { type filter hook input priority 0; }');
  await rig.inside(a, 'nft', 'add rule ip seen in ip saddr 192.0.2.2 counter');
  assert.equal(await rig.pings(world, '10.2.1.1'), true);
  assert.equal(await packetsFrom(rig, a, '192.0.2.2'), 0);
  // Nobody else's range keeps it.
  await network.keepSourcesTo(['10.2.1.64-10.2.1.127']);
  assert.equal(await rig.pings(world, '10.2.1.1'), true);
  assert.equal(await packetsFrom(rig, a, '192.0.2.2'), 0);
  await network.keepSourcesTo(['10.2.1.0-10.2.1.63']);
  assert.equal(await rig.pings(world, '10.2.1.1'), true);
  assert.ok((await packetsFrom(rig, a, '192.0.2.2')) > 0);
  // And what workloads begin comes from the host's address as before.
  const replies = await packetsFrom(rig, world, '10.2.1.1');
  assert.equal(await rig.pings(a, '192.0.2.2'), true);
  assert.equal(await packetsFrom(rig, world, '10.2.1.1'), replies);
});

test('masquerading hides workloads from the world; without it they are seen', async (t) => {
  if (!ready(t)) return;
  const rig = await HostRig.create(t);
  const a = await rig.addNetns('a');
  const world = await addWorld(rig);
  const network = await rig.up();
  await network.attach(a, ['10.2.1.1/24'], PLAIN);
  await run('ip', '-n', a, 'route', 'add', 'default', 'via', '10.2.1.100');
  await network.expose(EXPOSED, { masquerade: true });
  assert.equal(await rig.pings(a, '192.0.2.2'), true);
  assert.equal(await packetsFrom(rig, world, '10.2.1.1'), 0);
  assert.ok((await packetsFrom(rig, world, '192.0.2.1')) > 0);
  // The world reaches workloads through the host's route as well.
  assert.equal(await rig.pings(world, '10.2.1.1'), true);
  await network.expose(EXPOSED, { masquerade: false });
  assert.equal(await rig.pings(a, '192.0.2.2'), true);
  assert.ok((await packetsFrom(rig, world, '10.2.1.1')) > 0);
  assert.doesNotMatch(await rig.rules(), /masquerade/);
});

test('a restarted router remembers exposures and their masquerading', async (t) => {
  if (!ready(t)) return;
  const rig = await HostRig.create(t);
  const first = await rig.up();
  await first.expose(EXPOSED, { masquerade: false });
  await first.expose('10.3.1.1/24', { masquerade: true });
  const records = first.exposures();
  // From the kernel's own rules, with nothing stored.
  assert.deepEqual((await rig.up()).exposures(), records);
  assert.match(rig.logged.join('\n'), /Re-exposing/);
  // From the stored records, when the rules are gone.
  await rig.inside(rig.host, 'nft', 'flush ruleset');
  assert.deepEqual((await rig.up({ savedExposures: records })).exposures(), records);
  // With neither, addresses on the bridge are masqueraded.
  await rig.inside(rig.host, 'nft', 'flush ruleset');
  assert.deepEqual(
    (await rig.up()).exposures().map((record) => record.masquerade),
    [true, true],
  );
});

test('a flush of the packet filter is repaired, whole or in part', async (t) => {
  if (!ready(t)) return;
  const rig = await HostRig.create(t);
  const network = await rig.up();
  await network.expose(EXPOSED, { masquerade: true });
  const rules = await rig.rules();
  assert.equal(await network.reconcile(), false);
  for (const damage of [
    'flush ruleset',
    'delete table ip weave',
    'flush table ip weave',
    'flush chain ip weave postrouting',
    'insert rule ip weave forward drop',
  ]) {
    await rig.inside(rig.host, 'nft', damage);
    assert.equal(await network.reconcile(), true, damage);
    assert.equal(await rig.rules(), rules, damage);
  }
  assert.equal(network.counters().ruleRepairs, 5);
  const timer = new RepairTimer(() => network.reconcile(), silentLogger);
  t.after(() => timer.stop());
  timer.start(50);
  await rig.inside(rig.host, 'nft', 'flush ruleset');
  await waitFor('repaired rules', 5000, async () => (await rig.rules()) === rules);
});

test('an address that somebody removes from the bridge comes back', async (t) => {
  if (!ready(t)) return;
  const rig = await HostRig.create(t);
  const network = await rig.up();
  await network.expose(EXPOSED, { masquerade: true });
  await rig.ip('addr', 'flush', 'dev', 'weave');
  assert.equal(await network.reconcile(), true);
  assert.deepEqual(await rig.addresses(rig.host, 'weave'), [EXPOSED]);
  assert.equal(network.counters().addressRepairs, 1);
});

test('routes that lead an exposed address elsewhere are named', async (t) => {
  if (!ready(t)) return;
  const rig = await HostRig.create(t);
  await addWorld(rig);
  const network = await rig.up();
  assert.deepEqual(await network.routeClashes(['192.0.2.7/24', '10.2.1.1/24']), [
    '192.0.2.7/24 lies in 192.0.2.0/24, which this host reaches over "up0"',
  ]);
});
