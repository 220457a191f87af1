/**
 * The overlay's life with one neighbour, without sockets: heartbeats, learning the neighbour's
 * address, the control messages and the path tests. The data plane feeds it what arrives and does
 * what `pollAction` says. Source: reference/wire-protocol.md 10.1, 10.6, 10.7, 9.4.
 *
 *   prepared ──confirm──▶ probing ──control 1──▶ established
 *                            └──── 60 s without a heartbeat ────┴──▶ failed
 *
 * Errors of sending other than "message too long" do not end the connection as they do in the
 * original: a neighbour that restarts answers with ECONNREFUSED for a moment, and a route may be
 * away for a second. The heartbeat alone decides.
 */
import { earliest, type Timeout } from '../core/clock.js';
import { TokenBucket } from '../core/rate-limit.js';
import type { DataCipher, OverlayAttributes } from '../mesh/overlay.js';
import { PathMtu } from './pmtu.js';
import { FRAGMENTATION_TEST_FRAME_BYTES, tunnelOverheadBytes } from './wire.js';

export const FAST_HEARTBEAT_MS = 500;
/**
 * Waits after the first heartbeats. The first one often arrives before the other end has admitted
 * the connection, and is dropped there; the original then takes half a second longer.
 */
const FIRST_HEARTBEAT_WAITS_MS = [40, 80, 160];
export const SLOW_HEARTBEAT_MS = 10_000;
export const HEARTBEAT_TIMEOUT_MS = 60_000;
export const FRAGMENTATION_TEST_INTERVAL_MS = 5 * 60_000;
/** Answers to path tests: a sweep of ours needs 24 at once, the original's search 8. */
const TEST_ANSWER_BURST = 64;
const TEST_ANSWER_REFILL_MS = 10;

export const ControlTag = {
  established: 1,
  fragmentationReceived: 2,
  mtuVerified: 3,
} as const;

export type ForwarderState = 'prepared' | 'probing' | 'established' | 'failed';

export type ForwarderAction =
  | { readonly type: 'send-heartbeat' }
  /** A datagram without records, see FollowedPath. */
  | { readonly type: 'send-empty' }
  /** A special frame of zeros. */
  | { readonly type: 'send-test'; readonly frameBytes: number; readonly df: boolean }
  | { readonly type: 'control'; readonly subTag: number; readonly data: Uint8Array }
  | { readonly type: 'established' }
  | { readonly type: 'attributes'; readonly attributes: OverlayAttributes }
  | { readonly type: 'failed'; readonly code: string; readonly reason: string };

export interface ForwarderOptions {
  /** The connection's identity that heartbeats must show. */
  readonly connectionUid: bigint;
  readonly cipher: DataCipher;
  /** IPv4 as a number, and port; 0 for the inbound end, which learns them. */
  readonly remoteIp: number;
  readonly remotePort: number;
}

export class Forwarder {
  readonly #uidHigh: number;
  readonly #uidLow: number;
  readonly #cipher: DataCipher;
  readonly #pmtu: PathMtu;
  #state: ForwarderState = 'prepared';
  #remoteIp: number;
  #remotePort: number;
  #heardHeartbeat = false;
  #stackFragmentationTrusted = false;
  #heartbeatAtMs: number | null = null;
  #failAtMs: number | null = null;
  #fragmentationTestAtMs: number | null = null;
  #heartbeatsSent = 0;
  /** Overlay MTU told last; 0 before. */
  #shownMtu = 0;
  #testAnswers: TokenBucket | null = null;
  /** Drained after every input, so BOUNDED by what one input yields. */
  readonly #actions: ForwarderAction[] = [];

  constructor(options: ForwarderOptions) {
    this.#uidHigh = Number(options.connectionUid >> 32n);
    this.#uidLow = Number(options.connectionUid & 0xffff_ffffn);
    this.#cipher = options.cipher;
    this.#remoteIp = options.remotePort === 0 ? 0 : options.remoteIp;
    this.#remotePort = options.remotePort;
    this.#pmtu = new PathMtu({ overheadBytes: tunnelOverheadBytes(options.cipher) });
  }

  get state(): ForwarderState {
    return this.#state;
  }

  /** 0 while unknown; nothing can be sent then. */
  get remoteIp(): number {
    return this.#remoteIp;
  }

  get remotePort(): number {
    return this.#remotePort;
  }

  get mtu(): number {
    return this.#pmtu.mtu;
  }

  get mtuKnown(): boolean {
    return this.#pmtu.known;
  }

  get maxPayloadBytes(): number {
    return this.#pmtu.maxPayloadBytes;
  }

  /** Large datagrams may be left to the IP stack to fragment; both ends have seen it work. */
  get stackFragmentationTrusted(): boolean {
    return this.#stackFragmentationTrusted;
  }

  get uidHigh(): number {
    return this.#uidHigh;
  }

  get uidLow(): number {
    return this.#uidLow;
  }

  /** The connection is part of the topology: heartbeats may start. */
  confirm(nowMs: number): void {
    if (this.#state !== 'prepared') return;
    this.#state = 'probing';
    this.#failAtMs = nowMs + HEARTBEAT_TIMEOUT_MS;
    this.#testAnswers = new TokenBucket(
      { capacity: TEST_ANSWER_BURST, refillMs: TEST_ANSWER_REFILL_MS },
      nowMs,
    );
    if (this.#remotePort !== 0) this.#sendHeartbeat(nowMs);
  }

  /** @returns false if it belongs to another connection. The address is that of the datagram. */
  handleHeartbeat(
    uidHigh: number,
    uidLow: number,
    sourceIp: number,
    sourcePort: number,
    nowMs: number,
  ): boolean {
    if (uidHigh !== this.#uidHigh || uidLow !== this.#uidLow) return false;
    if (!this.#isLive()) return true;
    if (this.#remoteIp !== sourceIp || this.#remotePort !== sourcePort) {
      const wasUnknown = this.#remotePort === 0;
      this.#remoteIp = sourceIp;
      this.#remotePort = sourcePort;
      if (wasUnknown) this.#sendHeartbeat(nowMs);
      else this.#pmtu.handlePathChange(nowMs);
    }
    if (!this.#heardHeartbeat) {
      this.#heardHeartbeat = true;
      this.#control(ControlTag.established, new Uint8Array(0));
    }
    this.#failAtMs = nowMs + HEARTBEAT_TIMEOUT_MS;
    this.#collect();
    return true;
  }

  /** @returns false if the peer sends more tests than are worth answering. */
  handleFragmentationTest(nowMs: number): boolean {
    if (!this.#isLive()) return true;
    if (this.#testAnswers?.tryTake(nowMs) !== true) return false;
    this.#control(ControlTag.fragmentationReceived, new Uint8Array(0));
    return true;
  }

  /** @param mtu length of the test frame without its Ethernet header, 1 to 65 521. */
  handleMtuTest(mtu: number, nowMs: number): boolean {
    // 0 would crash the search of an original router, so it is never sent.
    if (!this.#isLive() || mtu === 0) return true;
    if (this.#testAnswers?.tryTake(nowMs) !== true) return false;
    this.#control(ControlTag.mtuVerified, new Uint8Array([mtu >>> 8, mtu & 0xff]));
    return true;
  }

  /** A control message of the neighbour's overlay. Any content; the unknown is ignored. */
  handleControl(subTag: number, data: Uint8Array, nowMs: number): void {
    if (!this.#isLive()) return;
    if (subTag === ControlTag.established) this.#handleEstablished(nowMs);
    else if (subTag === ControlTag.fragmentationReceived) {
      if (this.#fragmentationTestAtMs !== null) this.#stackFragmentationTrusted = true;
    } else if (subTag === ControlTag.mtuVerified && data.length >= 2) {
      const mtu = ((data[0] as number) << 8) | (data[1] as number);
      if (mtu !== 0) this.#pmtu.handleVerified(mtu, nowMs);
    }
    this.#collect();
  }

  /** The system refused a DF datagram for its size. */
  handleTooBig(pathMtuBytes: number, nowMs: number): void {
    if (!this.#isLive()) return;
    this.#pmtu.handleTooBig(pathMtuBytes, nowMs);
    this.#collect();
  }

  /** Called for each large DF datagram; costs nothing. */
  noteLargeTraffic(): void {
    this.#pmtu.noteLargeTraffic();
  }

  nextTimeout(): Timeout | null {
    if (!this.#isLive()) return null;
    let next = this.#pmtu.nextTimeout();
    next = earliest(next, timeoutAt(this.#heartbeatAtMs, 'heartbeat'));
    next = earliest(next, timeoutAt(this.#fragmentationTestAtMs, 'fragmentation-test'));
    return earliest(next, timeoutAt(this.#failAtMs, 'heartbeat-timeout'));
  }

  handleTimeout(nowMs: number): void {
    if (!this.#isLive()) return;
    if (this.#failAtMs !== null && nowMs >= this.#failAtMs) {
      this.#state = 'failed';
      const seconds = HEARTBEAT_TIMEOUT_MS / 1000;
      this.#actions.push({
        type: 'failed',
        code: 'heartbeat-timeout',
        reason: `no UDP heartbeat from the peer for ${seconds} s`,
      });
      return;
    }
    if (this.#heartbeatAtMs !== null && nowMs >= this.#heartbeatAtMs) this.#sendHeartbeat(nowMs);
    if (this.#fragmentationTestAtMs !== null && nowMs >= this.#fragmentationTestAtMs) {
      this.#sendFragmentationTest(nowMs);
    }
    this.#pmtu.handleTimeout(nowMs);
    this.#collect();
  }

  pollAction(): ForwarderAction | null {
    return this.#actions.shift() ?? null;
  }

  #isLive(): boolean {
    return this.#state === 'probing' || this.#state === 'established';
  }

  /** The other end has heard us. */
  #handleEstablished(nowMs: number): void {
    if (this.#state === 'established') return;
    this.#state = 'established';
    this.#heartbeatAtMs = nowMs + SLOW_HEARTBEAT_MS;
    this.#actions.push({ type: 'established' });
    this.#sendFragmentationTest(nowMs);
    this.#pmtu.start(nowMs);
  }

  #sendHeartbeat(nowMs: number): void {
    this.#actions.push({ type: 'send-heartbeat' });
    const probingMs = FIRST_HEARTBEAT_WAITS_MS[this.#heartbeatsSent] ?? FAST_HEARTBEAT_MS;
    this.#heartbeatsSent += 1;
    this.#heartbeatAtMs = nowMs + (this.#state === 'established' ? SLOW_HEARTBEAT_MS : probingMs);
  }

  /** Trust is withdrawn until the answer comes, so that a path that lost fragments is noticed. */
  #sendFragmentationTest(nowMs: number): void {
    this.#stackFragmentationTrusted = false;
    this.#fragmentationTestAtMs = nowMs + FRAGMENTATION_TEST_INTERVAL_MS;
    this.#actions.push({
      type: 'send-test',
      frameBytes: FRAGMENTATION_TEST_FRAME_BYTES,
      df: false,
    });
  }

  #control(subTag: number, data: Uint8Array): void {
    this.#actions.push({ type: 'control', subTag, data });
  }

  /** Takes over what the MTU search has to say. */
  #collect(): void {
    for (let bytes = this.#pmtu.pollTest(); bytes !== 0; bytes = this.#pmtu.pollTest()) {
      this.#actions.push({ type: 'send-test', frameBytes: bytes, df: true });
    }
    const mtu = this.#pmtu.pollChange();
    if (mtu === 0) return;
    if (mtu < this.#shownMtu) {
      // The IP stack may still cut to the old size, which the path now swallows: ask anew, at once.
      this.#stackFragmentationTrusted = false;
      this.#fragmentationTestAtMs = 0;
    }
    this.#shownMtu = mtu;
    this.#actions.push({ type: 'attributes', attributes: attributesOf(this.#cipher, mtu) });
  }
}

/** What the original has stays as it is written there. */
function attributesOf(cipher: DataCipher, mtu: number): OverlayAttributes {
  if (cipher === 'none') return { mtu };
  return cipher === 'nacl' ? { encrypted: true, mtu } : { cipher, encrypted: true, mtu };
}

function timeoutAt(atMs: number | null, reason: string): Timeout | null {
  return atMs === null ? null : { atMs, reason };
}
