/**
 * Which key of AES-256-GCM is in use when: one machine per direction, without messages between
 * them. The sender moves to the next epoch before a key reaches a limit; the receiver follows when
 * a datagram opens under the next key. The layout is drawn in wire.ts, the reasoning stands in
 * README.md.
 *
 *   sender     epoch e ──2^30 datagrams, 1 TiB or 30 min──▶ epoch e + 1
 *   receiver   previous · current · next
 *                 ▲──────────┴──◀──┘ a datagram opened under next
 *                 └─ gone after 60 s
 */

import { wipe } from '../core/bytes.js';
import type { Timeout } from '../core/clock.js';
import { DropReason } from './drop-reason.js';
import { type ChainOptions, KeyChain } from './key-chain.js';
import { laneMark } from './lane-mark.js';
import type { AeadFactory, AeadOpener, AeadSealer } from './ports.js';
import { SlidingWindow } from './sliding-window.js';
import { COUNTER_OFFSET, EPOCH_OFFSET, readU16, readU32, writeU16 } from './wire.js';

/** When the sender changes keys. */
export interface KeyLimits {
  /** Sealed under one key; at most 2^32. */
  readonly datagrams: number;
  /** Plaintext bytes sealed under one key. */
  readonly bytes: number;
  /** Every so often, unless a limit above was reached since the last time. */
  readonly intervalMs: number;
}

/**
 * 2^40 bytes are 2^36 cipher blocks, which keeps an attacker's advantage over an ideal cipher
 * about 2^-57, the margin that TLS 1.3 and QUIC ask for (RFC 8446 5.5, RFC 9001 B.1). 2^30
 * datagrams keep counters far inside 32 bits, and last 107 s at ten million a second: longer than
 * the 60 s after which a silent neighbour is given up, so that no receiver misses an epoch. A
 * round of 30 min that is left out after a change by count makes no key older than an hour.
 */
export const KEY_LIMITS: KeyLimits = {
  datagrams: 2 ** 30,
  bytes: 2 ** 40,
  intervalMs: 30 * 60_000,
};

/** How long datagrams that were overtaken by a change of keys are still opened. */
export const PREVIOUS_KEY_MS = 60_000;

export interface KeyScheduleModules {
  readonly aead: AeadFactory;
}

export interface SendKeysModules extends KeyScheduleModules {
  /** Called after each change, in the middle of sealing at times: it may only take note. */
  readonly onKeyChange?: () => void;
}

export class SendKeys {
  readonly #limits: KeyLimits;
  readonly #aead: AeadFactory;
  readonly #onKeyChange: () => void;
  readonly #chain: KeyChain;
  /** Upper half of every counter. */
  readonly #mark: number;
  #sealer: AeadSealer;
  #epoch = 0;
  #datagrams = 0;
  #bytes = 0;
  #rotateAtMs: number | null = null;
  #rotatedByCount = false;

  constructor(options: ChainOptions, limits: KeyLimits, modules: SendKeysModules) {
    this.#limits = limits;
    this.#aead = modules.aead;
    this.#onKeyChange = modules.onKeyChange ?? (() => {});
    this.#chain = new KeyChain(options);
    this.#mark = laneMark(options.lane ?? 0);
    this.#sealer = this.#makeSealer();
  }

  /** Of the datagram sealed last; the field in the datagram has its low 16 bits. */
  get epoch(): number {
    return this.#epoch;
  }

  /** Datagrams will be sent from now on. */
  start(nowMs: number): void {
    this.#rotateAtMs = nowMs + this.#limits.intervalMs;
  }

  /**
   * Seals a datagram in place, with epoch, counter and tag.
   * @param offset of the datagram, whose sender name and plaintext are in place.
   * @param plaintextBytes at most 65 475.
   */
  seal(buffer: Uint8Array, offset: number, plaintextBytes: number): void {
    const limits = this.#limits;
    if (this.#datagrams >= limits.datagrams || this.#bytes >= limits.bytes) {
      this.#rotate();
      this.#rotatedByCount = true;
    }
    this.#datagrams += 1;
    this.#bytes += plaintextBytes;
    writeU16(buffer, offset + EPOCH_OFFSET, this.#epoch & 0xffff);
    this.#sealer.seal(buffer, offset + COUNTER_OFFSET, plaintextBytes);
  }

  nextTimeout(): Timeout | null {
    const atMs = this.#rotateAtMs;
    return atMs === null ? null : { atMs, reason: 'rekey' };
  }

  handleTimeout(nowMs: number): void {
    if (this.#rotateAtMs === null || nowMs < this.#rotateAtMs) return;
    this.#rotateAtMs = nowMs + this.#limits.intervalMs;
    // Two changes in quick succession could leave a receiver behind that lost all in between, and
    // a key without use needs no change.
    if (!this.#rotatedByCount && this.#datagrams > 0) this.#rotate();
    this.#rotatedByCount = false;
  }

  /** Nothing may be sealed afterwards. */
  destroy(): void {
    this.#sealer.destroy();
    this.#chain.wipe();
    this.#rotateAtMs = null;
  }

  #rotate(): void {
    const old = this.#sealer;
    this.#sealer = this.#makeSealer();
    old.destroy();
    this.#onKeyChange();
  }

  #makeSealer(): AeadSealer {
    const { epoch, key, salt, context } = this.#chain.next();
    const sealer = this.#aead.makeSealer(key, salt, context, this.#mark);
    wipe(key);
    wipe(salt);
    this.#epoch = epoch;
    this.#datagrams = 0;
    this.#bytes = 0;
    return sealer;
  }
}

/** What a receiver has for one epoch. */
interface ReceiveEpoch {
  readonly epoch: number;
  /** As in the datagram. */
  readonly field: number;
  readonly opener: AeadOpener;
  readonly window: SlidingWindow;
}

export class ReceiveKeys {
  readonly #aead: AeadFactory;
  readonly #chain: KeyChain;
  #previous: ReceiveEpoch | null = null;
  #previousUntilMs = 0;
  #current: ReceiveEpoch;
  /** Made ahead, so that a forged epoch costs no derivation. */
  #next: ReceiveEpoch;

  constructor(options: ChainOptions, modules: KeyScheduleModules) {
    this.#aead = modules.aead;
    this.#chain = new KeyChain(options);
    this.#current = this.#makeEpoch();
    this.#next = this.#makeEpoch();
  }

  /** The newest one that a genuine datagram came under; 0 before the first. */
  get epoch(): number {
    return this.#current.epoch;
  }

  /**
   * Opens a datagram of this lane in place: the caller has looked at the counter's upper half.
   * @param bytes of the whole datagram, at least header and trailer.
   * @returns `none`, `epochUnknown`, `replayed` or `forged`; nothing changes unless `none`.
   */
  open(buffer: Uint8Array, offset: number, bytes: number, nowMs: number): DropReason {
    const field = readU16(buffer, offset + EPOCH_OFFSET);
    const epoch = this.#find(field, nowMs);
    if (epoch === null) return DropReason.epochUnknown;
    const counter = readU32(buffer, offset + COUNTER_OFFSET + 4);
    if (!epoch.window.isFresh(counter)) return DropReason.replayed;
    if (!epoch.opener.open(buffer, offset + COUNTER_OFFSET, bytes - COUNTER_OFFSET)) {
      return DropReason.forged;
    }
    epoch.window.note(counter);
    if (epoch === this.#next) this.#advance(nowMs);
    return DropReason.none;
  }

  nextTimeout(): Timeout | null {
    if (this.#previous === null) return null;
    return { atMs: this.#previousUntilMs, reason: 'previous-key' };
  }

  handleTimeout(nowMs: number): void {
    if (nowMs >= this.#previousUntilMs) this.#dropPrevious();
  }

  /** Nothing may be opened afterwards. */
  destroy(): void {
    this.#dropPrevious();
    this.#current.opener.destroy();
    this.#next.opener.destroy();
    this.#chain.wipe();
  }

  #find(field: number, nowMs: number): ReceiveEpoch | null {
    if (field === this.#current.field) return this.#current;
    if (field === this.#next.field) return this.#next;
    const previous = this.#previous;
    if (previous === null || field !== previous.field) return null;
    return nowMs < this.#previousUntilMs ? previous : null;
  }

  #advance(nowMs: number): void {
    this.#dropPrevious();
    this.#previous = this.#current;
    this.#previousUntilMs = nowMs + PREVIOUS_KEY_MS;
    this.#current = this.#next;
    this.#next = this.#makeEpoch();
  }

  #dropPrevious(): void {
    this.#previous?.opener.destroy();
    this.#previous = null;
  }

  #makeEpoch(): ReceiveEpoch {
    const { epoch, key, salt, context } = this.#chain.next();
    const opener = this.#aead.makeOpener(key, salt, context);
    wipe(key);
    wipe(salt);
    return { epoch, field: epoch & 0xffff, opener, window: new SlidingWindow() };
  }
}
