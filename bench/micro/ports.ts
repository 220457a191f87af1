/** The data plane's ports without a kernel behind them: bytes go nowhere, and nothing is made. */
import { BUILDER_BYTES } from '../../fastdp/outbound/seal.js';
import type { DatagramPort, SendFailure, TapPort } from '../../fastdp/ports.js';

const ARENA_BYTES = 512 * 1024;
const FRAME_BYTES = 1376 + 14;

/** Datagrams are overwritten by later ones; the last one's place and size can be asked for. */
export class SinkDatagrams implements DatagramPort {
  readonly arena = new Uint8Array(ARENA_BYTES);
  onSendFailure: (failure: SendFailure) => void = () => {};
  committed = 0;
  lastOffset = 0;
  lastBytes = 0;
  #next = 0;

  reserve(bytes: number): number {
    if (this.#next + bytes > ARENA_BYTES) this.#next = 0;
    return this.#next;
  }

  commit(bytes: number): void {
    this.lastOffset = this.#next;
    this.lastBytes = bytes;
    this.#next += bytes;
    this.committed++;
  }

  flush(): void {
    this.#next = 0;
  }
}

export class SinkTap implements TapPort {
  frames = 0;

  write(): boolean {
    this.frames++;
    return true;
  }
}

/** Datagrams that one end may have under way to the other. */
const MAX_UNDER_WAY = 1024;

/** Carries datagrams to another port's `deliver` by copying, without an object per datagram. */
export class WirePort implements DatagramPort {
  readonly #memory = new ArrayBuffer(ARENA_BYTES + BUILDER_BYTES + FRAME_BYTES);
  readonly arena = Buffer.from(this.#memory, 0, ARENA_BYTES);
  readonly scratch = new Uint8Array(this.#memory, ARENA_BYTES, BUILDER_BYTES);
  /** Room for a captured frame, in one memory with the arena as in the real loop. */
  readonly capture = new Uint8Array(this.#memory, ARENA_BYTES + BUILDER_BYTES, FRAME_BYTES);
  onSendFailure: (failure: SendFailure) => void = () => {};
  readonly #inbox = Buffer.alloc(4 * ARENA_BYTES);
  readonly #inboxBytes = new Int32Array(MAX_UNDER_WAY);
  #inboxCount = 0;
  #inboxEnd = 0;
  #other: WirePort | null = null;
  readonly #offsets = new Int32Array(MAX_UNDER_WAY);
  readonly #bytes = new Int32Array(MAX_UNDER_WAY);
  #count = 0;
  #next = 0;

  join(other: WirePort): void {
    this.#other = other;
    other.#other = this;
  }

  reserve(bytes: number): number {
    if (this.#next + bytes > ARENA_BYTES || this.#count === MAX_UNDER_WAY) this.flush();
    return this.#next;
  }

  commit(bytes: number): void {
    this.#offsets[this.#count] = this.#next;
    this.#bytes[this.#count] = bytes;
    this.#count++;
    this.#next += bytes;
  }

  flush(): void {
    const other = this.#other;
    for (let i = 0; i < this.#count && other !== null; i++) {
      other.#take(this.arena, this.#offsets[i] as number, this.#bytes[i] as number);
    }
    this.#count = 0;
    this.#next = 0;
  }

  /** Hands on what has arrived; the handler may change the bytes. @returns how many. */
  deliver(handle: (buffer: Uint8Array, offset: number, bytes: number) => void): number {
    const count = this.#inboxCount;
    let at = 0;
    for (let i = 0; i < count; i++) {
      const bytes = this.#inboxBytes[i] as number;
      handle(this.#inbox, at, bytes);
      at += bytes;
    }
    this.#inboxCount = 0;
    this.#inboxEnd = 0;
    return count;
  }

  /** What does not fit is lost, as on a real wire. */
  #take(from: Buffer, offset: number, bytes: number): void {
    if (this.#inboxCount === MAX_UNDER_WAY) return;
    if (this.#inboxEnd + bytes > this.#inbox.length) return;
    // Unlike `set` with a subarray, this makes no view.
    from.copy(this.#inbox, this.#inboxEnd, offset, offset + bytes);
    this.#inboxBytes[this.#inboxCount] = bytes;
    this.#inboxCount++;
    this.#inboxEnd += bytes;
  }
}
