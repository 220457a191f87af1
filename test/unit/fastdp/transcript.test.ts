/**
 * Our data plane in the place of one router of the transcripts: it hears everything the other
 * one sent and must bridge the same frames, answer the same tests and speak the same first words.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fromHex, toHex } from '../../../core/bytes.js';
import { DataPlane } from '../../../fastdp/data-plane.js';
import { loadVectors } from '../../support/vectors.js';
import { frameOf, nameFromHex, type VectorFrame } from './bytes.js';
import { aead, FakeDatagrams, FakeTap, plainSecretbox } from './network.js';

interface Datagram {
  readonly at_ms: number;
  readonly sender: string;
  readonly hex?: string;
  readonly frames: readonly VectorFrame[];
}

interface Transcript {
  readonly session_key?: string;
  readonly udp: readonly Datagram[];
}

const NAMES = { outbound: '820000000002', inbound: '820000000001' } as const;
const ADDRESSES = { outbound: '198.51.100.2', inbound: '198.51.100.1' } as const;

function run(transcript: Transcript, here: 'outbound' | 'inbound') {
  const there = here === 'outbound' ? 'inbound' : 'outbound';
  const heartbeat = transcript.udp.find(({ frames }) => frames[0]?.kind === 'heartbeat');
  const datagrams = new FakeDatagrams();
  const tap = new FakeTap();
  const localPeer = nameFromHex(NAMES[here]);
  const remotePeer = nameFromHex(NAMES[there]);
  const plane = new DataPlane({ localPeer }, { datagrams, tap, secretbox: plainSecretbox, aead });
  plane.prepare({
    connId: 1,
    localPeer,
    remotePeer,
    connectionUid: BigInt(heartbeat?.frames[0]?.connection_uid as string),
    outbound: here === 'outbound',
    localIp: ADDRESSES[here],
    remoteIp: ADDRESSES[there],
    remotePort: here === 'outbound' ? 6783 : null,
    cipher: transcript.session_key === undefined ? 'none' : 'nacl',
    sessionKey: transcript.session_key === undefined ? null : fromHex(transcript.session_key),
  });
  plane.confirm(1, 0);
  plane.setForwarding({
    peers: new Set([localPeer, remotePeer]),
    unicast: new Map([[remotePeer, remotePeer]]),
    broadcast: new Map([[localPeer, [remotePeer]]]),
  });
  const controls: string[] = [];
  const expected: Uint8Array[] = [];
  const sourceIp = 0xc633_6400 + (there === 'outbound' ? 2 : 1);
  for (const datagram of transcript.udp.filter(({ sender }) => sender === there)) {
    expected.push(
      ...datagram.frames.filter(({ kind }) => kind === 'ethernet').map((frame) => frameOf(frame)),
    );
    // The long tests are given by their hash only; the rest of the run does not need them.
    if (datagram.hex === undefined) continue;
    const bytes = fromHex(datagram.hex);
    plane.handleDatagram(bytes, 0, bytes.length, sourceIp, 6783, datagram.at_ms);
    plane.flush(datagram.at_ms);
    for (let event = plane.pollEvent(); event !== null; event = plane.pollEvent()) {
      if (event.type === 'control') controls.push(`${event.subTag} ${toHex(event.data)}`);
    }
  }
  return { plane, datagrams, tap, controls, expected };
}

for (const file of ['transcript-plain.json', 'transcript-password.json']) {
  for (const here of ['outbound', 'inbound'] as const) {
    test(`${file}: our router in place of the ${here} one`, () => {
      const transcript = loadVectors<Transcript>(file);
      const { plane, datagrams, tap, controls, expected } = run(transcript, here);
      assert.ok(expected.length > 10);
      assert.deepEqual(tap.frames, expected);
      const mtu = transcript.session_key === undefined ? '059e' : '0586';
      assert.deepEqual(controls, ['1 ', `3 ${mtu}`]);
      const first = transcript.udp.find(({ sender }) => sender === here);
      assert.equal(toHex(datagrams.sent[0]?.bytes as Uint8Array), first?.hex);
      const { drops } = plane.status(50_000);
      assert.equal(
        Object.values(drops).reduce((sum, count) => sum + count),
        0,
      );
    });
  }
}
