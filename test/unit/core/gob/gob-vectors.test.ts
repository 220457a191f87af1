/** Values encoded by Go, both directions, and what Go's decoder accepts and refuses. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fromHex, toHex } from '../../../../core/bytes.js';
import { DecodeError } from '../../../../core/errors.js';
import { GobDecoder, GobEncoder, gob, type Schema } from '../../../../core/gob/index.js';
import { loadVectors } from '../../../support/vectors.js';

interface Case {
  name: string;
  go_type: string;
  values: unknown[];
  hex: string;
  hex_other_type_ids?: string;
}
interface Attempt {
  name: string;
  hex: string;
  ok: boolean;
  value?: Record<string, unknown>;
}

const vectors = loadVectors<{ cases: Case[]; decoding_attempts: Attempt[] }>('gob-values.json');

const inner = gob.struct('Inner', { A: gob.string, B: gob.uint64 });
/** Go leaves a struct unnamed if it meets it first as the element of a map. */
const unnamedInner = gob.struct('', { A: gob.string, B: gob.uint64 });
const peerSummary = gob.struct('peerSummary', {
  NameByte: gob.bytes,
  NickName: gob.string,
  UID: gob.uint64,
  Version: gob.uint64,
  ShortID: gob.uint16,
  HasShortID: gob.bool,
});
const connections = gob.slice(
  gob.struct('connectionSummary', {
    NameByte: gob.bytes,
    RemoteTCPAddr: gob.string,
    Outbound: gob.bool,
    Established: gob.bool,
  }),
);
const outer = gob.struct('Outer', {
  Name: gob.string,
  Count: gob.uint64,
  Signed: gob.int64,
  Flag: gob.bool,
  Raw: gob.bytes,
  Ratio: gob.float,
  Tags: gob.slice(gob.string, '[]string'),
  In: inner,
  Ptr: gob.optional(inner),
  List: gob.slice(inner, '[]main.Inner'),
  Table: gob.optional(gob.map(gob.string, gob.uint64, 'map[string]uint64')),
  Arr: gob.array(gob.uint16, 3, '[3]uint16'),
});

/** Schemas by the vectors' Go type, one per value of the stream. */
const SCHEMAS: Record<string, readonly Schema<unknown>[]> = {
  uint64: [gob.uint64],
  int64: [gob.int64],
  float64: [gob.float],
  bool: [gob.bool],
  string: [gob.string],
  '[]byte': [gob.bytes],
  'map[string]string': [gob.map(gob.string, gob.string)],
  '[]string': [gob.slice(gob.string)],
  '[]uint64': [gob.slice(gob.uint64)],
  '[]bool': [gob.slice(gob.bool)],
  '[3]int': [gob.array(gob.int64, 3)],
  'Point{X,Y int}': [gob.struct('Point', { X: gob.int64, Y: gob.int64 })],
  Outer: [outer],
  'NumMap{M map[uint64]Inner}': [
    gob.struct('NumMap', { M: gob.map(gob.uint64, unnamedInner, 'map[uint64]main.Inner') }),
  ],
  peerSummary: [peerSummary],
  '[]connectionSummary': [connections],
  'peerSummary, []connectionSummary': [peerSummary, connections],
  'string, uint64, []byte': [gob.string, gob.uint64, gob.bytes],
};

/** A decoded value in the notation of the vectors: zero fields of structs left out. */
function describe(value: unknown, schema: Schema<unknown>['node']): unknown {
  switch (schema.kind) {
    case 'bool':
    case 'string':
      return value;
    case 'bytes':
      return toHex(value as Uint8Array);
    case 'float':
      return describeFloat(value as number);
    case 'uint':
    case 'int':
      return String(value);
    case 'optional':
      return describe(value, schema.inner);
    case 'slice':
    case 'array':
      return (value as unknown[]).map((element) => describe(element, schema.element));
    case 'map': {
      const entries = [...(value as ReadonlyMap<unknown, unknown>)];
      return Object.fromEntries(entries.map(([k, v]) => [String(k), describe(v, schema.value)]));
    }
    case 'struct': {
      const out: Record<string, unknown> = {};
      for (const [name, child] of schema.fields) {
        const field = (value as Record<string, unknown>)[name];
        const kept = child.kind === 'struct' || child.kind === 'array' || child.kind === 'map';
        const zero = field === null || [false, 0, 0n, ''].includes(field as string);
        const empty =
          child.kind !== 'optional' && (field as { length?: number } | null)?.length === 0;
        if (kept || !(zero || empty)) out[name] = describe(field, child);
      }
      return out;
    }
  }
}

function describeFloat(value: number): string {
  if (value === Number.POSITIVE_INFINITY) return '+Inf';
  return String(value);
}

for (const item of vectors.cases) {
  const key = item.go_type;
  const schemas =
    key === 'Point{X,Y int}' && item.values.length === 2
      ? [SCHEMAS[key]![0]!, SCHEMAS[key]![0]!]
      : SCHEMAS[key];
  test(`gob value ${item.name}`, () => {
    assert.ok(schemas !== undefined, `no schema for ${key}`);
    for (const hex of [item.hex, item.hex_other_type_ids]) {
      if (hex === undefined) continue;
      const decoder = new GobDecoder(fromHex(hex));
      const values = schemas.map((schema) => decoder.next(schema));
      assert.deepEqual(
        values.map((value, i) => describe(value, schemas[i]!.node)),
        item.values,
      );
      assert.ok(decoder.atEnd);
      // A fresh process of the original numbers types as the encoder does, so bytes are equal.
      const encoder = new GobEncoder();
      values.forEach((value, i) => {
        encoder.encode(schemas[i]!, value);
      });
      if (hex === item.hex) assert.equal(toHex(encoder.finish()), hex);
    }
  });
}

/** The original tells these by a plain end of input, which for us is an error. */
for (const attempt of vectors.decoding_attempts) {
  test(`gob decoding: ${attempt.name}`, () => {
    const decode = () => new GobDecoder(fromHex(attempt.hex)).next(peerSummary);
    if (!attempt.ok) {
      assert.throws(decode, DecodeError);
      return;
    }
    const value = decode();
    assert.deepEqual(
      {
        ...value,
        NameByte: toHex(value.NameByte),
        UID: String(value.UID),
        Version: String(value.Version),
      },
      attempt.value,
    );
  });
}
