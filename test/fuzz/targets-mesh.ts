/** Fuzz targets of gob, control messages and the session machine. */
import { concatBytes, fromHex, utf8 } from '../../core/bytes.js';
import { DecodeError, ProtocolError } from '../../core/errors.js';
import { GobDecoder, gob, type Schema } from '../../core/gob/index.js';
import { decodeFeatures, parseFeatures } from '../../mesh/peer/features.js';
import { decodeGossip, decodeOverlayControl, decodeUnicast } from '../../mesh/protocol.js';
import { ConnectionRig } from '../support/connection-rig.js';
import { loadVectors } from '../support/vectors.js';
import type { FuzzTarget } from './target.js';

interface HandshakeEnd {
  readonly password: string;
  readonly private_key?: string;
  readonly writes_hex: readonly string[];
}
type Handshake = Readonly<Record<'outbound' | 'inbound', HandshakeEnd>>;

const gobCases = loadVectors<{ cases: { hex: string }[]; decoding_attempts: { hex: string }[] }>(
  'gob-values.json',
);
const messages = loadVectors<{ cases: { hex: string; tag: number }[] }>('protocol-messages.json');
const handshakes = loadVectors<{ cases: Handshake[] }>('handshakes.json');

const inner = gob.struct('Inner', { A: gob.string, B: gob.uint64 });
/** One schema of every kind, to be offered whatever the stream contains. */
const SCHEMAS: readonly Schema<unknown>[] = [
  gob.uint64,
  gob.uint16,
  gob.int53,
  gob.float,
  gob.string,
  gob.bytes,
  gob.array(gob.int64, 3),
  gob.slice(inner),
  gob.map(gob.string, gob.string),
  gob.struct('Outer', {
    Name: gob.string,
    Count: gob.uint32,
    Signed: gob.int32,
    Tags: gob.slice(gob.string),
    In: inner,
    Ptr: gob.optional(inner),
    Table: gob.optional(gob.map(gob.string, gob.uint64)),
    NameByte: gob.bytes,
    UID: gob.uint64,
    X: gob.int64,
    M: gob.pairs(gob.uint64, inner),
  }),
];

function tolerate(run: () => void): void {
  try {
    run();
  } catch (error) {
    if (!(error instanceof DecodeError || error instanceof ProtocolError)) throw error;
  }
}

function decodeWithEverySchema(input: Uint8Array): void {
  for (const schema of SCHEMAS) {
    tolerate(() => {
      const decoder = new GobDecoder(input);
      while (!decoder.atEnd) decoder.next(schema);
    });
  }
}

function decodeMessage(input: Uint8Array): void {
  const tag = input[0] ?? 0;
  const payload = input.subarray(1);
  tolerate(() => decodeGossip(payload));
  tolerate(() => decodeUnicast(payload));
  decodeOverlayControl(tag, payload, false);
  decodeOverlayControl(tag, payload, true);
}

/** The first byte chooses how the stream is cut; the rest is what the other end sends. */
function runSession(end: HandshakeEnd, outbound: boolean, input: Uint8Array): void {
  const rig = new ConnectionRig({
    outbound,
    ...(end.private_key === undefined ? {} : { privateKey: end.private_key }),
    password: utf8(end.password),
  }).start();
  const chunkBytes = 1 + (input[0] ?? 0);
  for (let at = 1; at < input.length; at += chunkBytes) {
    rig.nowMs += 10;
    rig.feed(input.subarray(at, at + chunkBytes));
  }
  rig.advanceTo(rig.nowMs + 3_600_000);
  if (rig.connection.state !== 'closed') throw new Error('a silent session lived for an hour');
}

const sessionTargets = (['outbound', 'inbound'] as const).map((side): FuzzTarget => {
  const other = side === 'outbound' ? 'inbound' : 'outbound';
  const own = handshakes.cases.map((item) => item[side]);
  return {
    name: `session, ${side} end`,
    seeds: handshakes.cases.map((item) =>
      concatBytes(Uint8Array.of(255), fromHex(item[other].writes_hex.join(''))),
    ),
    // A sealed session cannot be reached by mutation, but its keys in the clear can.
    run: (input) => {
      runSession(own[0]!, side === 'outbound', input);
      runSession(own[1]!, side === 'outbound', input);
    },
  };
});

export const targets: FuzzTarget[] = [
  {
    name: 'gob',
    seeds: [...gobCases.cases, ...gobCases.decoding_attempts].map((item) => fromHex(item.hex)),
    run: decodeWithEverySchema,
  },
  {
    name: 'control message',
    seeds: messages.cases.map((item) => fromHex(item.hex)),
    run: decodeMessage,
  },
  {
    name: 'feature map',
    seeds: gobCases.cases
      .filter((item) => item.hex.startsWith('0eff8104'))
      .map((item) => fromHex(item.hex)),
    run: (input) => tolerate(() => parseFeatures(decodeFeatures(input))),
  },
  ...sessionTargets,
];
