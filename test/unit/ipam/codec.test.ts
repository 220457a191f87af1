/** Payloads of the original and of other encoders, and what only peers of ours say. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { DecodeError } from '../../../core/errors.js';
import { GobDecoder, gob } from '../../../core/gob/index.js';
import type { PeerName } from '../../../core/peer-name.js';
import {
  decodeState,
  decodeUnicast,
  encodeState,
  encodeUnicast,
  type GossipState,
  type IpamUnicast,
} from '../../../ipam/codec.js';
import { loadVectors } from '../../support/vectors.js';
import { rangeFrom } from './ring-vectors.js';
import { type StateText, stateFrom, stateText } from './state-text.js';

interface UnicastText {
  readonly type: string;
  readonly state?: StateText;
  readonly range?: { readonly start: string; readonly end: string };
}

interface GobCase {
  readonly name: string;
  readonly kind: string;
  readonly hex: string;
  readonly rejected_with?: string;
  readonly decoded?: StateText & UnicastText;
}

const { cases, other_encoders: others } = loadVectors<{
  cases: GobCase[];
  other_encoders: GobCase[];
}>('ipam-gob.json');

const bytesOf = (hex: string): Uint8Array => Buffer.from(hex, 'hex');

/** Keys in a fixed order, sets sorted. */
function normal(value: unknown): string {
  return JSON.stringify(value, (_key, inner: unknown) =>
    inner !== null && typeof inner === 'object' && !Array.isArray(inner)
      ? Object.fromEntries(Object.entries(inner).sort(([a], [b]) => (a < b ? -1 : 1)))
      : inner,
  );
}

function unicastText(message: IpamUnicast | null): unknown {
  if (message === null) return null;
  if (message.type === 'ring-update') {
    return { type: 'ring_update', state: stateText(message.state) };
  }
  return { type: message.type.replace('-', '_'), range: message.range };
}

function expectedUnicast(text: UnicastText): unknown {
  if (text.state !== undefined) return text;
  const { type, range } = text;
  return {
    type: type === 'space_request_denied' ? 'denied' : type,
    range: rangeFrom([range?.start ?? '', range?.end ?? '']),
  };
}

for (const [which, list] of [
  ['the original', cases],
  ['other encoders', others],
] as const) {
  test(`payloads of ${which} are read`, () => {
    for (const { name, kind, hex, decoded, rejected_with: rejected } of list) {
      if (kind === 'gossip_state') {
        if (decoded === undefined) {
          assert.ok(rejected, name);
          assert.throws(() => decodeState(bytesOf(hex)), DecodeError, name);
        } else assert.equal(normal(stateText(decodeState(bytesOf(hex)))), normal(decoded), name);
      } else if (kind === 'unicast') {
        const actual = unicastText(decodeUnicast(bytesOf(hex)));
        assert.equal(normal(actual), normal(expectedUnicast(decoded as UnicastText)), name);
      }
    }
  });
}

/** The value at the end of a payload, behind the type definitions. */
function payloadValue(payload: Uint8Array): string {
  let rest = payload;
  let value = rest;
  while (rest.length > 0) {
    const first = rest[0] as number;
    const width = first < 128 ? 0 : 256 - first;
    const length = width === 0 ? first : rest.slice(1, 1 + width).reduce((n, b) => n * 256 + b, 0);
    value = rest.slice(1 + width, 1 + width + length);
    rest = rest.slice(1 + width + length);
  }
  // The type id in front differs from process to process: always three bytes here.
  return Buffer.from(value).toString('hex').replace(/^ff../, '');
}

test('what we write is the value that the original wrote', () => {
  for (const { name, kind, hex, decoded } of cases) {
    if (kind !== 'gossip_state' || decoded === undefined) continue;
    const state = decodeState(bytesOf(hex));
    const written = encodeState(state);
    // A map that is absent never comes from the original, and from us is empty.
    if (state.nicknames.size > 0) {
      assert.equal(payloadValue(written), payloadValue(bytesOf(hex)), name);
    }
    assert.deepEqual(decodeState(written), state, name);
  }
});

test('a space request is the one of the reference, byte for byte but for type ids', () => {
  const range = rangeFrom(['10.32.0.0', '10.48.0.0']);
  const payload = encodeUnicast({ type: 'space-request', range });
  assert.equal(payload[0], 0);
  assert.equal(payloadValue(payload.slice(1)), '01fc0a20000001fc0a30000000');
});

const healing = {
  healers: new Set([1, 2] as PeerName[]),
  reclaimAfterMs: 600_000,
  ballot: { step: 'ask', target: 3 as PeerName, round: 2n ** 63n, reason: 'why' },
} as const;

test('what only peers of ours say comes through, and an original reads the rest', () => {
  const ring = cases.find(({ name }) => name === 'ring right after the election');
  const state: GossipState = { ...stateFrom(ring?.decoded as StateText), healing };
  assert.deepEqual(decodeState(encodeState(state)), state);
  const seenByOriginal = gob.struct('gossipState', {
    Now: gob.int64,
    Nicknames: gob.map(gob.uint48, gob.string),
  });
  const { Nicknames } = new GobDecoder(encodeState(state)).next(seenByOriginal);
  assert.deepEqual(Nicknames, state.nicknames);
});

test('unknown and empty unicasts mean nothing', () => {
  assert.equal(decodeUnicast(new Uint8Array()), null);
  assert.equal(decodeUnicast(Uint8Array.of(77, 1, 2, 3)), null);
});

test('a range up to the last address survives the 32 bits of the wire', () => {
  const range = { start: 0xffff0000, end: 2 ** 32 };
  assert.deepEqual(decodeUnicast(encodeUnicast({ type: 'denied', range })), {
    type: 'denied',
    range,
  });
});

test('an empty range and random bytes are decode errors', () => {
  const empty = encodeUnicast({ type: 'denied', range: { start: 5, end: 5 } });
  assert.throws(() => decodeUnicast(empty), { code: 'ipam-range-empty' });
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
      for (const decode of [decodeState, decodeUnicast]) {
        try {
          decode(bytes);
        } catch (error) {
          if (!(error instanceof DecodeError)) throw error;
        }
      }
    }),
  );
});
