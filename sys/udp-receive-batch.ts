/**
 * Receives many datagrams by one system call into fixed slots. With UDP_GRO on the socket, one
 * slot may hold several datagrams of one sender, all of the same size but the last; the control
 * message tells that size. Source: recvmmsg(2), udp(7).
 *
 * Memory: the mmsghdr array (64 bytes each), then per slot an annex:
 *
 *   +0 iovec (16)   +16 sockaddr_in (16)   +32 control messages, space to 96
 */
import { Errno, errno, libc } from './libc.js';
import { Memory, SOCKADDR_IN_BYTES } from './memory.js';
import { MSG_DONTWAIT } from './socket.js';

const HEADER_BYTES = 64;
const ANNEX_BYTES = 96;
const CONTROL_SPACE = 64;
/** The largest message, joined datagrams included. */
export const SLOT_BYTES = 65536;
const SOL_UDP = 17;
const UDP_GRO = 104;
const MSG_TRUNC = 0x20;

/**
 * `buffer` may be changed by the handler: it is overwritten by the next receive. `sourceIp` is a
 * signed 32-bit number.
 */
export type DatagramHandler = (
  buffer: Uint8Array,
  offset: number,
  bytes: number,
  sourceIp: number,
  sourcePort: number,
) => void;

export class ReceiveBatch {
  readonly #fd: number;
  readonly #slots: number;
  readonly #memory: Memory;
  readonly #annexes: number;
  readonly #data: Memory;

  /** @param data where messages are received, `slots` × SLOT_BYTES. */
  constructor(fd: number, slots: number, data = new Memory(slots * SLOT_BYTES)) {
    this.#fd = fd;
    this.#slots = slots;
    this.#memory = new Memory(slots * (HEADER_BYTES + ANNEX_BYTES));
    this.#annexes = slots * HEADER_BYTES;
    this.#data = data;
    for (let slot = 0; slot < slots; slot++) this.#link(slot);
  }

  /** Where all datagrams lie; each stays untouched until the next `receive`. */
  get buffer(): Uint8Array {
    return this.#data.bytes;
  }

  /**
   * Receives what waits, at most as many messages as there are slots, and hands each datagram on.
   * @returns messages received: fewer than the slots means that the socket is drained; a negative
   * error number if the call failed, never −EAGAIN or −EINTR.
   */
  receive(onDatagram: DatagramHandler): number {
    const count = libc.recvmmsg(this.#fd, this.#memory.address, this.#slots, MSG_DONTWAIT, 0);
    if (count < 0) {
      const error = errno() || Errno.EAGAIN;
      return error === Errno.EAGAIN || error === Errno.EINTR ? 0 : -error;
    }
    for (let slot = 0; slot < count; slot++) this.#handOn(slot, onDatagram);
    return count;
  }

  #handOn(slot: number, onDatagram: DatagramHandler): void {
    const memory = this.#memory;
    const header = slot * HEADER_BYTES;
    const annex = this.#annexes + slot * ANNEX_BYTES;
    const bytes = memory.view.getUint32(header + 56, true);
    const segment = this.#segmentBytes(header, annex + 32, bytes);
    const flags = memory.getInt(header + 48);
    const sourcePort = memory.view.getUint16(annex + 18);
    const sourceIp = memory.view.getInt32(annex + 20);
    // The kernel shortened these fields to what it filled in.
    memory.setInt(header + 8, SOCKADDR_IN_BYTES);
    memory.setWord(header + 40, CONTROL_SPACE);
    memory.setInt(header + 48, 0);
    if ((flags & MSG_TRUNC) !== 0) return;
    const start = slot * SLOT_BYTES;
    const end = start + bytes;
    let at = start;
    // Once for an empty one, too: whoever counts what came counts it.
    do {
      onDatagram(this.#data.bytes, at, Math.min(segment, end - at), sourceIp, sourcePort);
      at += segment;
    } while (at < end);
  }

  #segmentBytes(header: number, control: number, bytes: number): number {
    const memory = this.#memory;
    if (memory.view.getUint32(header + 40, true) < 20) return bytes;
    if (memory.getInt(control + 8) !== SOL_UDP || memory.getInt(control + 12) !== UDP_GRO) {
      return bytes;
    }
    const segment = memory.getInt(control + 16);
    return segment > 0 ? segment : bytes;
  }

  #link(slot: number): void {
    const header = slot * HEADER_BYTES;
    const annex = this.#annexes + slot * ANNEX_BYTES;
    const memory = this.#memory;
    memory.setWord(annex, this.#data.address + slot * SLOT_BYTES);
    memory.setWord(annex + 8, SLOT_BYTES);
    memory.setWord(header, memory.address + annex + 16);
    memory.setInt(header + 8, SOCKADDR_IN_BYTES);
    memory.setWord(header + 16, memory.address + annex);
    memory.setWord(header + 24, 1);
    memory.setWord(header + 32, memory.address + annex + 32);
    memory.setWord(header + 40, CONTROL_SPACE);
  }
}
