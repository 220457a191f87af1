/** Control messages of the original, both directions. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { concatBytes, fromHex, toHex } from '../../../core/bytes.js';
import { DecodeError } from '../../../core/errors.js';
import { formatPeerName, type PeerName } from '../../../core/peer-name.js';
import {
  decodeGossip,
  decodeOverlayControl,
  decodeUnicast,
  encodeGossip,
  encodeOverlayControl,
  encodeUnicast,
  isOverlayTag,
  TAG,
} from '../../../mesh/protocol.js';
import { loadVectors } from '../../support/vectors.js';

interface Case {
  name: string;
  hex: string;
  tag: number;
  channel?: string;
  source?: string;
  destination?: string;
  payload_hex?: string;
  forwarder_index?: number;
  overlay_tag?: number;
}

const { cases } = loadVectors<{ cases: Case[] }>('protocol-messages.json');

function tagged(tag: number, payload: Uint8Array): string {
  return toHex(concatBytes(Uint8Array.of(tag), payload));
}

for (const item of cases) {
  test(`message ${item.name}`, () => {
    const message = fromHex(item.hex);
    const payload = message.subarray(1);
    assert.equal(message[0], item.tag);
    if (item.tag === TAG.gossipUnicast) {
      const decoded = decodeUnicast(payload);
      assert.equal(formatPeerName(decoded.destination), item.destination);
      checkGossip(decoded, item);
      assert.equal(tagged(item.tag, encodeUnicast(decoded)), item.hex);
    } else if (item.tag === TAG.gossip || item.tag === TAG.gossipBroadcast) {
      const decoded = decodeGossip(payload);
      checkGossip(decoded, item);
      assert.equal(tagged(item.tag, encodeGossip(decoded)), item.hex);
    } else if (isOverlayTag(item.tag)) {
      checkOverlayControl(item, payload);
    } else {
      assert.equal(item.tag, TAG.heartbeat);
      assert.equal(payload.length, 0);
    }
  });
}

function checkGossip(
  decoded: { channel: string; source: PeerName; payload: Uint8Array },
  item: Case,
): void {
  assert.equal(decoded.channel, item.channel);
  assert.equal(formatPeerName(decoded.source), item.source);
  if (item.payload_hex !== undefined) assert.equal(toHex(decoded.payload), item.payload_hex);
}

function checkOverlayControl(item: Case, payload: Uint8Array): void {
  const oldStyle = item.tag !== TAG.overlayControl;
  const decoded = decodeOverlayControl(item.tag, payload, oldStyle);
  assert.ok(decoded !== null);
  assert.equal(decoded.forwarderIndex, item.forwarder_index ?? 0);
  assert.equal(decoded.subTag, item.overlay_tag ?? item.tag);
  assert.equal(toHex(decoded.data), item.payload_hex);
  const encoded = encodeOverlayControl(decoded, oldStyle);
  assert.equal(tagged(encoded.tag, encoded.payload), item.hex);
}

test('overlay control that would crash the original is ignored', () => {
  assert.equal(decodeOverlayControl(TAG.overlayControl, new Uint8Array(0), false), null);
  assert.equal(decodeOverlayControl(TAG.overlayControl, Uint8Array.of(0), false), null);
  assert.equal(decodeOverlayControl(TAG.sleeveEstablished, new Uint8Array(0), false), null);
  assert.equal(decodeOverlayControl(TAG.overlayControl, Uint8Array.of(0, 1), true), null);
});

test('a source above 48 bits is no peer name', () => {
  const payload = fromHex('040c000178' + '0a0600f901000000000000' + '040a000100');
  assert.throws(() => decodeGossip(payload), DecodeError);
});

test('gossip round trip', () => {
  const name = fc.integer({ min: 0, max: 2 ** 48 - 1 }).map((value) => value as PeerName);
  fc.assert(
    fc.property(
      fc.string(),
      name,
      name,
      fc.uint8Array(),
      (channel, source, destination, payload) => {
        const message = { channel, source, destination, payload };
        assert.deepEqual(decodeUnicast(encodeUnicast(message)), message);
      },
    ),
  );
});

test('arbitrary bytes are a message or a DecodeError', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 60 }), fc.constantFrom(...cases), (noise, item) => {
      const message = concatBytes(fromHex(item.hex).subarray(1, 1 + noise.length / 2), noise);
      for (const decode of [decodeGossip, decodeUnicast]) {
        try {
          decode(message);
        } catch (error) {
          assert.ok(error instanceof DecodeError);
        }
      }
    }),
  );
});
