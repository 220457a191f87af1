/**
 * What the stages need of one neighbour at hand for every datagram: keys, counters, replay
 * windows. The decisions about the connection's life are the forwarder's.
 * Source: reference/wire-protocol.md 10.4.
 */
import { wipe } from '../core/bytes.js';
import { parseIpv4 } from '../core/ip.js';
import { NONCE_BYTES } from '../core/nacl.js';
import type { PeerName } from '../core/peer-name.js';
import type { OverlayPeering } from '../mesh/overlay.js';
import type { Traffic } from './counters.js';
import { Forwarder } from './forwarder.js';
import { ReplayWindow } from './replay-window.js';
import { PLAIN_OVERHEAD_BYTES, SEALED_OVERHEAD_BYTES } from './wire.js';

/** Where the sequence field lies in a nonce, as it lies in the datagram. */
export const NONCE_SEQUENCE_OFFSET = 16;

export class Link {
  readonly connId: number;
  readonly remotePeer: PeerName;
  /** Address DF datagrams must leave from; used for all, as a multihomed peer expects it. */
  readonly sourceIp: number;
  /** A copy of our own; zeros after `close`. Null: in the clear. */
  readonly key: Uint8Array | null;
  /** Bytes a datagram has besides its records. */
  readonly overheadBytes: number;
  readonly forwarder: Forwarder;
  readonly traffic: Traffic;
  /** Byte 0 says whose end seals; bytes 16 to 23 are the sequence field of the datagram. */
  readonly sendNonce = new Uint8Array(NONCE_BYTES);
  readonly receiveNonce = new Uint8Array(NONCE_BYTES);
  readonly replayDf = new ReplayWindow();
  readonly replayNonDf = new ReplayWindow();
  /** Next numbers. At ten million datagrams a second 2^53 lasts 28 years. */
  nextSequenceDf = 0;
  nextSequenceNonDf = 0;
  /** The stages may use it: confirmed, neither failed nor stopped. */
  active = false;

  /** @throws {DecodeError} `ip-invalid` for addresses that are not IPv4. */
  constructor(peering: OverlayPeering, traffic: Traffic) {
    this.connId = peering.connId;
    this.remotePeer = peering.remotePeer;
    this.sourceIp = parseIpv4(peering.localIp);
    this.key = peering.sessionKey === null ? null : new Uint8Array(peering.sessionKey);
    this.overheadBytes = this.key === null ? PLAIN_OVERHEAD_BYTES : SEALED_OVERHEAD_BYTES;
    this.traffic = traffic;
    this.sendNonce[0] = peering.outbound ? 0x80 : 0;
    this.receiveNonce[0] = peering.outbound ? 0 : 0x80;
    this.forwarder = new Forwarder({
      connectionUid: peering.connectionUid,
      encrypted: this.key !== null,
      remoteIp: parseIpv4(peering.remoteIp),
      remotePort: peering.remotePort ?? 0,
    });
  }

  /** Wipes the key. The link can neither send nor receive afterwards. */
  close(): void {
    this.active = false;
    if (this.key !== null) wipe(this.key);
  }
}
