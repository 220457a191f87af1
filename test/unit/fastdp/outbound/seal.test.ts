/** Gathering frames into datagrams: nothing lost, changed or out of order within a class. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { PeerName } from '../../../../core/peer-name.js';
import { Counters } from '../../../../fastdp/counters.js';
import { DropReason } from '../../../../fastdp/drop-reason.js';
import { openDatagram } from '../../../../fastdp/inbound/open.js';
import { Link } from '../../../../fastdp/link.js';
import { Sealer } from '../../../../fastdp/outbound/seal.js';
import { splitRecords } from '../../../../fastdp/wire.js';
import type { DataCipher } from '../../../../mesh/overlay.js';
import { aead, FakeDatagrams, ipText, plainSecretbox, UID } from '../network.js';
import { ALL_CIPHERS } from '../pair.js';

const LOCAL = 0x8200_0000_00ff as PeerName;
const KEY = new Uint8Array(32).fill(3);

/** Our end of a connection to a peer, or if we did not dial, that peer's end. */
function linkTo(index: number, outbound: boolean, cipher: DataCipher, counters: Counters): Link {
  const peer = (0x8200_0000_0000 + index) as PeerName;
  const [localPeer, remotePeer] = outbound ? [LOCAL, peer] : [peer, LOCAL];
  return new Link(
    {
      connId: index,
      localPeer,
      remotePeer,
      connectionUid: UID,
      outbound,
      localIp: '192.0.2.1',
      remoteIp: ipText(0xc633_6400 + index),
      remotePort: 6783,
      cipher,
      sessionKey: cipher === 'none' ? null : KEY,
    },
    { traffic: counters.trafficOf(remotePeer), aead },
  );
}

/** The search is over, with an underlay of 1500. */
function settleMtu(link: Link): void {
  link.forwarder.confirm(0);
  link.forwarder.handleControl(1, new Uint8Array(0), 0);
  link.forwarder.handleTooBig(1500, 0);
  const mtu = link.forwarder.mtu;
  link.forwarder.handleControl(3, new Uint8Array([mtu >>> 8, mtu & 255]), 0);
  assert.ok(link.forwarder.mtuKnown);
}

const frames = fc.array(
  fc.record({
    to: fc.nat({ max: 24 }),
    df: fc.boolean(),
    bytes: fc.oneof(
      fc.nat({ max: 200 }),
      fc.nat({ max: 1500 }),
      fc.nat({ max: 65_535 }),
      fc.integer({ min: 1380, max: 1470 }),
    ),
    endOfBatch: fc.boolean(),
  }),
  { maxLength: 60 },
);

test('frames of all sizes arrive unchanged and in order per hop and class', () => {
  fc.assert(
    fc.property(frames, fc.constantFrom(...ALL_CIPHERS), fc.boolean(), (list, cipher, known) => {
      const datagrams = new FakeDatagrams();
      const counters = new Counters();
      const sealer = new Sealer(
        { localPeer: LOCAL },
        { datagrams, secretbox: plainSecretbox, counters },
      );
      const links = Array.from({ length: 25 }, (_, i) => linkTo(i, true, cipher, counters));
      if (known) for (const link of links) settleMtu(link);
      const expected = new Map<string, Uint8Array[]>();
      list.forEach(({ to, df, bytes, endOfBatch }, index) => {
        const link = links[to] as Link;
        const frame = new Uint8Array(bytes).fill(index + 1);
        const source = (index + 7) as PeerName;
        const reason = sealer.append(link, df, source, link.remotePeer, frame, 0, bytes);
        const limit = (df ? link.forwarder.maxPayloadBytes : 65_507) - link.overheadBytes - 14;
        assert.equal(reason, bytes <= limit ? DropReason.none : DropReason.exceedsDatagram);
        const lane = `${to} ${df}`;
        if (reason === DropReason.none) {
          expected.set(lane, [...(expected.get(lane) ?? []), frame]);
        }
        if (endOfBatch) sealer.sealAll();
      });
      sealer.sealAll();
      datagrams.flush();
      const arrived = new Map<string, Uint8Array[]>();
      const receivers = links.map((_, i) => linkTo(i, false, cipher, counters));
      for (const datagram of datagrams.sent) {
        const link = receivers[datagram.connId] as Link;
        const sender = links[datagram.connId] as Link;
        if (datagram.df) assert.ok(datagram.bytes.length <= sender.forwarder.maxPayloadBytes);
        const { bytes } = datagram;
        assert.equal(
          openDatagram(link, plainSecretbox, bytes, 0, bytes.length, 0),
          DropReason.none,
        );
        const lane = `${datagram.connId} ${datagram.df}`;
        splitRecords(bytes, link.headerBytes, bytes.length - link.overheadBytes, {
          handleRecord: (buffer, offset, count) => {
            const frame = buffer.slice(offset, offset + count);
            arrived.set(lane, [...(arrived.get(lane) ?? []), frame]);
          },
        });
      }
      assert.deepEqual([...arrived.keys()].sort(), [...expected.keys()].sort());
      for (const [lane, list] of expected) assert.deepEqual(arrived.get(lane), list);
    }),
    { numRuns: 40 },
  );
});

test('small frames of a batch share a datagram, and each class counts for itself', () => {
  const datagrams = new FakeDatagrams();
  const counters = new Counters();
  const sealer = new Sealer(
    { localPeer: LOCAL },
    { datagrams, secretbox: plainSecretbox, counters },
  );
  const link = linkTo(1, true, 'nacl', counters);
  settleMtu(link);
  const frame = new Uint8Array(100);
  for (let i = 0; i < 10; i++) {
    sealer.append(link, i % 2 === 0, LOCAL, link.remotePeer, frame, 0, 100);
  }
  sealer.sealAll();
  sealer.sealAll();
  datagrams.flush();
  assert.deepEqual(
    datagrams.sent.map(({ df, bytes }) => [df, bytes.length]),
    [
      [true, 30 + 5 * 114],
      [false, 30 + 5 * 114],
    ],
  );
  assert.equal(link.sequences.next(true), 1);
  assert.equal(link.sequences.next(false), 1);
  assert.equal(link.traffic.framesSent, 10);
  assert.equal(link.traffic.datagramsSent, 2);
});

test('discarding drops what waits for one link only', () => {
  const datagrams = new FakeDatagrams();
  const counters = new Counters();
  const sealer = new Sealer(
    { localPeer: LOCAL },
    { datagrams, secretbox: plainSecretbox, counters },
  );
  const [a, b] = [linkTo(1, true, 'none', counters), linkTo(2, true, 'none', counters)];
  const frame = new Uint8Array(100);
  for (const link of [a, b, a]) {
    sealer.append(link, true, LOCAL, link.remotePeer, frame, 0, 100);
    sealer.append(link, false, LOCAL, link.remotePeer, frame, 0, 100);
  }
  sealer.discard(a);
  sealer.sealAll();
  datagrams.flush();
  assert.deepEqual(
    datagrams.sent.map(({ connId }) => connId),
    [2, 2],
  );
});
