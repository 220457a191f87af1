/**
 * What the threads of a router share about one link, 64 bytes: the primary thread, which leads the
 * life of the connection, writes what it knows of the path, the others read it once a round.
 *
 *   0   version u32, odd while the next five are being written
 *   4   address i32, port u32, MTU u32, payload u32, flags u32 (1 MTU known, 2 fragments trusted)
 *   24  u32: a follower sent datagrams large enough to be worth verifying the MTU
 *   32  i64: blocks of NaCl numbers taken, without and with DF
 */

const VERSION = 0;
const ADDRESS = 1;
const PORT = 2;
const MTU = 3;
const PAYLOAD = 4;
const FLAGS = 5;
const LARGE = 6;
const BLOCKS_OFFSET = 32;
const BOARD_BYTES = 64;
const MTU_KNOWN = 1;
const TRUSTED = 2;
/** A writer is done within microseconds; whoever meets it oftener tries again next round. */
const READ_TRIES = 3;

/** What the primary publishes. */
export interface PublishedPath {
  remoteIp: number;
  remotePort: number;
  mtu: number;
  maxPayloadBytes: number;
  mtuKnown: boolean;
  stackFragmentationTrusted: boolean;
}

export class LinkBoard {
  readonly #words: Int32Array;
  readonly #blocks: BigInt64Array;
  #seen = 0;

  /** @param buffer of the other threads' board. */
  constructor(buffer: SharedArrayBuffer) {
    this.#words = new Int32Array(buffer);
    this.#blocks = new BigInt64Array(buffer, BLOCKS_OFFSET, 2);
  }

  static createBuffer(): SharedArrayBuffer {
    return new SharedArrayBuffer(BOARD_BYTES);
  }

  /** For the primary alone. */
  publish(path: Readonly<PublishedPath>): void {
    const words = this.#words;
    const flags = (path.mtuKnown ? MTU_KNOWN : 0) | (path.stackFragmentationTrusted ? TRUSTED : 0);
    const version = words[VERSION] as number;
    Atomics.store(words, VERSION, version + 1);
    Atomics.store(words, ADDRESS, path.remoteIp);
    Atomics.store(words, PORT, path.remotePort);
    Atomics.store(words, MTU, path.mtu);
    Atomics.store(words, PAYLOAD, path.maxPayloadBytes);
    Atomics.store(words, FLAGS, flags);
    Atomics.store(words, VERSION, version + 2);
  }

  /** Brings the copy up to date if something was published since the last time. */
  read(into: PublishedPath): void {
    const words = this.#words;
    for (let i = 0; i < READ_TRIES; i++) {
      const version = Atomics.load(words, VERSION);
      if (version === this.#seen) return;
      const address = Atomics.load(words, ADDRESS);
      const port = Atomics.load(words, PORT);
      const mtu = Atomics.load(words, MTU);
      const payload = Atomics.load(words, PAYLOAD);
      const flags = Atomics.load(words, FLAGS);
      if ((version & 1) !== 0 || Atomics.load(words, VERSION) !== version) continue;
      this.#seen = version;
      into.remoteIp = address;
      into.remotePort = port;
      into.mtu = mtu;
      into.maxPayloadBytes = payload;
      into.mtuKnown = (flags & MTU_KNOWN) !== 0;
      into.stackFragmentationTrusted = (flags & TRUSTED) !== 0;
      return;
    }
  }

  noteLargeTraffic(): void {
    if (this.#words[LARGE] === 0) Atomics.store(this.#words, LARGE, 1);
  }

  /** @returns whether there was any since the last time. */
  takeLargeTraffic(): boolean {
    return Atomics.exchange(this.#words, LARGE, 0) !== 0;
  }

  /** @returns a number that no thread gets twice, from 0 on. */
  takeBlock(df: boolean): number {
    return Number(Atomics.add(this.#blocks, df ? 1 : 0, 1n));
  }
}
