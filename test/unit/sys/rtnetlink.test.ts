/** Interfaces by netlink, against the kernel. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseIpv4 } from '../../../core/ip.js';
import { libc } from '../../../sys/libc.js';
import { Memory } from '../../../sys/memory.js';
import { withNetns } from '../../../sys/netns.js';
import { PollSet } from '../../../sys/poll.js';
import { RouteNetlink } from '../../../sys/rtnetlink.js';
import { AF_PACKET, SOCK_CLOEXEC, SOCK_RAW } from '../../../sys/socket.js';
import { requireNetns } from '../../support/requirements.js';
import { addNetns, cable, sysctl } from './netns-lab.js';

const ETH_P_ARP_BE = 0x0608;
const WAIT_MS = 500;

test('addresses are announced to the other end of the cable', (t) => {
  if (!requireNetns(t)) return;
  const [left, right] = [addNetns(t, 'l'), addNetns(t, 'r')];
  cable(left, 'e0', '10.8.0.1/24', right, 'e0', null);
  const listener = withNetns(right.path, () =>
    libc.socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, ETH_P_ARP_BE),
  );
  t.after(() => libc.close(listener));
  sysctl(left.name, 'net.ipv4.conf.e0.arp_notify', '1');
  const netlink = withNetns(left.path, () => new RouteNetlink());
  t.after(() => netlink.close());
  const link = netlink.link('e0');
  const arrived = new PollSet([listener]);
  // A cable just plugged in may lose the first frames: the kernel takes note of the carrier later.
  for (let attempt = 0; attempt < 10; attempt++) {
    netlink.announce(link);
    if (arrived.wait(WAIT_MS) === 1) break;
  }
  const memory = new Memory(100);
  assert.ok(libc.read(listener, memory.address, 100) >= 42);
  const macBytes = Buffer.from(memory.bytes.subarray(22, 28)).toString('hex');
  assert.equal(macBytes, link.mac.replaceAll(':', ''));
  assert.equal(memory.view.getUint32(28), parseIpv4('10.8.0.1'));
  assert.equal(memory.view.getUint32(38), parseIpv4('10.8.0.1'));
  assert.equal(netlink.link('e0').mac, link.mac);
  assert.throws(() => netlink.announce({ ...link, index: 9999 }), { code: 'ENODEV' });
});

test('a group of interfaces is deleted together, others stay', async (t) => {
  if (!requireNetns(t)) return;
  const netns = addNetns(t, 'g');
  for (const name of ['v1', 'v2', 'v3']) {
    netns.ip('link', 'add', 'dev', name, 'type', 'bridge');
  }
  const netlink = withNetns(netns.path, () => new RouteNetlink());
  t.after(() => netlink.close());
  for (const name of ['v1', 'v3']) netlink.setGroup(netlink.link(name).index, 77);
  assert.throws(() => netlink.setGroup(9999, 77), { code: 'ENODEV' });
  await netlink.deleteGroup(77);
  assert.deepEqual(
    netlink.links().map(({ name }) => name),
    ['lo', 'v2'],
  );
  await assert.rejects(netlink.deleteGroup(77), { code: 'ENODEV' });
});
