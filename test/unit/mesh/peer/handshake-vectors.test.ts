/**
 * Introductions of the original with fixed keys: each end is replayed against what the other
 * wrote. The original sends features in random order, and ours are sorted, so a frame with
 * features is compared by what it says; everything else byte by byte.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { concatBytes, fromHex, toHex, utf8 } from '../../../../core/bytes.js';
import { GobDecoder } from '../../../../core/gob/index.js';
import { secretboxOpen, secretboxSeal } from '../../../../core/nacl.js';
import { parsePeerName } from '../../../../core/peer-name.js';
import { decodeFeatures, featureMapSchema } from '../../../../mesh/peer/features.js';
import { MessageOpener, MessageSealer } from '../../../../mesh/peer/session-crypto.js';
import { ConnectionRig } from '../../../support/connection-rig.js';
import { loadVectors } from '../../../support/vectors.js';

interface End {
  password: string;
  private_key?: string;
  session_key?: string;
  version?: 1 | 2;
  writes_hex: string[];
  features_sent: Record<string, string>;
  features_seen: Record<string, string> | null;
  messages_after_intro: string[];
  messages_received: string[];
  error: string;
}
interface Case {
  name: string;
  outbound: End;
  inbound: End;
}
interface SealedRun {
  sender_is_outbound: boolean;
  session_key: string;
  messages: { nonce: string; plaintext: string; sealed: string }[];
}

const vectors = loadVectors<{ cases: Case[]; sealed_frames: SealedRun[] }>('handshakes.json');

/** How we close where the original gave the text of the vector. Others race: see the README. */
const CODES: Record<string, string> = {
  'Unable to decrypt TCP msg': 'wrong-password',
  'password specified, but peer requested an unencrypted connection': 'password-only-ours',
  'no password specificed, but peer requested an encrypted connection': 'password-only-theirs',
  'remote version range [1,1] is incompatible with ours [2,2]': 'version-mismatch',
};

function rigFor(end: End, outbound: boolean): ConnectionRig {
  const sent = end.features_sent;
  const header = fromHex(end.writes_hex[0]!);
  return new ConnectionRig({
    outbound,
    connectionId: BigInt(sent['ConnID']!),
    ...(end.private_key === undefined ? {} : { privateKey: end.private_key }),
    password: end.password === '' ? null : utf8(end.password),
    minVersion: header[5] as 1 | 2,
    maxVersion: header[6] as 1 | 2,
    identity: {
      name: parsePeerName(sent['Name']!),
      nickname: sent['NickName']!,
      uid: BigInt(sent['UID']!),
      shortId: Number(sent['ShortID']),
    },
    overlays: sent['Overlays']!.split(' '),
  });
}

/** The feature map in the first frame (or gob value) behind header, flag and key. */
function sentFeatures(
  stream: Uint8Array,
  end: End,
  outbound: boolean,
): ReadonlyMap<string, string> {
  if (end.version === 1) return new GobDecoder(stream.subarray(7)).next(featureMapSchema);
  const frame = stream.subarray(7 + (end.password === '' ? 1 : 33));
  const length = new DataView(frame.buffer, frame.byteOffset).getUint32(0);
  const body = frame.subarray(4, 4 + length);
  if (end.session_key === undefined) return decodeFeatures(body);
  const opened = new MessageOpener(fromHex(end.session_key), outbound).open(body);
  assert.ok(opened !== null);
  return decodeFeatures(opened);
}

for (const item of vectors.cases) {
  for (const outbound of [true, false]) {
    const [self, other] = outbound ? [item.outbound, item.inbound] : [item.inbound, item.outbound];
    for (const chunkBytes of [1, 7, 100_000]) {
      test(`${item.name}, ${outbound ? 'outbound' : 'inbound'}, ${chunkBytes} at a time`, () => {
        replay(self, other, outbound, chunkBytes);
      });
    }
  }
}

function replay(self: End, other: End, outbound: boolean, chunkBytes: number): void {
  const rig = rigFor(self, outbound).start();
  const input = fromHex(other.writes_hex.join(''));
  for (let at = 0; at < input.length; at += chunkBytes) {
    rig.feed(input.subarray(at, at + chunkBytes));
  }
  if (self.features_seen === null) {
    rig.connection.handleSocketClosed(null, 0);
    rig.collect();
    checkFailure(rig, self);
    return;
  }
  assert.equal(rig.connection.state, 'running');
  const { introduction } = rig;
  assert.ok(introduction !== null);
  assert.deepEqual(Object.fromEntries(introduction.features), self.features_seen);
  assert.equal(introduction.version, self.version);
  const expectedKey = self.session_key === undefined ? null : self.session_key;
  assert.equal(introduction.sessionKey && toHex(introduction.sessionKey), expectedKey);
  checkMessages(rig, self);
  checkWrites(rig, self, outbound);
}

/** The messages that heartbeats and blank frames are not part of. */
function checkMessages(rig: ConnectionRig, self: End): void {
  const heard = rig.messages.map(({ tag, payload }) =>
    toHex(concatBytes(Uint8Array.of(tag), payload)),
  );
  assert.deepEqual(
    heard,
    self.messages_received.filter((message) => message !== '00'),
  );
  assert.equal(rig.connection.counters.messagesIn, self.messages_received.length);
}

function checkWrites(rig: ConnectionRig, self: End, outbound: boolean): void {
  const theirs = fromHex(self.writes_hex.join(''));
  const introBytes = rig.written.length;
  assert.deepEqual(
    new Map([...sentFeatures(rig.written, self, outbound)].sort()),
    new Map([...sentFeatures(theirs, self, outbound)].sort()),
  );
  // Up to the features, and from there on the messages, bytes are equal.
  const headBytes = self.version === 1 ? 7 : 7 + (self.password === '' ? 1 : 33);
  assert.deepEqual(rig.written.subarray(0, headBytes), theirs.subarray(0, headBytes));
  for (const message of self.messages_after_intro) {
    const bytes = fromHex(message);
    rig.connection.send(bytes[0]!, bytes.subarray(1));
  }
  rig.collect();
  const later = toHex(rig.written.subarray(introBytes));
  assert.ok(later.length > 0);
  assert.ok(toHex(theirs).endsWith(later));
}

function checkFailure(rig: ConnectionRig, self: End): void {
  assert.equal(rig.introduction, null);
  assert.equal(rig.connection.state, 'closed');
  assert.ok(rig.reason !== null);
  const code = CODES[self.error];
  // Ends that saw the other one close first still have its bytes here, and find the fault.
  if (code !== undefined) assert.equal(rig.reason.code, code);
  assert.ok(rig.reason.text.length > 0);
}

for (const run of vectors.sealed_frames) {
  test(`sealed frames, sender outbound: ${run.sender_is_outbound}`, () => {
    const key = fromHex(run.session_key);
    const sealer = new MessageSealer(key, run.sender_is_outbound);
    const opener = new MessageOpener(key, run.sender_is_outbound);
    for (const message of run.messages) {
      const plaintext = fromHex(message.plaintext);
      assert.equal(toHex(sealer.seal(plaintext)), message.sealed);
      assert.deepEqual(opener.open(fromHex(message.sealed)), plaintext);
      assert.deepEqual(
        secretboxOpen(
          secretboxSeal(plaintext, fromHex(message.nonce), key),
          fromHex(message.nonce),
          key,
        ),
        plaintext,
      );
    }
    assert.equal(opener.open(new Uint8Array(40)), null);
  });
}
