/** The bridge itself: creation, adoption of what Weave Net 2 left, the TAP port, repair, reset. */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { type TestContext, test } from 'node:test';
import { silentLogger } from '../../core/log.js';
import { readBridgeMac } from '../../router/host/bridge.js';
import { createHostModules } from '../../router/host/io/modules.js';
import { Memory } from '../../sys/memory.js';
import { withNetns } from '../../sys/netns.js';
import { Tap } from '../../sys/tap.js';
import { requireNetns, requireTool, requireTun } from '../support/requirements.js';
import { waitFor } from '../support/wait.js';
import { HostRig, hasCode, PEER_MAC, run } from './host-rig.js';

const PLAIN = { multicastRoute: true };

const ready = (t: TestContext): boolean =>
  requireNetns(t) && requireTun(t) && requireTool(t, 'nft');

const linkOf = async (rig: HostRig, name: string): Promise<string> =>
  rig.ip('-d', '-o', 'link', 'show', 'dev', name);

/** What a host of Weave Net 2 with bridge type "bridge" looks like. */
async function addOriginal(rig: HostRig): Promise<void> {
  await rig.ip('link', 'add', 'weave', 'address', '82:00:00:00:00:07', 'type', 'bridge');
  const pair = ['vethwe-bridge', 'type', 'veth', 'peer', 'name', 'vethwe-pcap'];
  await rig.ip('link', 'add', ...pair);
  await rig.ip('link', 'set', 'vethwe-bridge', 'mtu', '65535', 'master', 'weave');
  await rig.ip('link', 'set', 'vethwe-pcap', 'mtu', '65535', 'up');
  await rig.ip('link', 'set', 'vethwe-bridge', 'up');
  await rig.ip('link', 'set', 'weave', 'mtu', '65535', 'up');
}

test('a new bridge has the documented shape', async (t) => {
  if (!ready(t)) return;
  const rig = await HostRig.create(t);
  const modules = createHostModules({ hostNetnsPath: `/run/netns/${rig.host}` }, silentLogger);
  t.after(() => modules.netns.host.close());
  assert.equal(await readBridgeMac('weave', modules), null);
  const network = await rig.up();
  assert.equal(await readBridgeMac('weave', modules), 0x820000000001);
  const link = await linkOf(rig, 'weave');
  assert.match(link, /mtu 1376 .*state (UP|DOWN|UNKNOWN)/);
  assert.match(link, new RegExp(`link/ether ${PEER_MAC} .* stp_state 0 .* mcast_snooping 0`));
  assert.match(await rig.rules(), /tcp dport 6784 fib saddr type != local .* drop/);
  const { mac, mtu, cidrs } = await network.bridgeState();
  assert.deepEqual([mac, mtu, cidrs], [0x820000000001, 1376, []]);
  await network.setUp();
  const other = await rig.up({ mtu: 1400 });
  assert.equal((await other.bridgeState()).mtu, 1400);
});

test('the TAP device becomes a port, and the bridge keeps its MTU and MAC', async (t) => {
  if (!ready(t)) return;
  const rig = await HostRig.create(t);
  const network = await rig.up();
  await assert.rejects(network.attachTap(), hasCode('tap-missing'));
  await rig.ip('tuntap', 'add', 'dev', 'vethwe-tap', 'mode', 'tap');
  await network.attachTap();
  await network.attachTap();
  assert.match(await linkOf(rig, 'vethwe-tap'), /mtu 65521 .*master weave/);
  assert.match(await linkOf(rig, 'weave'), new RegExp(`mtu 1376 .*${PEER_MAC}`));
  await rig.ip('link', 'set', 'vethwe-tap', 'nomaster');
  await rig.ip('link', 'set', 'vethwe-tap', 'down');
  assert.equal(await network.reconcile(), true);
  assert.match(await linkOf(rig, 'vethwe-tap'), /UP.*master weave/);
  await rig.ip('link', 'set', 'vethwe-tap', 'type', 'bridge_slave', 'hairpin', 'on');
  await network.reconcile();
  await network.reconcile();
  const faults = rig.logged.filter((line) => line.includes('Hairpin mode enabled'));
  assert.equal(faults.length, 1);
});

/** Sum of the 16-bit words of pseudo header and UDP datagram; 0xffff if the checksum is right. */
function udpSum(frame: DataView, frameBytes: number): number {
  const ip = 14;
  const udpBytes = frame.getUint16(ip + 24);
  let sum = 17 + udpBytes;
  for (let at = ip + 12; at < ip + 20 + udpBytes; at += 2) {
    sum += at + 1 < frameBytes ? frame.getUint16(at) : frame.getUint8(at) << 8;
  }
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  return sum;
}

test('frames reach the TAP with checksums, and an open TAP means a running router', async (t) => {
  if (!ready(t)) return;
  const rig = await HostRig.create(t);
  const a = await rig.addNetns('a');
  const network = await rig.up();
  const tap = withNetns(`/run/netns/${rig.host}`, () => Tap.open({ name: 'vethwe-tap' }));
  t.after(() => tap.close());
  await network.attachTap();
  await assert.rejects(rig.up(), hasCode('router-running'));
  await network.setUp();
  await network.attach(a, ['10.2.1.1/24'], PLAIN);
  const neighbour = ['10.2.1.9', 'lladdr', '02:00:00:00:00:09', 'dev', 'ethwe'];
  await run('ip', '-n', a, 'neigh', 'add', ...neighbour);
  const memory = new Memory(65536);
  const frameBytes = await waitFor('a UDP frame on the TAP', 5000, async () => {
    await rig.inside(a, 'bash', '-c', 'echo payload > /dev/udp/10.2.1.9/9');
    for (let count = tap.read(memory.address, 65536); count > 0; ) {
      if (memory.view.getUint16(12) === 0x0800 && memory.view.getUint8(23) === 17) return count;
      count = tap.read(memory.address, 65536);
    }
    return null;
  });
  assert.equal(memory.view.getUint16(4), 9);
  assert.equal(udpSum(memory.view, frameBytes), 0xffff);
});

test('what Weave Net 2 left is adopted: bridge, name, workloads, but not its capture pair', async (t) => {
  if (!ready(t)) return;
  const rig = await HostRig.create(t);
  // Its pair has the same two index numbers as the workload's, and leads to another host.
  const [twin, twinHost] = [await rig.addNetns('0'), await rig.addNetns('1')];
  const twinPair = ['index', '5', 'type', 'veth', 'peer', 'name', 'ethwe', 'index', '2'];
  await run('ip', '-n', twinHost, 'link', 'add', 'twin', ...twinPair, 'netns', twin);
  const [a, b] = [await rig.addNetns('a'), await rig.addNetns('b')];
  await addOriginal(rig);
  await rig.ip('link', 'add', 'vethwepl4711', 'type', 'veth', 'peer', 'name', 'ethwe', 'netns', a);
  await rig.ip('link', 'set', 'vethwepl4711', 'mtu', '65535', 'master', 'weave', 'up');
  await run('ip', '-n', a, 'link', 'set', 'ethwe', 'mtu', '65535', 'up');
  await run('ip', '-n', a, 'addr', 'add', '10.2.1.1/24', 'dev', 'ethwe');
  await rig.ip('addr', 'add', '10.2.1.100/24', 'dev', 'weave');
  const network = await rig.up();
  await assert.rejects(linkOf(rig, 'vethwe-bridge'), /does not exist/);
  await assert.rejects(linkOf(rig, 'vethwe-pcap'), /does not exist/);
  assert.match(await linkOf(rig, 'weave'), /mtu 65521 .*82:00:00:00:00:07/);
  assert.match(await run('ip', '-n', a, 'link', 'show', 'ethwe'), /mtu 65521/);
  assert.match(rig.logged.join('\n'), /MAC of the existing bridge differs/);
  assert.deepEqual(network.exposures(), [{ cidr: '10.2.1.100/24', masquerade: true }]);
  const list = await network.attachments();
  assert.deepEqual(
    list.map(({ target, portName, cidrs }) => [target, portName, cidrs]),
    [[a, 'vethwepl4711', ['10.2.1.1/24']]],
  );
  await network.attach(b, ['10.2.1.2/24'], PLAIN);
  assert.equal(await rig.pings(b, '10.2.1.1'), true);
  await network.attach(a, ['10.2.1.3/24'], PLAIN);
  assert.deepEqual(await network.detach(a, []), ['10.2.1.1/24', '10.2.1.3/24']);
});

test('a running router of either kind is not disturbed', async (t) => {
  if (!ready(t) || !requireTool(t, 'tcpdump')) return;
  const rig = await HostRig.create(t);
  await addOriginal(rig);
  const capture: ChildProcess = spawn(
    'ip',
    ['netns', 'exec', rig.host, 'tcpdump', '-n', '-i', 'vethwe-pcap', '-w', '/dev/null'],
    { stdio: ['ignore', 'ignore', 'pipe'] },
  );
  t.after(() => capture.kill('SIGKILL'));
  await new Promise((resolve) => capture.stderr?.once('data', resolve));
  await assert.rejects(rig.up(), hasCode('router-running'));
  await linkOf(rig, 'vethwe-bridge');
});

test('an interface of another kind under the name of the bridge is refused', async (t) => {
  if (!ready(t)) return;
  const rig = await HostRig.create(t);
  await rig.ip('tuntap', 'add', 'dev', 'weave', 'mode', 'tun');
  await assert.rejects(rig.up(), hasCode('bridge-name-taken'));
  for (const bridge of ['', 'a name', 'a/b', 'sixteen-letters-', 'we;ve', '1st']) {
    assert.throws(() => rig.network({ bridge }), hasCode('config-invalid'), bridge);
  }
  assert.throws(() => rig.network({ mtu: 12 }), hasCode('config-invalid'));
});

test('a deleted bridge is made again with its workloads, addresses and rules', async (t) => {
  if (!ready(t)) return;
  const rig = await HostRig.create(t);
  const [a, b] = [await rig.addNetns('a'), await rig.addNetns('b')];
  const network = await rig.up();
  await rig.ip('tuntap', 'add', 'dev', 'vethwe-tap', 'mode', 'tap');
  await network.attachTap();
  await network.attach(a, ['10.2.1.1/24'], PLAIN);
  await network.attach(b, ['10.2.1.2/24'], PLAIN);
  await network.expose('10.2.1.100/24', { masquerade: true });
  await rig.ip('link', 'del', 'weave');
  assert.equal(await rig.pings(a, '10.2.1.2'), false);
  assert.equal(await network.reconcile(), true);
  assert.equal(await rig.pings(a, '10.2.1.2'), true);
  assert.equal(await rig.pings(rig.host, '10.2.1.1'), true);
  assert.match(await linkOf(rig, 'vethwe-tap'), /master weave/);
  assert.match(await linkOf(rig, 'weave'), /mtu 1376/);
  assert.equal(network.counters().bridgeRepairs, 1);
  assert.equal(await network.reconcile(), false);
});

test('reset removes interfaces and rules here and in the workloads, twice without harm', async (t) => {
  if (!ready(t)) return;
  const rig = await HostRig.create(t);
  const a = await rig.addNetns('a');
  await addOriginal(rig);
  const network = await rig.up();
  await rig.ip('tuntap', 'add', 'dev', 'vethwe-tap', 'mode', 'tap');
  await network.attachTap();
  await network.attach(a, ['10.2.1.1/24'], PLAIN);
  await network.expose('10.2.1.100/24', { masquerade: true });
  // What a router of Weave Net 2 that was started meanwhile may have put there.
  await rig.ip('link', 'add', 'vethwe-bridge', 'type', 'veth', 'peer', 'name', 'vethwe-pcap');
  await network.tearDown();
  await network.tearDown();
  assert.doesNotMatch(await rig.ip('link', 'show'), /weave|vethwe/);
  assert.equal(await rig.rules(), '');
  assert.equal(await rig.rules(a), '');
  await assert.rejects(rig.addresses(a, 'ethwe'), /does not exist/);
  assert.deepEqual(network.exposures(), []);
  assert.equal(await network.reconcile(), false);
});
