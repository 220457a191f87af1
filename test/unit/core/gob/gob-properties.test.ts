/** Round trips of arbitrary values, limits against hostile input, and the stream's rules. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { ByteWriter, concatBytes, fromHex } from '../../../../core/bytes.js';
import { DecodeError } from '../../../../core/errors.js';
import {
  GobDecoder,
  GobEncoder,
  GobMessageDecoder,
  gob,
  type ValueOf,
} from '../../../../core/gob/index.js';
import { writeUint } from '../../../../core/gob/primitives.js';

const point = gob.struct('Point', { X: gob.int64, Y: gob.int32 });
const everything = gob.struct('Everything', {
  Flag: gob.bool,
  Small: gob.uint8,
  Name: gob.uint48,
  Uid: gob.uint64,
  Time: gob.int53,
  Ratio: gob.float,
  Text: gob.string,
  Raw: gob.bytes,
  In: point,
  Ptr: gob.optional(point),
  List: gob.slice(point),
  Three: gob.array(gob.uint16, 3),
  Table: gob.optional(gob.map(gob.uint64, gob.string)),
  Claims: gob.pairs(point, gob.slice(gob.bool)),
});
type Everything = ValueOf<typeof everything>;

const plainObjects = { noNullPrototype: true };
const anyPoint = fc.record(
  { X: fc.bigInt({ min: -(1n << 63n), max: (1n << 63n) - 1n }), Y: fc.integer() },
  plainObjects,
);
const anyUint64 = fc.bigInt({ min: 0n, max: (1n << 64n) - 1n });
const anything: fc.Arbitrary<Everything> = fc.record(
  {
    Flag: fc.boolean(),
    Small: fc.nat({ max: 255 }),
    Name: fc.integer({ min: 0, max: 2 ** 48 - 1 }),
    Uid: anyUint64,
    Time: fc.maxSafeInteger(),
    Ratio: fc.double().map((value) => (Object.is(value, -0) ? 0 : value)),
    Text: fc.string({ unit: 'grapheme' }),
    Raw: fc.uint8Array(),
    In: anyPoint,
    Ptr: fc.option(anyPoint),
    List: fc.array(anyPoint),
    Three: fc.array(fc.nat({ max: 65535 }), { minLength: 3, maxLength: 3 }),
    Table: fc.option(fc.array(fc.tuple(anyUint64, fc.string())).map((list) => new Map(list))),
    Claims: fc.array(fc.tuple(anyPoint, fc.array(fc.boolean()))),
  },
  plainObjects,
);

function decode<T>(bytes: Uint8Array, schema: Parameters<GobDecoder['next']>[0]): T {
  return new GobDecoder(bytes).next(schema) as T;
}

test('any value comes back as it was', () => {
  fc.assert(
    fc.property(anything, anything, (first, second) => {
      const bytes = new GobEncoder().encode(everything, first).encode(everything, second).finish();
      const decoder = new GobDecoder(bytes);
      assert.deepEqual(decoder.next(everything), first);
      assert.deepEqual(decoder.next(everything), second);
      assert.ok(decoder.atEnd);
    }),
  );
});

test('mutated streams give a value or a DecodeError', () => {
  fc.assert(
    fc.property(
      anything,
      fc.array(fc.tuple(fc.nat(), fc.nat({ max: 255 })), { minLength: 1, maxLength: 4 }),
      (value, mutations) => {
        const bytes = new GobEncoder().encode(everything, value).finish();
        for (const [at, byte] of mutations) bytes[at % bytes.length] = byte;
        try {
          decode(bytes, everything);
        } catch (error) {
          assert.ok(error instanceof DecodeError, String(error));
        }
      },
    ),
    { numRuns: 300 },
  );
});

test('definitions may come in another session than the values', () => {
  const encoder = new GobEncoder();
  const first = encoder.encode(point, { X: 1n, Y: 2 }).finish();
  const second = encoder.encode(point, { X: 3n, Y: 4 }).finish();
  assert.ok(second.length < first.length);
  assert.deepEqual(decode(concatBytes(first, second), point), { X: 1n, Y: 2 });
  assert.throws(() => decode(second, point), { code: 'gob-type-undefined' });
});

test('values outside their schema are a bug of the caller', () => {
  for (const value of [-1, 256]) {
    assert.throws(() => new GobEncoder().encode(gob.uint8, value), RangeError);
  }
  assert.throws(() => new GobEncoder().encode(gob.uint64, 1n << 64n), RangeError);
});

test('integers that do not fit are refused, also beyond what a number holds', () => {
  const huge = new GobEncoder().encode(gob.uint64, (1n << 64n) - 1n).finish();
  assert.throws(() => decode(huge, gob.uint48), { code: 'gob-integer-range' });
  const low = new GobEncoder().encode(gob.int64, -(1n << 63n)).finish();
  assert.throws(() => decode(low, gob.int53), { code: 'gob-integer-range' });
  assert.throws(() => decode(low, gob.int32), { code: 'gob-integer-range' });
});

test('a stream that ends early is an error, not an end', () => {
  const bytes = new GobEncoder().encode(gob.string, 'a').finish();
  const decoder = new GobDecoder(bytes);
  decoder.next(gob.string);
  assert.throws(() => decoder.next(gob.string), { code: 'gob-end' });
  assert.throws(() => decode(fromHex('00'), gob.string), { code: 'gob-message-empty' });
});

/** Definition of type 65 as a slice, of strings or of itself; then a value with this count. */
function sliceStream(elementId: string, count: number, body: Uint8Array): Uint8Array {
  const value = new ByteWriter();
  value.bytes(fromHex('ff8200'));
  writeUint(value, count);
  value.bytes(body);
  const stream = new ByteWriter();
  stream.bytes(fromHex(`0c${'ff81020102ff820001'}${elementId}0000`));
  writeUint(stream, value.length);
  return stream.bytes(value.finish()).finish();
}

test('an announced count allocates nothing by itself', () => {
  const strings = gob.slice(gob.string);
  assert.deepEqual(decode(sliceStream('0c', 2, Uint8Array.of(0, 0)), strings), ['', '']);
  assert.throws(() => decode(sliceStream('0c', 3, Uint8Array.of(0, 0)), strings), {
    code: 'gob-count',
  });
  assert.throws(() => decode(sliceStream('0c', 2 ** 40, Uint8Array.of(0, 0)), strings), {
    code: 'gob-count',
  });
});

test('elements of one message are limited', () => {
  const body = new Uint8Array(2 ** 20 + 1);
  assert.throws(() => decode(sliceStream('0c', 2 ** 20 + 1, body), gob.slice(gob.string)), {
    code: 'gob-count',
  });
});

test('a type that contains itself is skipped, but not to any depth', () => {
  // type 65 = struct { F []T66; G uint }, type 66 = slice of itself.
  const schema = gob.struct('S', { G: gob.uint8 });
  const definitions = concatBytes(
    fromHex('18ff8103010101' + '5301ff82000102010146' + '01ff84000101' + '4701060000' + '00'),
  );
  definitions[0] = definitions.length - 1;
  const slice = fromHex('0dff83020102ff840001ff840000');
  const nested = (depth: number): Uint8Array => {
    const body = concatBytes(
      fromHex('ff8201'),
      new Uint8Array(depth).fill(1),
      fromHex('00' + '0107' + '00'),
    );
    return concatBytes(definitions, slice, Uint8Array.of(body.length), body);
  };
  assert.deepEqual(decode(nested(20), schema), { G: 7 });
  assert.throws(() => decode(nested(100), schema), { code: 'gob-depth' });
});

test('types with a marshaller of their own are skipped when unknown', () => {
  // type 65 = struct { T T66; G uint }, type 66 = a GobEncoder (wireType field 4).
  const struct = fromHex(
    'ff8103010101' + '5301ff82000102010154' + '01ff84000101' + '4701060000' + '00',
  );
  const opaque = fromHex('ff83050102ff84000000');
  const value = fromHex('ff820102aabb010700');
  const stream = [struct, opaque, value].map((body) =>
    concatBytes(Uint8Array.of(body.length), body),
  );
  assert.deepEqual(decode(concatBytes(...stream), gob.struct('S', { G: gob.uint8 })), { G: 7 });
});

test('a stream cannot define types without end', () => {
  const decoder = new GobMessageDecoder();
  assert.throws(
    () => {
      for (let id = 65; id < 3000; id++) {
        const body = new ByteWriter();
        writeUint(body, 2 * id - 1);
        body.bytes(fromHex('020102ff8200010c0000'));
        decoder.decode(body.finish(), gob.string);
      }
    },
    { code: 'gob-definition' },
  );
});

test('many unknown fields of one large type take time in proportion to their bytes', () => {
  const FIELDS = 20_000;
  const keys = Array.from({ length: FIELDS }, (_, i) => `f${i}`);
  const wide = gob.struct('W', Object.fromEntries(keys.map((key) => [key, gob.uint8])));
  const fields = Object.fromEntries(keys.map((key) => [key, wide]));
  const outer = gob.struct('O', { Small: gob.uint8, ...fields });
  const empty = Object.fromEntries(keys.map((key) => [key, 0]));
  const value = { Small: 7, ...Object.fromEntries(keys.map((key) => [key, empty])) };
  const bytes = new GobEncoder().encode(outer, value).finish();
  const startMs = performance.now();
  const small = gob.struct('O', { Small: gob.uint8 });
  assert.deepEqual(new GobDecoder(bytes).next(small), { Small: 7 });
  const tookMs = performance.now() - startMs;
  assert.ok(tookMs < 2_000, `${bytes.length} bytes took ${tookMs} ms`);
});
