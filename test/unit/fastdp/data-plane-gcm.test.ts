/** AES-256-GCM through whole data planes: changes of keys under load, replays, forgeries, bytes. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { toHex } from '../../../core/bytes.js';
import { readU16, writeU48 } from '../../../fastdp/wire.js';
import { MAC_A, MAC_B } from './frames.js';
import { type Network, type Node, PORT } from './network.js';
import { arp, greet, NAME_A, pair, udp } from './pair.js';

const OFTEN = { datagrams: 8, bytes: 1e12, intervalMs: 1e12 };

const epochsOf = (node: Node): Set<number> =>
  new Set(node.datagrams.sent.map(({ bytes }) => readU16(bytes, 6)));

/** Frames both ways, 1 000 each, in batches; the number in the first bytes of the payload. */
function exchange(network: Network, a: Node, b: Node): void {
  for (let batch = 0; batch < 200; batch++) {
    for (const [node, source, destination] of [
      [a, MAC_A, MAC_B],
      [b, MAC_B, MAC_A],
    ] as const) {
      const frames = Array.from({ length: 5 }, (_, i) => {
        const frame = udp(i % 2 === 0 ? 1400 : 900, i % 3 !== 0, source, destination);
        frame[42] = batch;
        frame[43] = i;
        return frame;
      });
      network.capture(node, ...frames);
    }
    network.run(2);
  }
}

test('a change of keys every eight datagrams loses nothing and disturbs no order', () => {
  const here = pair('aes-256-gcm', () => {}, OFTEN);
  const { network, a, b } = here;
  greet(here);
  exchange(network, a, b);
  for (const node of [a, b]) {
    assert.equal(node.tap.frames.length, 1000);
    const { drops } = node.plane.status(network.nowMs);
    for (const reason of ['forged', 'replayed', 'epoch-unknown']) assert.equal(drops[reason], 0);
    assert.ok(epochsOf(node).size > 100, `${epochsOf(node).size} epochs`);
    // The classes of DF may overtake each other; within one nothing does.
    for (const df of [true, false]) {
      const numbers = node.tap.frames
        .filter((frame) => (((frame[20] as number) & 0x40) !== 0) === df)
        .map((frame) => (frame[42] as number) * 5 + (frame[43] as number));
      assert.deepEqual(
        numbers,
        [...numbers].sort((x, y) => x - y),
      );
    }
  }
});

test('keys change by time as well, also on an idle connection', () => {
  const { network, a, b, aId } = pair('aes-256-gcm');
  network.run(61 * 60_000);
  for (const node of [a, b]) assert.deepEqual([...epochsOf(node)], [0, 1, 2]);
  assert.equal(a.failed.has(aId), false);
  network.capture(a, arp(MAC_A));
  network.run(5);
  assert.equal(b.tap.frames.length, 1);
});

test('loss of a third while keys change is only the loss', () => {
  const here = pair('aes-256-gcm', () => {}, { ...OFTEN, datagrams: 64 });
  const { network, a, b } = here;
  greet(here);
  network.underlay.loss = 0.33;
  exchange(network, a, b);
  for (const node of [a, b]) {
    const share = node.tap.frames.length / 1000;
    assert.ok(share > 0.55 && share < 0.79, `${share}`);
    const { drops } = node.plane.status(network.nowMs);
    for (const reason of ['forged', 'replayed', 'epoch-unknown']) assert.equal(drops[reason], 0);
  }
});

test('replays of every epoch and forgeries are dropped and counted', () => {
  const here = pair('aes-256-gcm', () => {}, OFTEN);
  const { network, a, b } = here;
  greet(here);
  for (let i = 0; i < 40; i++) network.capture(a, udp(1000, true));
  network.run(5);
  const before = b.tap.frames.length;
  const sent = a.datagrams.sent.slice();
  const current = readU16(sent.at(-1)?.bytes as Uint8Array, 6);
  const known = sent.filter(({ bytes }) => current - readU16(bytes, 6) <= 1).length;
  for (const { bytes } of sent) network.inject(b, bytes, a.ip, PORT);
  const { drops } = b.plane.status(network.nowMs);
  assert.equal(drops['epoch-unknown'], sent.length - known);
  // Datagrams that the underlay refused are new to the receiver: they were sealed, never sent.
  assert.equal(drops['replayed'], known);
  const genuine = sent.at(-1)?.bytes as Uint8Array;
  for (let bit = 64; bit < 128; bit += 7) {
    const forged = genuine.slice();
    forged[bit >> 3] = (forged[bit >> 3] as number) ^ (1 << (bit & 7));
    network.inject(b, forged, a.ip);
  }
  const after = b.plane.status(network.nowMs).drops;
  assert.equal((after['forged'] as number) + (after['replayed'] as number) - known, 10);
  assert.ok((after['forged'] as number) >= 6);
  assert.equal(b.tap.frames.length, before);
  const stranger = genuine.slice();
  writeU48(stranger, 0, NAME_A + 77);
  network.inject(b, stranger, a.ip);
  assert.equal(b.plane.status(network.nowMs).drops['unknown-sender'], 1);
});

/**
 * Name a, epoch 0, counter 0, one record of 22 bytes, tag. Session key 07…07, UID …3211.
 * As another implementation of README.md makes it.
 */
const GOLDEN_HEARTBEAT =
  '82000000000100000000000000000000e512be2ed609f1101547994d063e5db02ea83986' +
  '02e79238c0b7902cd33f8eccee957316d77193c053c23785624ed1b9635a7cab';
const GOLDEN_ANSWER =
  '820000000002000000000000000000006251a18496316788b80878b2a820ee2f477e0670' +
  '868b237a9511d824d9bdc672ac6376edd5fc5977e86878e0862f1355b11bd071';

test('golden: the first datagrams of a connection, byte for byte', () => {
  const { a, b } = pair('aes-256-gcm');
  const [heartbeat] = a.datagrams.sent;
  const [answer] = b.datagrams.sent;
  assert.equal(toHex(heartbeat?.bytes as Uint8Array), GOLDEN_HEARTBEAT);
  assert.equal(toHex(answer?.bytes as Uint8Array), GOLDEN_ANSWER);
});
