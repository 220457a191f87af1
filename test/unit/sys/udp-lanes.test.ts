/** Which of several sockets on one port the kernel picks: by the lane that a datagram shows. */
import assert from 'node:assert/strict';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { test } from 'node:test';
import { MAX_LANES } from '../../../core/limits.js';
import { LANE_MARK, laneMark } from '../../../fastdp/lane-mark.js';
import { PollSet } from '../../../sys/poll.js';
import { UdpPair } from '../../../sys/udp.js';
import { ReceiveBatch } from '../../../sys/udp-receive-batch.js';

/** @param mark what stands where a counter has its upper half. */
function datagram(mark: number, bytes = 60): Buffer {
  const buffer = Buffer.alloc(bytes, 0xaa);
  if (bytes >= 12) buffer.writeUInt32BE(mark, 8);
  return buffer;
}

for (const threads of [1, 2, 3, 8]) {
  test(`${threads} sockets: lanes are spread, everything else goes to the first`, async (t) => {
    const pairs = UdpPair.openAll({ port: 0, gro: false }, threads);
    const { port } = pairs[0] as UdpPair;
    const sender = createSocket('udp4').bind(0, '127.0.0.1');
    t.after(() => {
      for (const pair of pairs) pair.close();
      sender.close();
    });
    await once(sender, 'listening');
    const lanes = Array.from({ length: 2 * MAX_LANES - 1 }, (_, i) => i + 1);
    const cases: [Buffer, number][] = [
      ...lanes.map((lane): [Buffer, number] => [datagram(LANE_MARK + lane), lane % threads]),
      [datagram(laneMark(0)), 0],
      [datagram(LANE_MARK + 0x101), 0],
      [datagram(0x574e_4b01), 0],
      [datagram(0x4e4c_0157), 0],
      [datagram(0, 11), 0],
      [datagram(0, 1), 0],
    ];
    for (const [i, [bytes]] of cases.entries()) {
      // Told apart by the last byte.
      bytes[bytes.length - 1] = i;
      await new Promise((resolve) => sender.send(bytes, port, '127.0.0.1', resolve));
    }
    for (const [thread, pair] of pairs.entries()) {
      const expected = cases.flatMap(([, socket], i) => (socket === thread ? [i] : []));
      assert.deepEqual(receive(pair, expected.length), expected, `socket ${thread}`);
    }
  });
}

/** Last bytes of what came, until `count` came or nothing comes for a while; then what is left. */
function receive(pair: UdpPair, count: number): number[] {
  const batch = new ReceiveBatch(pair.plainFd, 64);
  const poll = new PollSet([pair.plainFd]);
  const out: number[] = [];
  while (poll.wait(out.length < count ? 1000 : 0) > 0) {
    batch.receive((buffer, offset, bytes) => out.push(buffer[offset + bytes - 1] as number));
  }
  return out;
}

test('a datagram that is sent by any of the sockets comes from the one port', async (t) => {
  const pairs = UdpPair.openAll({ port: 0 }, 3);
  t.after(() => {
    for (const pair of pairs) pair.close();
  });
  assert.equal(new Set(pairs.map(({ port }) => port)).size, 1);
  const { plainFd, dfFd, port } = pairs[1] as UdpPair;
  const adopted = UdpPair.adopt({ plainFd, dfFd, port });
  assert.deepEqual([adopted.plainFd, adopted.dfFd, adopted.port], [plainFd, dfFd, port]);
  assert.throws(() => UdpPair.openAll({ port }, 2), { code: 'udp-port-in-use' });
});
