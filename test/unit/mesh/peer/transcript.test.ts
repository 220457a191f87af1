/**
 * Recorded sessions of two original routers. A Connection takes the place of each end in turn,
 * hears what the other end sent, at the recorded times, and sends what that end sent.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { concatBytes, fromHex, toHex, utf8 } from '../../../../core/bytes.js';
import { parsePeerName } from '../../../../core/peer-name.js';
import { decodeFeatures } from '../../../../mesh/peer/features.js';
import { FrameCodec } from '../../../../mesh/peer/framing.js';
import { InputBuffer } from '../../../../mesh/peer/input-buffer.js';
import { MessageOpener, MessageSealer } from '../../../../mesh/peer/session-crypto.js';
import {
  decodeGossip,
  decodeOverlayControl,
  encodeGossip,
  encodeOverlayControl,
  TAG,
} from '../../../../mesh/protocol.js';
import { ConnectionRig } from '../../../support/connection-rig.js';
import { loadVectors } from '../../../support/vectors.js';

type Side = 'outbound' | 'inbound';
interface Message {
  plaintext_hex: string;
  features?: Record<string, string>;
  tag?: number;
  channel?: string;
  source?: string;
}
interface Transcript {
  outbound_address: string;
  inbound_address: string;
  password?: string;
  session_key?: string;
  outbound_private_key?: string;
  inbound_private_key?: string;
  tcp: { at_ms: number; sender: Side; hex?: string; event?: string }[];
  messages: Record<Side, Message[]>;
}

const HEARTBEAT_HEX = '00';
const other = (side: Side): Side => (side === 'outbound' ? 'inbound' : 'outbound');

for (const file of ['transcript-plain.json', 'transcript-password.json']) {
  const transcript = loadVectors<Transcript>(file);
  for (const side of ['outbound', 'inbound'] as const) {
    test(`${file}: in the place of the ${side} end`, () => replay(transcript, side));
    test(`${file}: stream of the ${side} end, frame by frame`, () => reencode(transcript, side));
  }
}

function replay(transcript: Transcript, side: Side): void {
  const rig = rigFor(transcript, side).start();
  for (const event of transcript.tcp) {
    rig.advanceTo(event.at_ms);
    if (event.sender === side || event.hex === undefined) continue;
    rig.feed(fromHex(event.hex));
  }
  assert.equal(rig.connection.state, 'running');
  const theirs = transcript.messages[other(side)];
  assert.deepEqual(Object.fromEntries(rig.introduction!.features), theirs[0]!.features);
  const key = rig.introduction!.sessionKey;
  assert.equal(key === null ? undefined : toHex(key), transcript.session_key);

  const heard = rig.messages.map(({ tag, payload }) =>
    toHex(concatBytes(Uint8Array.of(tag), payload)),
  );
  const expected = theirs.slice(1).map((message) => message.plaintext_hex);
  assert.deepEqual(
    heard,
    expected.filter((hex) => hex !== HEARTBEAT_HEX),
  );
  const heartbeats = expected.filter((hex) => hex === HEARTBEAT_HEX).length;
  assert.equal(rig.connection.counters.heartbeatsIn, heartbeats);
  // The 41 s of the recording have room for one heartbeat of ours.
  assert.equal(rig.connection.counters.messagesOut, 1);

  rig.connection.handleSocketClosed(
    Object.assign(new Error('read ECONNRESET'), { code: 'ECONNRESET' }),
    rig.nowMs,
  );
  rig.collect();
  assert.match(rig.reason!.text, /^read tcp .*: read: connection reset by peer$/);
}

function rigFor(transcript: Transcript, side: Side): ConnectionRig {
  const features = transcript.messages[side][0]!.features!;
  const privateKey = transcript[`${side}_private_key`];
  return new ConnectionRig({
    outbound: side === 'outbound',
    localAddr: transcript[`${side}_address`],
    remoteAddr: transcript[`${other(side)}_address`],
    connectionId: BigInt(features['ConnID']!),
    ...(privateKey === undefined ? {} : { privateKey }),
    password: transcript.password === undefined ? null : utf8(transcript.password),
    identity: {
      name: parsePeerName(features['Name']!),
      nickname: features['NickName']!,
      uid: BigInt(features['UID']!),
      shortId: Number(features['ShortID']),
    },
  });
}

/** Opens, decodes, encodes and seals each message again: the stream's bytes must come back. */
function reencode(transcript: Transcript, side: Side): void {
  const stream = fromHex(
    transcript.tcp.flatMap((event) => (event.sender === side ? [event.hex ?? ''] : [])).join(''),
  );
  const key = transcript.session_key === undefined ? null : fromHex(transcript.session_key);
  const sender = side === 'outbound';
  const codec = new FrameCodec(
    key && { sealer: new MessageSealer(key, sender), opener: new MessageOpener(key, sender) },
    1 << 20,
  );
  const introBytes = 7 + (key === null ? 1 : 33);
  const input = new InputBuffer();
  input.append(stream.subarray(introBytes));
  const again: Uint8Array[] = [];
  transcript.messages[side].forEach((message, index) => {
    const plaintext = codec.decode(input)!;
    assert.equal(toHex(plaintext), message.plaintext_hex);
    if (index === 0) {
      assert.deepEqual(Object.fromEntries(decodeFeatures(plaintext)), message.features);
      again.push(codec.encode(plaintext));
    } else {
      again.push(codec.encode(recode(plaintext, message)));
    }
  });
  assert.equal(input.length, 0);
  assert.deepEqual(concatBytes(...again), stream.subarray(introBytes));
}

function recode(plaintext: Uint8Array, expected: Message): Uint8Array {
  const tag = plaintext[0]!;
  const payload = plaintext.subarray(1);
  if (tag === TAG.gossip || tag === TAG.gossipBroadcast) {
    const gossip = decodeGossip(payload);
    assert.equal(gossip.channel, expected.channel);
    return concatBytes(Uint8Array.of(tag), encodeGossip(gossip));
  }
  if (tag === TAG.overlayControl) {
    const encoded = encodeOverlayControl(decodeOverlayControl(tag, payload, false)!, false);
    return concatBytes(Uint8Array.of(encoded.tag), encoded.payload);
  }
  assert.equal(toHex(plaintext), HEARTBEAT_HEX);
  return plaintext;
}
