/** The data plane's ports without a kernel behind them: bytes go nowhere, and nothing is made. */
import { BUILDER_BYTES } from '../../fastdp/outbound/seal.js';
import type { DatagramPort, SendFailure, TapPort } from '../../fastdp/ports.js';
import { Memory } from '../../sys/memory.js';

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

  commit(bytes: number, segmentBytes: number): void {
    this.lastOffset = this.#next;
    this.lastBytes = bytes;
    this.#next += bytes;
    this.committed += Math.ceil(bytes / segmentBytes);
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
/** Of IP packets, as on most underlays: a full frame fills a datagram. */
const PATH_MTU_BYTES = 1500;
const OUTER_HEADER_BYTES = 28;
const EMSGSIZE = 90;
const INBOX_BYTES = 4 * ARENA_BYTES;
const PORT_BYTES = ARENA_BYTES + BUILDER_BYTES + FRAME_BYTES + INBOX_BYTES;

/** Carries datagrams to another port's `deliver` by copying, without an object per datagram. */
export class WirePort implements DatagramPort {
  /** One for both ends, as copies within one memory make no view. */
  readonly #memory: Uint8Array;
  readonly arena: Uint8Array;
  readonly scratch: Uint8Array;
  /** Room for a captured frame, in one memory with the arena as in the real loop. */
  readonly capture: Uint8Array;
  onSendFailure: (failure: SendFailure) => void = () => {};
  readonly #inbox: Uint8Array;
  readonly #inboxBytes = new Int32Array(MAX_UNDER_WAY);
  #inboxCount = 0;
  #inboxEnd = 0;
  #other: WirePort | null = null;
  readonly #offsets = new Int32Array(MAX_UNDER_WAY);
  readonly #bytes = new Int32Array(MAX_UNDER_WAY);
  /** Connection of the datagram committed last: one at most is too large. */
  #connId = 0;
  #count = 0;
  #next = 0;

  private constructor(memory: Uint8Array, from: number) {
    let at = from;
    const take = (bytes: number): Uint8Array => {
      at += bytes;
      return memory.subarray(at - bytes, at);
    };
    this.#memory = memory;
    this.arena = take(ARENA_BYTES);
    this.scratch = take(BUILDER_BYTES);
    this.capture = take(FRAME_BYTES);
    this.#inbox = take(INBOX_BYTES);
  }

  /** Two ends of one wire. */
  static pair(): readonly [WirePort, WirePort] {
    const { bytes } = Memory.low(2 * PORT_BYTES);
    const [a, b] = [new WirePort(bytes, 0), new WirePort(bytes, PORT_BYTES)];
    a.#other = b;
    b.#other = a;
    return [a, b];
  }

  reserve(bytes: number): number {
    if (this.#next + bytes > ARENA_BYTES || this.#count === MAX_UNDER_WAY) this.flush();
    return this.#next;
  }

  commit(
    bytes: number,
    segmentBytes: number,
    _ip: number,
    _port: number,
    _sourceIp: number,
    _df: boolean,
    connId: number,
  ): void {
    this.#connId = connId;
    for (let at = 0; at < bytes; at += segmentBytes) {
      this.#offsets[this.#count] = this.#next + at;
      this.#bytes[this.#count] = Math.min(segmentBytes, bytes - at);
      this.#count++;
    }
    this.#next += bytes;
  }

  flush(): void {
    const other = this.#other;
    const count = this.#count;
    this.#count = 0;
    this.#next = 0;
    for (let i = 0; i < count && other !== null; i++) {
      const bytes = this.#bytes[i] as number;
      if (bytes + OUTER_HEADER_BYTES > PATH_MTU_BYTES) this.#refuse();
      else other.#take(this.arena, this.#offsets[i] as number, bytes);
    }
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

  #refuse(): void {
    const connId = this.#connId;
    this.onSendFailure({ connId, errno: EMSGSIZE, pathMtuBytes: PATH_MTU_BYTES });
  }

  /** What does not fit is lost, as on a real wire. */
  #take(from: Uint8Array, offset: number, bytes: number): void {
    if (this.#inboxCount === MAX_UNDER_WAY) return;
    if (this.#inboxEnd + bytes > this.#inbox.length) return;
    const start = from.byteOffset + offset - this.#memory.byteOffset;
    const to = this.#inbox.byteOffset + this.#inboxEnd - this.#memory.byteOffset;
    this.#memory.copyWithin(to, start, start + bytes);
    this.#inboxBytes[this.#inboxCount] = bytes;
    this.#inboxCount++;
    this.#inboxEnd += bytes;
  }
}
