/** What waits for a slow connection merges, in bounded room. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fromUtf8, utf8 } from '../../../core/bytes.js';
import type { PeerName } from '../../../core/peer-name.js';
import { GossipSlots, MAX_UNICASTS } from '../../../mesh/gossip-slots.js';
import { SurrogateChannel, SurrogateData } from '../../../mesh/surrogate-channel.js';
import { Words } from '../../sim/sim-channel.js';

const name = (value: number): PeerName => value as PeerName;
const newSlots = (): GossipSlots => new GossipSlots({ localPeer: name(1) });

function drain(slots: GossipSlots): string[] {
  const messages: string[] = [];
  for (let next = slots.next(); next !== null; next = slots.next()) {
    messages.push(`${next.kind} ${next.channel} ${next.source}: ${fromUtf8(next.payload)}`);
  }
  return messages;
}

test('news of a channel merges; broadcasts merge per source', () => {
  const slots = newSlots();
  slots.offerGossip('a', new Words(['one']));
  slots.offerBroadcast('a', name(5), new Words(['b1']));
  slots.offerGossip('a', new Words(['two']));
  slots.offerBroadcast('a', name(6), new Words(['c1']));
  slots.offerBroadcast('a', name(5), new Words(['b2']));
  assert.deepEqual(drain(slots), [
    'gossip a 1: one two',
    'broadcast a 5: b1 b2',
    'broadcast a 6: c1',
  ]);
  assert.equal(slots.next(), null);
});

test('channels take turns', () => {
  const slots = newSlots();
  slots.offerBroadcast('busy', name(5), new Words(['1']));
  slots.offerBroadcast('busy', name(6), new Words(['2']));
  slots.offerGossip('calm', new Words(['3']));
  assert.deepEqual(drain(slots), [
    'broadcast busy 5: 1',
    'gossip calm 1: 3',
    'broadcast busy 6: 2',
  ]);
});

test('data that encodes to several payloads, or to none, is sent as such', () => {
  const slots = newSlots();
  const data = (payloads: readonly string[]) => ({
    encode: () => payloads.map(utf8),
    merge: () => assert.fail('nothing to merge with'),
  });
  slots.offerGossip('empty', data([]));
  slots.offerGossip('double', data(['x', 'y']));
  assert.deepEqual(drain(slots), ['gossip double 1: x', 'gossip double 1: y']);
});

test('unicasts keep their order, leave turns to news, and are refused beyond the limit', () => {
  const slots = newSlots();
  slots.offerGossip('a', new Words(['news']));
  for (let i = 0; i < MAX_UNICASTS; i++) {
    assert.equal(slots.offerUnicast('a', name(2), name(3), utf8(`${i}`)), true);
  }
  assert.equal(slots.offerUnicast('a', name(2), name(3), utf8('x')), false);
  const messages = drain(slots);
  assert.equal(messages[0], 'unicast a 2: 0');
  assert.ok(messages.indexOf('gossip a 1: news') <= 16, 'a flood of unicasts holds nothing back');
  const unicasts = messages.filter((message) => message.startsWith('unicast'));
  assert.deepEqual(
    unicasts,
    [...Array(MAX_UNICASTS).keys()].map((i) => `unicast a 2: ${i}`),
  );
  assert.equal(slots.offerUnicast('a', name(2), name(3), utf8('x')), true, 'room again');
});

test('what waits is weighed, and nothing is left of the weight afterwards', () => {
  const slots = newSlots();
  const large = new Uint8Array(1000);
  slots.offerGossip('a', new SurrogateData(large));
  slots.offerGossip('a', new SurrogateData(large));
  slots.offerBroadcast('a', name(5), new SurrogateData(large));
  slots.offerUnicast('b', name(2), name(3), large);
  assert.equal(slots.heldBytes, 4000);
  drain(slots);
  assert.equal(slots.heldBytes, 0);
  slots.offerGossip('a', new SurrogateData(large));
  slots.offerBroadcast('a', name(5), new SurrogateData(large));
  slots.offerUnicast('b', name(2), name(3), large);
  assert.notEqual(slots.next(), null);
  for (let left = slots.heldBytes; left > 0; left = slots.heldBytes) {
    assert.equal(slots.shed(), true);
    assert.ok(slots.heldBytes < left);
  }
  assert.equal(slots.next(), null);
  assert.equal(slots.shed(), false);
});

test('a small message does not keep the large buffer it was cut from', () => {
  const slots = newSlots();
  slots.offerUnicast('a', name(2), name(3), new Uint8Array(1024 * 1024).subarray(7, 17));
  assert.equal(slots.next()?.payload.buffer.byteLength, 10);
  const surrogate = new SurrogateChannel('x');
  const news = surrogate.onGossipBroadcast(new Uint8Array(1024 * 1024).subarray(7, 17));
  assert.equal(news.encode()[0]?.buffer.byteLength, 10);
});

test('unicasts are bounded in bytes', () => {
  const slots = newSlots();
  const large = new Uint8Array(9 * 1024 * 1024);
  assert.equal(slots.offerUnicast('a', name(2), name(3), large), true);
  assert.equal(slots.offerUnicast('a', name(2), name(3), large), false);
});
