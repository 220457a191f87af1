/** eventfd, poll, random, namespaces, gratuitous ARP, service notification. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { readlinkSync } from 'node:fs';
import { test } from 'node:test';
import { parseIpv4 } from '../../../core/ip.js';
import type { Mac } from '../../../core/mac.js';
import { sendGratuitousArp, writeGratuitousArp } from '../../../sys/arp.js';
import { EventFd } from '../../../sys/eventfd.js';
import { errnoName, libc } from '../../../sys/libc.js';
import { addressOf, Memory } from '../../../sys/memory.js';
import { resolveNetns, withNetns } from '../../../sys/netns.js';
import { POLLIN, PollSet } from '../../../sys/poll.js';
import { systemRandom } from '../../../sys/random.js';
import { sdNotify } from '../../../sys/sd-notify.js';
import { AF_PACKET, AF_UNIX, SOCK_CLOEXEC, SOCK_DGRAM, SOCK_RAW } from '../../../sys/socket.js';
import { requireNetns } from '../../support/requirements.js';
import { addNetns, cable } from './netns-lab.js';

test('an eventfd makes a poll slot ready until it is cleared', (t) => {
  const event = EventFd.create();
  t.after(() => event.close());
  const poll = new PollSet([-1, event.fd]);
  assert.equal(poll.wait(0), 0);
  event.signal();
  event.signal();
  assert.equal(poll.wait(1000), 1);
  assert.equal(poll.ready(0), 0);
  assert.equal(poll.ready(1), POLLIN);
  event.clear();
  assert.equal(poll.wait(0), 0);
});

test('memory has a stable address and words in the machine order', () => {
  const memory = new Memory(24);
  assert.equal(addressOf(memory.bytes.subarray(8)), memory.address + 8);
  memory.setWord(0, 2 ** 52 + 5);
  assert.equal(memory.view.getBigUint64(0, true), 2n ** 52n + 5n);
  memory.setText(8, 'weave');
  assert.equal(memory.getText(8, 16), 'weave');
  assert.equal(errnoName(11), 'EAGAIN');
  assert.equal(errnoName(9999), 'errno-9999');
});

test('random values have the promised ranges', () => {
  assert.equal(systemRandom.bytes(33).length, 33);
  for (let i = 0; i < 100; i++) {
    const float = systemRandom.float();
    assert.ok(float >= 0 && float < 1);
    assert.ok(systemRandom.uint64() < 2n ** 64n);
  }
});

test('withNetns changes the namespace for the call only, also when the call throws', (t) => {
  if (!requireNetns(t)) return;
  const own = (): string => readlinkSync('/proc/thread-self/ns/net');
  const netns = addNetns(t, 'n');
  const before = own();
  const inside = withNetns(resolveNetns(netns.name), own);
  assert.notEqual(inside, before);
  assert.equal(own(), before);
  const failing = (): never => {
    throw new Error('inside');
  };
  assert.throws(() => withNetns(netns.path, failing), /inside/);
  assert.equal(own(), before);
  assert.throws(() => withNetns(netns.path, async () => {}), { code: 'netns-async' });
  assert.throws(() => withNetns('/etc/hostname', own), { code: 'EINVAL' });
  assert.equal(own(), before);
});

test('namespaces are found by name, path and process id, or refused with a sentence', () => {
  assert.equal(resolveNetns('/proc/self/ns/net'), '/proc/self/ns/net');
  assert.equal(resolveNetns(String(process.pid)), `/proc/${process.pid}/ns/net`);
  for (const target of ['', '..', 'a/b', 'no-such-netns', '/no/such/path', '99999999']) {
    assert.throws(() => resolveNetns(target), { code: 'netns-not-found' });
  }
});

const ARP_HEX =
  'ffffffffffff0a0b0c0d0e0f0806000108000604000' + '10a0b0c0d0e0f0a20000100000000000' + '00a200001';

test('the gratuitous ARP has the bytes of RFC 5227', () => {
  const memory = new Memory(42);
  writeGratuitousArp(memory.view, 0, 0x0a0b0c0d0e0f as Mac, parseIpv4('10.32.0.1'));
  assert.equal(Buffer.from(memory.bytes).toString('hex'), ARP_HEX);
});

test('a gratuitous ARP reaches the other end of the cable', (t) => {
  if (!requireNetns(t)) return;
  const [left, right] = [addNetns(t, 'l'), addNetns(t, 'r')];
  cable(left, 'e0', '10.8.0.1/24', right, 'e0', '10.8.0.2/24');
  const ETH_P_ARP_BE = 0x0608;
  const listener = withNetns(right.path, () =>
    libc.socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, ETH_P_ARP_BE),
  );
  t.after(() => libc.close(listener));
  // A cable just plugged in may lose the first frames: the kernel takes note of the carrier later.
  const arrived = new PollSet([listener]);
  for (let attempt = 0; attempt < 10; attempt++) {
    withNetns(left.path, () => sendGratuitousArp('e0', parseIpv4('10.8.0.7')));
    if (arrived.wait(500) === 1) break;
  }
  assert.equal(arrived.wait(0), 1);
  const memory = new Memory(100);
  assert.ok(libc.read(listener, memory.address, 100) >= 42);
  assert.equal(memory.view.getUint32(28), parseIpv4('10.8.0.7'));
  assert.equal(memory.view.getUint32(38), parseIpv4('10.8.0.7'));
  assert.throws(() => withNetns(left.path, () => sendGratuitousArp('nope', 1)), {
    code: 'ENODEV',
  });
});

test('systemd is told through an abstract socket; nobody listening is an error', (t) => {
  const name = `@weave-test-${process.pid}`;
  assert.throws(() => sdNotify(name, 'READY=1'), { code: 'ECONNREFUSED' });
  const fd = libc.socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  t.after(() => libc.close(fd));
  const address = new Memory(110);
  address.setShort(0, AF_UNIX);
  address.setText(3, name.slice(1));
  assert.equal(libc.bind(fd, address.address, 2 + name.length), 0);
  sdNotify(name, 'READY=1\nSTATUS=up');
  const memory = new Memory(100);
  const bytes = libc.read(fd, memory.address, 100);
  assert.equal(memory.getText(0, bytes), 'READY=1\nSTATUS=up');
  assert.throws(() => sdNotify(`/${'x'.repeat(200)}`, 'READY=1'), RangeError);
});

test('sys loads where it is: 64-bit little-endian Linux', () => {
  assert.equal(new Uint8Array(new Uint32Array([1]).buffer)[0], 1);
  assert.equal(spawnSync('uname').stdout.toString().trim(), 'Linux');
});

test('low memory lies below 2^31, is zero, and several of it do not overlap', () => {
  const memories = Array.from({ length: 5 }, (_, i) => Memory.low(100_000 * (i + 1)));
  for (const [index, memory] of memories.entries()) {
    assert.equal(memory.bytes.length, 100_000 * (index + 1));
    assert.ok(memory.address + memory.bytes.length < 2 ** 31);
    assert.equal(memory.address, addressOf(memory.bytes));
    assert.ok(memory.bytes.every((byte) => byte === 0));
    memory.bytes.fill(index + 1);
  }
  for (const [index, memory] of memories.entries()) {
    assert.ok(memory.bytes.every((byte) => byte === index + 1));
  }
});

test('low memory that does not fit is had elsewhere', () => {
  const large = Memory.low(2 ** 30 + 2 ** 29);
  assert.equal(large.bytes.length, 2 ** 30 + 2 ** 29);
  large.bytes[large.bytes.length - 1] = 7;
  assert.equal(large.view.getUint8(large.bytes.length - 1), 7);
});
