/** The socket pair of the data plane on loopback and over a cable with a small MTU. */
import assert from 'node:assert/strict';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { test } from 'node:test';
import { parseIpv4 } from '../../../core/ip.js';
import { Errno } from '../../../sys/libc.js';
import { Memory } from '../../../sys/memory.js';
import { withNetns } from '../../../sys/netns.js';
import { PollSet } from '../../../sys/poll.js';
import { RefusedGroups } from '../../../sys/refused-groups.js';
import { SOL_SOCKET, setIntOption } from '../../../sys/socket.js';
import { pathMtu, UdpPair } from '../../../sys/udp.js';
import { ReceiveBatch } from '../../../sys/udp-receive-batch.js';
import { SendBatch } from '../../../sys/udp-send-batch.js';
import { requireNetns } from '../../support/requirements.js';
import { addNetns, cable } from './netns-lab.js';

const LOOPBACK = parseIpv4('127.0.0.1');
const none = (): void => assert.fail('a send failed');

interface Received {
  readonly bytes: Uint8Array;
  readonly ip: number;
  readonly port: number;
}

/** Receives until `count` datagrams came or nothing comes for a second. */
function receive(pair: UdpPair, count: number, slots = 8): Received[] {
  const batch = new ReceiveBatch(pair.plainFd, slots);
  const poll = new PollSet([pair.plainFd]);
  const out: Received[] = [];
  while (out.length < count && poll.wait(1000) > 0) {
    batch.receive((buffer, offset, bytes, ip, port) =>
      out.push({ bytes: buffer.slice(offset, offset + bytes), ip, port }),
    );
  }
  return out;
}

/** Numbered datagrams of the given sizes, one behind the other. */
function filled(sizes: readonly number[]): { memory: Memory; offsets: number[] } {
  const memory = new Memory(sizes.reduce((sum, size) => sum + size, 0));
  const offsets: number[] = [];
  let at = 0;
  for (const [index, size] of sizes.entries()) {
    offsets.push(at);
    memory.bytes.fill(index + 1, at, at + size);
    at += size;
  }
  return { memory, offsets };
}

for (const gro of [true, false]) {
  test(`datagrams arrive whole and in order (gro ${gro})`, (t) => {
    const [a, b] = [UdpPair.open({ port: 0 }), UdpPair.open({ port: 0, gro })];
    t.after(() => [a, b].map((pair) => pair.close()));
    const sizes = [1400, 1400, 1400, 200, 1400, 1, 60000, 65507, 33, 33, 33, 33];
    const { memory, offsets } = filled(sizes);
    const batch = new SendBatch(a.plainFd, 16);
    for (const [index, size] of sizes.entries()) {
      const address = memory.address + (offsets[index] as number);
      batch.add(address, size, size, LOOPBACK, b.port, LOOPBACK, 7);
    }
    assert.ok(batch.count < sizes.length, 'equal neighbours share a message');
    batch.flush(none);
    assert.equal(batch.count, 0);
    const got = receive(b, sizes.length);
    assert.deepEqual(
      got.map((datagram) => [datagram.bytes.length, datagram.bytes[0], datagram.bytes.at(-1)]),
      sizes.map((size, index) => [size, index + 1, index + 1]),
    );
    assert.ok(got.every((datagram) => datagram.ip === LOOPBACK && datagram.port === a.port));
  });
}

test('an empty datagram is handed on like any other', async (t) => {
  const pair = UdpPair.open({ port: 0 });
  const socket = createSocket('udp4');
  t.after(() => [pair, socket].map((each) => each.close()));
  for (const bytes of ['a', '', '', 'bc']) {
    await new Promise((resolve) => socket.send(bytes, pair.port, '127.0.0.1', resolve));
  }
  assert.deepEqual(
    receive(pair, 4).map(({ bytes }) => Buffer.from(bytes).toString()),
    ['a', '', '', 'bc'],
  );
});

for (const grouping of [true, false]) {
  test(`a group queued as one arrives as its datagrams (grouping ${grouping})`, (t) => {
    const [a, b] = [UdpPair.open({ port: 0 }), UdpPair.open({ port: 0 })];
    t.after(() => [a, b].map((pair) => pair.close()));
    const sizes = [50, ...Array<number>(63).fill(900), 300];
    const { memory, offsets } = filled(sizes);
    const groupBytes = 63 * 900 + 300;
    const batch = new SendBatch(a.plainFd, 2, grouping);
    batch.add(memory.address, 50, 50, LOOPBACK, b.port, 0, 1);
    assert.equal(batch.full, false);
    const group = memory.address + (offsets[1] as number);
    batch.add(group, groupBytes, 900, LOOPBACK, b.port, 0, 1);
    assert.equal(batch.count, grouping ? 2 : 65, 'a group finds room however it is sent');
    assert.ok(batch.full);
    batch.flush(none);
    assert.equal(batch.counters.datagrams, sizes.length);
    assert.deepEqual(
      receive(b, sizes.length).map(({ bytes }) => [bytes.length, bytes[0], bytes.at(-1)]),
      sizes.map((size, index) => [size, index + 1, index + 1]),
    );
  });
}

test('everything arrives at the first socket, whatever the sender', async (t) => {
  const pair = UdpPair.open({ port: 0 });
  t.after(() => pair.close());
  const senders = Array.from({ length: 20 }, () => createSocket('udp4'));
  t.after(() => senders.map((socket) => socket.close()));
  for (const socket of senders) socket.send('x', pair.port, '127.0.0.1');
  await Promise.all(senders.map((socket) => once(socket, 'listening')));
  assert.equal(receive(pair, 20).length, 20);
});

test('a port that somebody has is refused, and so is ours to others', async (t) => {
  const stranger = createSocket({ type: 'udp4', reuseAddr: true });
  stranger.bind(0);
  await once(stranger, 'listening');
  t.after(() => stranger.close());
  const inUse = { code: 'udp-port-in-use', message: /address already in use/ };
  assert.throws(() => UdpPair.open({ port: stranger.address().port }), inUse);
  const ours = UdpPair.open({ port: 0 });
  t.after(() => ours.close());
  assert.throws(() => UdpPair.open({ port: ours.port }), inUse);
});

test('the chosen source address is used', (t) => {
  const [a, b] = [UdpPair.open({ port: 0 }), UdpPair.open({ port: 0 })];
  t.after(() => [a, b].map((pair) => pair.close()));
  const { memory } = filled([100]);
  const batch = new SendBatch(a.dfFd, 4);
  const source = parseIpv4('127.0.0.9');
  batch.add(memory.address, 100, 100, LOOPBACK, b.port, source, 1);
  batch.flush(none);
  const [got] = receive(b, 1);
  assert.deepEqual([got?.ip, got?.port], [source, a.port]);
});

test('DF beyond the MTU fails by datagram, plain is fragmented, the path MTU is known', (t) => {
  if (!requireNetns(t)) return;
  const [left, right] = [addNetns(t, 'l'), addNetns(t, 'r')];
  cable(left, 'e0', '10.8.0.1/24', right, 'e0', '10.8.0.2/24', 1300);
  const a = withNetns(left.path, () => UdpPair.open({ port: 6783 }));
  const b = withNetns(right.path, () => UdpPair.open({ port: 6783 }));
  t.after(() => [a, b].map((pair) => pair.close()));
  const dest = parseIpv4('10.8.0.2');
  assert.equal(
    withNetns(left.path, () => pathMtu(dest)),
    1300,
  );
  // Two too big, between them a fitting one, and a group that is too big as a whole.
  const sizes = [1400, 1272, 1273, 1500, 1500, 700];
  const { memory, offsets } = filled(sizes);
  const failures: [number, number][] = [];
  const df = new SendBatch(a.dfFd, 8);
  for (const [index, size] of sizes.entries()) {
    const tag = index >= 3 ? 99 : index;
    df.add(memory.address + (offsets[index] as number), size, size, dest, 6783, 0, tag);
  }
  df.flush((tag, error) => failures.push([tag, error]));
  assert.deepEqual(
    receive(b, 2).map((datagram) => datagram.bytes.length),
    [1272, 700],
  );
  const tooBig = Errno.EMSGSIZE;
  assert.deepEqual(
    failures,
    [0, 2, 99, 99].map((tag) => [tag, tooBig]),
  );

  const plain = new SendBatch(a.plainFd, 8);
  for (const [index, size] of sizes.entries()) {
    plain.add(memory.address + (offsets[index] as number), size, size, dest, 6783, 0, index);
  }
  plain.flush(none);
  assert.deepEqual(
    receive(b, 6).map((datagram) => datagram.bytes.length),
    sizes,
  );
});

test('no route is a failure of each datagram and does not stop the others', (t) => {
  if (!requireNetns(t)) return;
  const netns = addNetns(t, 'x');
  const a = withNetns(netns.path, () => UdpPair.open({ port: 6783 }));
  t.after(() => a.close());
  const { memory } = filled([100]);
  const batch = new SendBatch(a.plainFd, 4);
  batch.add(memory.address, 100, 100, parseIpv4('192.0.2.1'), 6783, 0, 5);
  batch.add(memory.address, 100, 100, LOOPBACK, 6783, 0, 6);
  const failures: number[][] = [];
  batch.flush((tag, error) => failures.push([tag, error]));
  assert.deepEqual(failures, [[5, Errno.ENETUNREACH]]);
  assert.equal(receive(a, 1).length, 1);
  assert.throws(() => withNetns(netns.path, () => pathMtu(parseIpv4('192.0.2.1'))), {
    code: 'ENETUNREACH',
  });
});

test('a destination that takes no groups is served singly for a minute, others are not', (t) => {
  const SO_NO_CHECK = 11;
  const [a, b] = [UdpPair.open({ port: 0 }), UdpPair.open({ port: 0 })];
  t.after(() => [a, b].map((pair) => pair.close()));
  let nowMs = 1000;
  const batch = new SendBatch(a.dfFd, 8, true, () => nowMs);
  const { memory } = filled([500, 500]);
  const other = parseIpv4('127.0.0.9');
  /** @returns messages that two datagrams took. */
  const send = (destIp: number): number => {
    const before = batch.counters.messages;
    batch.add(memory.address, 500, 500, destIp, b.port, 0, 1);
    batch.add(memory.address + 500, 500, 500, destIp, b.port, 0, 1);
    batch.flush(none);
    assert.equal(receive(b, 2).length, 2);
    return batch.counters.messages - before;
  };
  assert.equal(send(LOOPBACK), 1);
  // The kernel cuts no datagrams for a socket that wants them without checksums.
  setIntOption(a.dfFd, SOL_SOCKET, SO_NO_CHECK, 1);
  for (let i = 0; i < 6; i++) assert.equal(send(LOOPBACK), 2);
  assert.equal(batch.counters.groupRefusals, 4, 'after the fourth none is tried');
  setIntOption(a.dfFd, SOL_SOCKET, SO_NO_CHECK, 0);
  assert.equal(send(other), 1);
  assert.equal(send(LOOPBACK), 2);
  nowMs += 60_000;
  assert.equal(send(LOOPBACK), 1);
  assert.equal(batch.counters.failures, 0);
});

test('destinations that take no groups are remembered within a bound', () => {
  const refused = new RefusedGroups();
  assert.equal(refused.any, false);
  for (let round = 0; round < 4; round++) {
    for (let ip = 0; ip < 64; ip++) refused.note(ip, round);
  }
  for (let ip = 0; ip < 64; ip++) assert.equal(refused.has(ip, 10), true);
  refused.note(1000, 10);
  assert.equal(refused.has(0, 10), false, 'the oldest is forgotten');
  assert.equal(refused.has(1, 10), true);
  assert.equal(refused.has(1000, 10), false, 'one refusal is not enough');
  assert.equal(refused.has(1, 60_003), false, 'it is over');
});
