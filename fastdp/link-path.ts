/**
 * What the stages and the data plane ask of the life with a neighbour. The primary thread has the
 * forwarder that decides it; the other threads of a router follow what that published.
 */
import type { Timeout } from '../core/clock.js';
import { type Forwarder, type ForwarderAction, SLOW_HEARTBEAT_MS } from './forwarder.js';
import type { LinkBoard, PublishedPath } from './link-board.js';

export type LinkPath = Pick<Forwarder, keyof Forwarder>;

/** Tells the primary that the system refused a datagram for its size. */
export type TooBigSink = (pathMtuBytes: number) => void;

/**
 * The path as a follower knows it. Whatever moves a connection along is handed to the primary
 * before it gets here; what gets here nevertheless is refused.
 */
export class FollowedPath implements LinkPath {
  readonly uidHigh = 0;
  readonly uidLow = 0;
  readonly #board: LinkBoard;
  readonly #onTooBig: TooBigSink;
  readonly #path: PublishedPath = {
    remoteIp: 0,
    remotePort: 0,
    mtu: 0,
    maxPayloadBytes: 0,
    mtuKnown: false,
    stackFragmentationTrusted: false,
  };
  #confirmed = false;
  readonly #hasLane: boolean;
  #emptyAtMs: number | null = null;
  #emptyWaits = false;

  /**
   * @param hasLane this thread seals in a lane of its own. Should all datagrams of a whole epoch be
   *   lost, the receiver could not follow, and a lane may carry few: so each says every ten seconds
   *   by an empty datagram which key it has come to, as heartbeats do in lane 0.
   */
  constructor(board: LinkBoard, hasLane: boolean, onTooBig: TooBigSink) {
    this.#board = board;
    this.#hasLane = hasLane;
    this.#onTooBig = onTooBig;
  }

  get state(): 'prepared' | 'established' {
    return this.#confirmed ? 'established' : 'prepared';
  }

  get remoteIp(): number {
    return this.#path.remoteIp;
  }

  /** 0 until the primary knows it; nothing is sent then. */
  get remotePort(): number {
    return this.#path.remotePort;
  }

  get mtu(): number {
    return this.#path.mtu;
  }

  get mtuKnown(): boolean {
    return this.#path.mtuKnown;
  }

  get maxPayloadBytes(): number {
    return this.#path.maxPayloadBytes;
  }

  get stackFragmentationTrusted(): boolean {
    return this.#path.stackFragmentationTrusted;
  }

  /** To be called once a round. */
  refresh(): void {
    this.#board.read(this.#path);
  }

  confirm(nowMs: number): void {
    this.#confirmed = true;
    if (this.#hasLane) this.#emptyAtMs = nowMs + SLOW_HEARTBEAT_MS;
    this.refresh();
  }

  noteLargeTraffic(): void {
    this.#board.noteLargeTraffic();
  }

  handleTooBig(pathMtuBytes: number): void {
    this.#onTooBig(pathMtuBytes);
  }

  handleControl(): void {}

  /** Heartbeats and tests travel in lane 0 alone, which the primary receives. */
  handleHeartbeat(): boolean {
    return false;
  }

  handleFragmentationTest(): boolean {
    return false;
  }

  handleMtuTest(): boolean {
    return false;
  }

  nextTimeout(): Timeout | null {
    return this.#emptyAtMs === null ? null : { atMs: this.#emptyAtMs, reason: 'lane' };
  }

  handleTimeout(nowMs: number): void {
    if (this.#emptyAtMs === null || nowMs < this.#emptyAtMs) return;
    this.#emptyAtMs = nowMs + SLOW_HEARTBEAT_MS;
    this.#emptyWaits = this.remotePort !== 0;
  }

  pollAction(): ForwarderAction | null {
    if (!this.#emptyWaits) return null;
    this.#emptyWaits = false;
    return { type: 'send-empty' };
  }
}
