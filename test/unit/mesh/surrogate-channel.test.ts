/** Channels that are passed on without being understood. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { toHex, utf8 } from '../../../core/bytes.js';
import { UNKNOWN_PEER } from '../../../core/peer-name.js';
import {
  MAX_PENDING_BYTES,
  MAX_PENDING_PAYLOADS,
  MAX_REMEMBERED,
  SURROGATE_MEMORY_MS,
  SurrogateChannel,
  SurrogateData,
} from '../../../mesh/surrogate-channel.js';

test('a payload passes once in 30 s', () => {
  const channel = new SurrogateChannel('x');
  const gossip = (text: string, nowMs: number) =>
    channel.onGossip(utf8(text), UNKNOWN_PEER, nowMs)?.encode().map(toHex) ?? null;
  assert.deepEqual(gossip('a', 0), [toHex(utf8('a'))]);
  assert.equal(gossip('a', 10), null);
  assert.deepEqual(gossip('b', 20), [toHex(utf8('b'))]);
  assert.equal(gossip('a', SURROGATE_MEMORY_MS), null);
  // Only something new makes it forget.
  assert.notEqual(gossip('c', SURROGATE_MEMORY_MS + 5), null);
  assert.notEqual(gossip('a', SURROGATE_MEMORY_MS + 6), null);
  assert.equal(gossip('b', SURROGATE_MEMORY_MS + 7), null);
});

test('broadcasts always pass, unicasts and own state never', () => {
  const channel = new SurrogateChannel('x');
  assert.notEqual(channel.onGossipBroadcast(utf8('a')), null);
  assert.notEqual(channel.onGossipBroadcast(utf8('a')), null);
  assert.equal(channel.onGossipUnicast(), undefined);
  assert.equal(channel.completeState(), null);
});

test('the memory is bounded', () => {
  const channel = new SurrogateChannel('x');
  for (let i = 0; i < MAX_REMEMBERED + 100; i++) channel.onGossip(utf8(`${i}`), UNKNOWN_PEER, i);
  assert.equal(channel.rememberedCount, MAX_REMEMBERED);
});

test('pending payloads stay apart and bounded, and merging leaves the originals alone', () => {
  const [a, b] = [new SurrogateData(utf8('a')), new SurrogateData(utf8('b'))];
  const merged = a.merge(b);
  assert.deepEqual(merged.encode().map(toHex), ['61', '62']);
  assert.deepEqual(a.encode().map(toHex), ['61']);
  let many = merged;
  for (let i = 0; i < 2 * MAX_PENDING_PAYLOADS; i++) many = many.merge(b);
  assert.equal(many.encode().length, MAX_PENDING_PAYLOADS);
  const large = new SurrogateData(new Uint8Array(MAX_PENDING_BYTES / 2));
  const three = large.merge(large).merge(large).merge(a);
  assert.deepEqual(
    three.encode().map((payload) => payload.length),
    [MAX_PENDING_BYTES / 2, 1],
  );
});
