/**
 * Heartbeats and read deadlines of one session. A heartbeat goes out every 30 s whatever else is
 * sent; the other end counts as dead if no complete message came for 60 s. Unlike the original we
 * let a large message on a slow link take longer, as long as bytes keep coming.
 * Source: reference/wire-protocol.md 3.2, 3.9, 14 C19.
 */
import { earliest, type Timeout } from '../../core/clock.js';

export const HEADER_TIMEOUT_MS = 10_000;
/** The rest of the introduction, and later each message. */
export const READ_TIMEOUT_MS = 60_000;
export const HEARTBEAT_INTERVAL_MS = 30_000;
/** However steadily bytes trickle in, one message may not take longer than this. */
export const SLOW_MESSAGE_TIMEOUT_MS = 600_000;

export class Keepalive {
  #readDeadlineMs = Number.POSITIVE_INFINITY;
  #heartbeatAtMs = Number.POSITIVE_INFINITY;
  /** When the message now arriving could have begun. */
  #messageSinceMs = 0;
  #running = false;

  /** The introduction began: the header must come within 10 s. */
  handleStarted(nowMs: number): void {
    this.#readDeadlineMs = nowMs + HEADER_TIMEOUT_MS;
  }

  /** One deadline covers everything up to admission, progress or not. */
  handleHeader(nowMs: number): void {
    this.#readDeadlineMs = nowMs + READ_TIMEOUT_MS;
  }

  handleAdmitted(nowMs: number): void {
    this.#running = true;
    this.#heartbeatAtMs = nowMs + HEARTBEAT_INTERVAL_MS;
    this.handleMessage(nowMs);
  }

  /** A complete message arrived. */
  handleMessage(nowMs: number): void {
    this.#messageSinceMs = nowMs;
    this.#readDeadlineMs = nowMs + READ_TIMEOUT_MS;
  }

  /** Some bytes arrived. */
  handleProgress(nowMs: number): void {
    if (!this.#running) return;
    const latestMs = this.#messageSinceMs + SLOW_MESSAGE_TIMEOUT_MS;
    this.#readDeadlineMs = Math.min(nowMs + READ_TIMEOUT_MS, latestMs);
  }

  isReadOverdue(nowMs: number): boolean {
    return nowMs >= this.#readDeadlineMs;
  }

  /** @returns true if a heartbeat must be sent now; the next one is 30 s away then. */
  takeHeartbeat(nowMs: number): boolean {
    if (nowMs < this.#heartbeatAtMs) return false;
    // After a long pause of the process one heartbeat is enough.
    this.#heartbeatAtMs = Math.max(
      this.#heartbeatAtMs + HEARTBEAT_INTERVAL_MS,
      nowMs + HEARTBEAT_INTERVAL_MS / 2,
    );
    return true;
  }

  nextTimeout(): Timeout | null {
    return earliest(
      wakeUp(this.#readDeadlineMs, 'read deadline'),
      wakeUp(this.#heartbeatAtMs, 'heartbeat'),
    );
  }
}

function wakeUp(atMs: number, reason: string): Timeout | null {
  return atMs === Number.POSITIVE_INFINITY ? null : { atMs, reason };
}
