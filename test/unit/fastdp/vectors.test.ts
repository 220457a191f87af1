/**
 * Sealed datagrams of the original, opened by our inbound stage and made again by our outbound
 * one, byte for byte: the vectors, and everything two routers sent each other in the transcripts.
 */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { test } from 'node:test';
import { fromHex, toHex } from '../../../core/bytes.js';
import { UNKNOWN_PEER } from '../../../core/peer-name.js';
import { Counters } from '../../../fastdp/counters.js';
import { DropReason } from '../../../fastdp/drop-reason.js';
import { openDatagram } from '../../../fastdp/inbound/open.js';
import { Link } from '../../../fastdp/link.js';
import { Sealer } from '../../../fastdp/outbound/seal.js';
import type { OwnSequences } from '../../../fastdp/sequences.js';
import { splitRecords } from '../../../fastdp/wire.js';
import { loadVectors } from '../../support/vectors.js';
import { frameOf, fromBase64, nameFromHex, sleeveVectors, type VectorFrame } from './bytes.js';
import { aead, FakeDatagrams, plainSecretbox, UID } from './network.js';

interface Shape {
  readonly sender: string;
  readonly key: string | null;
  readonly senderIsOutbound: boolean;
  readonly frames: readonly VectorFrame[];
  readonly df: boolean;
  readonly sequence: number;
}

function linkFor(senderIsOutbound: boolean, key: string | null, atSender: boolean): Link {
  const counters = new Counters();
  const outbound = senderIsOutbound === atSender;
  const link = new Link(
    {
      connId: 1,
      localPeer: UNKNOWN_PEER,
      remotePeer: nameFromHex('820000000002'),
      connectionUid: UID,
      outbound,
      localIp: '198.51.100.1',
      remoteIp: '198.51.100.2',
      remotePort: 6783,
      cipher: key === null ? 'none' : 'nacl',
      sessionKey: key === null ? null : fromHex(key),
    },
    { traffic: counters.trafficOf(nameFromHex('820000000002')), aead },
  );
  return link;
}

/** What our sealing stage makes of the frames. */
function build(shape: Shape): Uint8Array {
  const datagrams = new FakeDatagrams();
  const counters = new Counters();
  const modules = { datagrams, secretbox: plainSecretbox, counters };
  const sealer = new Sealer({ localPeer: nameFromHex(shape.sender) }, modules);
  const link = linkFor(shape.senderIsOutbound, shape.key, true);
  const sequences = link.sequences as OwnSequences;
  sequences.nextDf = shape.sequence;
  sequences.nextNonDf = shape.sequence;
  for (const vector of shape.frames) {
    const frame = frameOf(vector);
    const source = nameFromHex(vector.src_name);
    const destination = nameFromHex(vector.dst_name);
    const reason = sealer.append(link, shape.df, source, destination, frame, 0, frame.length);
    assert.equal(reason, DropReason.none);
  }
  sealer.sealAll();
  datagrams.flush();
  assert.equal(datagrams.sent.length, 1);
  assert.equal(datagrams.sent[0]?.df, shape.df);
  return datagrams.sent[0]?.bytes as Uint8Array;
}

function open(shape: Shape, datagram: Uint8Array): Uint8Array[] {
  const link = linkFor(shape.senderIsOutbound, shape.key, false);
  const buffer = new Uint8Array(datagram.length + 11);
  buffer.set(datagram, 11);
  const reason = openDatagram(link, plainSecretbox, buffer, 11, datagram.length, 0);
  assert.equal(reason, DropReason.none);
  const frames: Uint8Array[] = [];
  const at = 11 + link.overheadBytes;
  const split = splitRecords(buffer, at, buffer.length - at, {
    handleRecord: (bytes, offset, count) => frames.push(bytes.slice(offset, offset + count)),
  });
  assert.equal(split, DropReason.none);
  if (shape.key !== null) {
    const again = datagram.slice();
    const second = openDatagram(link, plainSecretbox, again, 0, again.length, 0);
    assert.equal(second, DropReason.replayed);
  }
  return frames;
}

function sha256(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}

test('every packet is made and opened as by the original', () => {
  for (const packet of sleeveVectors.packets) {
    const shape: Shape = {
      sender: packet.sender_name,
      key: packet.session_key ?? null,
      senderIsOutbound: packet.sender_is_outbound ?? true,
      frames: packet.frames.map((frame) =>
        frame.frame_hex === undefined && frame.length === 22
          ? { ...frame, connection_uid: UID.toString() }
          : frame,
      ),
      df: packet.df ?? false,
      sequence: packet.sequence ?? 0,
    };
    const built = build(shape);
    assert.equal(built.length, packet.packet_length, packet.name);
    assert.equal(sha256(built), packet.packet_sha256, packet.name);
    if (packet.packet_hex !== undefined) assert.equal(toHex(built), packet.packet_hex);
    assert.deepEqual(open(shape, built), shape.frames.map(frameOf), packet.name);
  }
});

test('the big packet matches in full', () => {
  const big = sleeveVectors.big_encrypted_packet;
  const shape: Shape = {
    sender: '820000000001',
    key: big.session_key,
    senderIsOutbound: big.sender_is_outbound,
    frames: [{ src_name: '820000000001', dst_name: '820000000002', length: 60_001 }],
    df: false,
    sequence: Number(big.sequence),
  };
  const expected = fromBase64(big.packet_base64);
  assert.deepEqual(build(shape), expected);
  assert.deepEqual(open(shape, expected), [new Uint8Array(60_001)]);
});

test('class and polarity are told apart', () => {
  const key = '11'.repeat(32);
  const receiver = linkFor(true, key, false);
  for (const vector of sleeveVectors.df_and_polarity) {
    const datagram = build({
      sender: '820000000001',
      key,
      senderIsOutbound: vector.sender_is_outbound,
      frames: [{ src_name: '820000000001', dst_name: '820000000002', length: 22 }],
      df: vector.sequence_field_hex.startsWith('8'),
      sequence: Number.parseInt(vector.sequence_field_hex.slice(1), 16),
    });
    const reason = openDatagram(receiver, plainSecretbox, datagram, 0, datagram.length, 0);
    const expected = vector.accepted
      ? DropReason.none
      : vector.decryption_failed
        ? DropReason.forged
        : DropReason.replayed;
    assert.equal(reason, expected, vector.sequence_field_hex);
  }
});

interface Transcript {
  readonly session_key?: string;
  readonly udp: readonly {
    readonly sender: string;
    readonly hex?: string;
    readonly sha256?: string;
    readonly length: number;
    readonly ip_df: boolean;
    readonly sequence?: number;
    readonly frames: readonly VectorFrame[];
  }[];
}

test('all datagrams of both transcripts are opened and rebuilt', () => {
  for (const file of ['transcript-plain.json', 'transcript-password.json']) {
    const transcript = loadVectors<Transcript>(file);
    assert.ok(transcript.udp.length > 20);
    for (const datagram of transcript.udp) {
      const shape: Shape = {
        // The hop is the sender of the datagram; all frames here are the hop's own.
        sender: datagram.frames[0]?.src_name as string,
        key: transcript.session_key ?? null,
        senderIsOutbound: datagram.sender === 'outbound',
        frames: datagram.frames,
        df: datagram.ip_df,
        sequence: Number(datagram.sequence ?? 0),
      };
      const built = build(shape);
      if (datagram.hex === undefined) assert.equal(sha256(built), datagram.sha256);
      else assert.equal(toHex(built), datagram.hex);
      assert.deepEqual(open(shape, built), datagram.frames.map(frameOf));
    }
  }
});
