/**
 * One TCP socket of a session: writes in slices so that progress shows, tells when it is blocked,
 * gives up on peers that do not read, and closes in order so that the last words arrive.
 */
import type { Socket } from 'node:net';
import { WeaveError } from '../../core/errors.js';

/** Bytes handed to the socket at once. Small enough that a slow peer shows progress in time. */
const SLICE_BYTES = 64 * 1024;
/** Bytes that may wait for a peer: the largest message and what is sent regardless of blocking. */
export const MAX_PENDING_BYTES = 32 * 1024 * 1024;
/** A blocked socket that took nothing for this long is closed. */
export const WRITE_STALL_MS = 60_000;
/** How long an orderly close may take before the socket is torn down. */
export const CLOSE_GRACE_MS = 5_000;

export interface TcpSessionEvents {
  readonly onBytes: (chunk: Uint8Array) => void;
  /** The socket took everything that was waiting. */
  readonly onWritable: () => void;
  /** Once, whoever ended it; null: the peer closed in order, or we did. */
  readonly onClosed: (error: Error | null) => void;
}

export interface TcpSessionOptions {
  readonly socket: Socket;
  readonly remoteAddr: string;
  /** WRITE_STALL_MS but for tests. */
  readonly stallMs: number;
}

export class TcpSession {
  readonly #socket: Socket;
  readonly #options: TcpSessionOptions;
  readonly #events: TcpSessionEvents;
  /** Not yet handed to the socket. BOUNDED by MAX_PENDING_BYTES. */
  readonly #queue: Uint8Array[] = [];
  #queuedBytes = 0;
  #socketFull = false;
  #stallTimer: NodeJS.Timeout | null = null;
  #closeTimer: NodeJS.Timeout | null = null;
  #closing = false;
  #closed = false;
  #error: Error | null = null;

  constructor(options: TcpSessionOptions, events: TcpSessionEvents) {
    this.#socket = options.socket;
    this.#options = options;
    this.#events = events;
    this.#socket.on('data', (chunk: Uint8Array) => {
      if (!this.#closing) this.#events.onBytes(chunk);
    });
    this.#socket.on('drain', () => this.#handleDrain());
    this.#socket.on('error', (error) => {
      this.#error ??= error;
    });
    this.#socket.on('close', () => this.#finish());
  }

  /** Something waits: gossip had better stay merged where it is. */
  get blocked(): boolean {
    return this.#socketFull || this.#queue.length > 0;
  }

  /** Takes ownership of the bytes. */
  write(bytes: Uint8Array): void {
    if (this.#closing || this.#closed) return;
    for (let at = 0; at < bytes.length; at += SLICE_BYTES) {
      this.#queue.push(bytes.subarray(at, at + SLICE_BYTES));
    }
    this.#queuedBytes += bytes.length;
    this.#fill();
    if (this.#queuedBytes > MAX_PENDING_BYTES) {
      this.#fail(
        'write-queue-full',
        `peer ${this.#options.remoteAddr} reads too slowly: ${this.#queuedBytes} bytes wait for it`,
      );
    }
  }

  /** @param graceful send what waits, then end; otherwise the peer sees a reset. */
  close(graceful: boolean): void {
    if (this.#closing || this.#closed) return;
    this.#closing = true;
    if (!graceful) {
      this.#socket.resetAndDestroy();
      return;
    }
    // What still arrives must be read away: unread bytes would turn the close into a reset.
    this.#socket.resume();
    this.#closeTimer = setTimeout(() => this.#socket.destroy(), CLOSE_GRACE_MS);
    this.#fill();
    if (this.#queue.length === 0) this.#socket.end();
  }

  #handleDrain(): void {
    this.#socketFull = false;
    this.#setStallTimer();
    this.#fill();
    if (this.#closing) {
      if (this.#queue.length === 0) this.#socket.end();
    } else if (!this.blocked) this.#events.onWritable();
  }

  #fill(): void {
    while (!this.#socketFull && !this.#socket.destroyed) {
      const slice = this.#queue.shift();
      if (slice === undefined) break;
      this.#queuedBytes -= slice.length;
      this.#socketFull = !this.#socket.write(slice);
    }
    if (this.#stallTimer === null) this.#setStallTimer();
  }

  /** Runs only while the socket is full; every drain starts it anew. */
  #setStallTimer(): void {
    if (this.#stallTimer !== null) clearTimeout(this.#stallTimer);
    this.#stallTimer = null;
    if (!this.#socketFull) return;
    this.#stallTimer = setTimeout(() => {
      const seconds = this.#options.stallMs / 1000;
      this.#fail(
        'write-stalled',
        `peer ${this.#options.remoteAddr} has read nothing for ${seconds} s`,
      );
    }, this.#options.stallMs);
  }

  #fail(code: string, text: string): void {
    this.#error ??= new WeaveError(code, text);
    this.#queue.length = 0;
    this.#socket.destroy();
  }

  #finish(): void {
    if (this.#closed) return;
    this.#closed = true;
    if (this.#stallTimer !== null) clearTimeout(this.#stallTimer);
    if (this.#closeTimer !== null) clearTimeout(this.#closeTimer);
    this.#queue.length = 0;
    this.#events.onClosed(this.#closing ? null : this.#error);
  }
}
