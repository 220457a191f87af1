/**
 * What the stages need of one neighbour at hand for every datagram: keys, counters, replay
 * windows. The decisions about the connection's life are the forwarder's.
 * Source: reference/wire-protocol.md 10.4.
 */
import { strict as assert } from 'node:assert';
import { wipe } from '../core/bytes.js';
import { earliest, type Timeout } from '../core/clock.js';
import { parseIpv4 } from '../core/ip.js';
import { NONCE_BYTES } from '../core/nacl-sizes.js';
import type { PeerName } from '../core/peer-name.js';
import type { OverlayPeering } from '../mesh/overlay.js';
import type { Traffic } from './counters.js';
import { Forwarder, type ForwarderOptions } from './forwarder.js';
import type { ChainOptions } from './key-chain.js';
import { KEY_LIMITS, type KeyLimits, SendKeys } from './key-schedule.js';
import { ReceiveLanes } from './lanes.js';
import { LinkBoard } from './link-board.js';
import { FollowedPath, type LinkPath } from './link-path.js';
import type { AeadFactory } from './ports.js';
import { primaryOf, type Queue } from './queue.js';
import { ReplayWindow } from './replay-window.js';
import { OwnSequences, type Sequences, SharedSequences } from './sequences.js';
import { DATAGRAM_LAYOUTS } from './wire.js';

/** Where the sequence field lies in a nonce, as it lies in the datagram. */
export const NONCE_SEQUENCE_OFFSET = 16;

export interface LinkModules {
  readonly traffic: Traffic;
  readonly aead: AeadFactory;
  /** The keys that we seal with have changed. */
  readonly onKeyChange?: () => void;
  /** Null with one thread, as is the board then. */
  readonly queue?: Queue | null;
  /** What the threads share about this link: memory made by `LinkBoard.createBuffer`. */
  readonly board?: SharedArrayBuffer | null;
}

export class Link {
  readonly connId: number;
  readonly remotePeer: PeerName;
  /** Address that all datagrams leave from, as a multihomed peer expects it; signed. */
  readonly sourceIp: number;
  readonly encrypted: boolean;
  /** Frames may cross with open checksums, both ways. */
  readonly openChecksums: boolean;
  /** NaCl: a copy of the session key of our own, zeros after `close`. Else null. */
  readonly key: Uint8Array | null;
  /** AES-256-GCM; else null. Null also if `sealedElsewhere`. */
  readonly sendKeys: SendKeys | null;
  readonly receiveKeys: ReceiveLanes | null;
  /** Bytes a datagram has before its records, and in all besides them. */
  readonly headerBytes: number;
  readonly overheadBytes: number;
  /** Only the primary thread can seal for this neighbour, which keeps no threads apart. */
  readonly sealedElsewhere: boolean;
  readonly forwarder: LinkPath;
  readonly traffic: Traffic;
  /** NaCl: byte 0 says whose end seals; bytes 16 to 23 are the sequence field of the datagram. */
  readonly sendNonce = new Uint8Array(NONCE_BYTES);
  readonly receiveNonce = new Uint8Array(NONCE_BYTES);
  readonly replayDf = new ReplayWindow();
  readonly replayNonDf = new ReplayWindow();
  readonly sequences: Sequences;
  readonly #board: LinkBoard | null;
  /** The stages may use it: confirmed, neither failed nor stopped. */
  active = false;

  /** @throws {DecodeError} `ip-invalid` for addresses that are not IPv4. */
  constructor(peering: OverlayPeering, modules: LinkModules, limits: KeyLimits = KEY_LIMITS) {
    const { cipher, sessionKey, outbound } = peering;
    this.connId = peering.connId;
    this.remotePeer = peering.remotePeer;
    this.sourceIp = parseIpv4(peering.localIp) | 0;
    const remoteIp = parseIpv4(peering.remoteIp) | 0;
    const { headerBytes, trailerBytes } = DATAGRAM_LAYOUTS[cipher];
    this.headerBytes = headerBytes;
    this.overheadBytes = headerBytes + trailerBytes;
    assert((cipher === 'none') === (sessionKey === null), 'a key goes with every cipher but none');
    this.encrypted = cipher !== 'none';
    this.key = cipher === 'nacl' ? new Uint8Array(sessionKey as Uint8Array) : null;
    this.traffic = modules.traffic;
    this.sendNonce[0] = outbound ? 0x80 : 0;
    this.receiveNonce[0] = outbound ? 0 : 0x80;
    const { queue = null, board = null } = modules;
    this.#board = board === null ? null : new LinkBoard(board);
    this.sequences = this.#board === null ? new OwnSequences() : new SharedSequences(this.#board);
    const { connectionUid, remotePort } = peering;
    const path = { connectionUid, cipher, remoteIp, remotePort: remotePort ?? 0 };
    this.openChecksums = cipher === 'aes-256-gcm' || peering.openChecksums === true;
    const usesGcm = cipher === 'aes-256-gcm';
    const lane = queue?.index ?? 0;
    this.sealedElsewhere = usesGcm && lane >= (peering.lanes ?? 1);
    this.forwarder = this.#makePath(path, queue, usesGcm && !this.sealedElsewhere);
    this.sendKeys =
      usesGcm && !this.sealedElsewhere
        ? new SendKeys({ ...chainOf(peering, true), lane }, limits, modules)
        : null;
    const share = queue ?? undefined;
    this.receiveKeys = usesGcm ? new ReceiveLanes(chainOf(peering, false), modules, share) : null;
  }

  #makePath(options: ForwarderOptions, queue: Queue | null, hasLane: boolean): LinkPath {
    const primary = primaryOf(queue);
    if (primary === null || this.#board === null) return new Forwarder(options);
    const onTooBig = (mtu: number): void => void primary.tooBig(this.connId, mtu);
    return new FollowedPath(this.#board, hasLane, onTooBig);
  }

  /** Several threads: tells the followers what the forwarder knows. */
  publish(): void {
    this.#board?.publish(this.forwarder);
  }

  /** Several threads: to be called once a round. */
  refresh(nowMs: number): void {
    if (this.forwarder instanceof FollowedPath) this.forwarder.refresh();
    if (this.sequences instanceof SharedSequences) this.sequences.refresh(nowMs);
  }

  /** Heartbeats may start. */
  confirm(nowMs: number): void {
    this.active = true;
    this.sendKeys?.start(nowMs);
    this.forwarder.confirm(nowMs);
  }

  nextTimeout(): Timeout | null {
    const next = this.forwarder.nextTimeout();
    if (this.sendKeys === null || !this.active) return next;
    const rekey = this.sendKeys.nextTimeout();
    return earliest(earliest(next, rekey), this.receiveKeys?.nextTimeout() ?? null);
  }

  handleTimeout(nowMs: number): void {
    if (this.#board !== null && this.forwarder instanceof Forwarder) {
      if (this.#board.takeLargeTraffic()) this.forwarder.noteLargeTraffic();
    }
    this.forwarder.handleTimeout(nowMs);
    this.sendKeys?.handleTimeout(nowMs);
    this.receiveKeys?.handleTimeout(nowMs);
  }

  /** Wipes the keys. The link can neither send nor receive afterwards. */
  close(): void {
    this.active = false;
    if (this.key !== null) wipe(this.key);
    this.sendKeys?.destroy();
    this.receiveKeys?.destroy();
  }
}

/** Where the keys of one direction come from. */
function chainOf(peering: OverlayPeering, sending: boolean): ChainOptions {
  const { localPeer, remotePeer, connectionUid } = peering;
  return {
    sessionKey: peering.sessionKey as Uint8Array,
    connectionUid,
    sender: sending ? localPeer : remotePeer,
    receiver: sending ? remotePeer : localPeer,
  };
}
