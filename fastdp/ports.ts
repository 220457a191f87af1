/**
 * What the stages of the data plane need from outside: a place to build datagrams in and to send
 * them from, the TAP device, and the ciphers in place. io/ implements them over sys/; tests over
 * plain arrays. All are called on the one thread that owns the data plane and never block.
 */

/** Datagrams of one size that are queued together: UDP_MAX_SEGMENTS of older kernels. */
export const MAX_GROUP = 64;

/** Why a datagram was not sent; the numbers are Linux errnos, positive. */
export interface SendFailure {
  /** Connection whose datagram it was. */
  readonly connId: number;
  readonly errno: number;
  /** For EMSGSIZE (90): the system's path MTU to the destination in bytes of IP packet, else 0. */
  readonly pathMtuBytes: number;
}

export interface DatagramPort {
  /** Datagrams are built here; the same buffer for the port's whole life. */
  readonly arena: Uint8Array;
  /**
   * Room for datagrams in the making, in one memory with the arena so that copies cost least: 16
   * times 65 507 bytes. Without it the sealer takes memory of its own.
   */
  readonly scratch?: Uint8Array;
  /**
   * A free region of the arena, flushing first if there is none. It stays the caller's until
   * `commit` or the next `reserve`; several regions may not be open at once.
   * @param bytes at most 65 507. @returns offset of the region in the arena.
   */
  reserve(bytes: number): number;
  /**
   * Queues the first `bytes` bytes of the region reserved last: one datagram, or several of
   * `segmentBytes` each, of which the last may be smaller (at most MAX_GROUP).
   * @param destIp, sourceIp IPv4 as signed 32-bit numbers, which V8 hands on without making an
   *   object; sourceIp 0 lets the kernel choose.
   * @param df set the IP don't-fragment bit; otherwise the kernel may fragment.
   */
  commit(
    bytes: number,
    segmentBytes: number,
    destIp: number,
    destPort: number,
    sourceIp: number,
    df: boolean,
    connId: number,
  ): void;
  /** Hands everything queued to the kernel. Failures arrive at `onSendFailure`, during the call. */
  flush(): void;
  onSendFailure: (failure: SendFailure) => void;
}

export interface TapPort {
  /**
   * Gives one Ethernet frame (no FCS) to the bridge; copied or written before it returns.
   * @param mayBeOpen its checksum may be open, and the device sees to it (see open-checksum.ts).
   * @returns false if the kernel did not take it.
   */
  write(buffer: Uint8Array, offset: number, frameBytes: number, mayBeOpen: boolean): boolean;
}

export interface Secretbox {
  /** Seals in place: plaintext at `offset + 16`, the box (16 bytes longer) at `offset`. */
  seal(
    buffer: Uint8Array,
    offset: number,
    plaintextBytes: number,
    nonce: Uint8Array,
    key: Uint8Array,
  ): void;
  /** Opens in place: the plaintext is left at `offset + 16`. @returns false if forged. */
  open(
    buffer: Uint8Array,
    offset: number,
    boxBytes: number,
    nonce: Uint8Array,
    key: Uint8Array,
  ): boolean;
}

/** AES-256-GCM under one key, for one direction and epoch. Counts its nonces by itself. */
export interface AeadSealer {
  /**
   * Seals in place: plaintext at `offset + 8`; afterwards counter u64be, ciphertext and tag, 24
   * bytes longer, at `offset`. No counter comes twice, whatever else happens.
   */
  seal(buffer: Uint8Array, offset: number, plaintextBytes: number): void;
  /** Wipes the key. Sealing afterwards throws. */
  destroy(): void;
}

export interface AeadOpener {
  /**
   * Opens in place: counter, ciphertext and tag at `offset`; the plaintext is left at `offset + 8`.
   * @param bytes of all three. @returns false if forged; the text is wiped or unchanged then.
   */
  open(buffer: Uint8Array, offset: number, bytes: number): boolean;
  /** Wipes the key. Nothing opens afterwards. */
  destroy(): void;
}

/**
 * Nonce: salt (4) ‖ counter u64be. Authenticated besides the text: context (11) ‖ length of the
 * plaintext u16be. All arguments are copied.
 */
export interface AeadFactory {
  /** @param counterHigh upper half of the first counter, whose lower half is 0; 0 unless given. */
  makeSealer(
    key: Uint8Array,
    salt: Uint8Array,
    context: Uint8Array,
    counterHigh?: number,
  ): AeadSealer;
  makeOpener(key: Uint8Array, salt: Uint8Array, context: Uint8Array): AeadOpener;
}
