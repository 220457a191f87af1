/**
 * Sends many datagrams by few system calls. Datagrams of one destination and size that follow one
 * another in memory travel as one message that the kernel cuts again (UDP_SEGMENT): the bytes on
 * the wire are the same. Source: sendmmsg(2), udp(7), ip(7) IP_PKTINFO.
 *
 * Memory: the mmsghdr array (64 bytes each), then per message an annex:
 *
 *   +0 iovec (16)   +16 sockaddr_in (16)   +32 control messages (56), space to 96
 *                                          IP_PKTINFO (32) if a source is given, then
 *                                          UDP_SEGMENT (24) if it holds several datagrams
 */
import { Errno, errno, libc } from './libc.js';
import { Memory, SOCKADDR_IN_BYTES } from './memory.js';
import { POLLOUT, PollSet } from './poll.js';
import { RefusedGroups } from './refused-groups.js';
import { MSG_DONTWAIT, MSG_NOSIGNAL } from './socket.js';

const HEADER_BYTES = 64;
const ANNEX_BYTES = 96;
const SEND_FLAGS = MSG_DONTWAIT | MSG_NOSIGNAL;
const PKTINFO_SPACE = 32;
const SEGMENT_SPACE = 24;
const IPPROTO_IP = 0;
const IP_PKTINFO = 8;
const SOL_UDP = 17;
const UDP_SEGMENT = 103;
/** UDP_MAX_SEGMENTS of older kernels; newer ones take 128. */
const MAX_SEGMENTS = 64;
const MAX_MESSAGE_BYTES = 65507;
/** A full socket buffer drains at the speed of the link; longer than this it is broken. */
const BUFFER_WAIT_MS = 20;

/** Told of each datagram the kernel refused. `tag` is the caller's, from `add`. */
export type SendFailureHandler = (
  tag: number,
  errorNumber: number,
  destIp: number,
  sourceIp: number,
) => void;

export interface SendCounters {
  datagrams: number;
  /** Messages handed to the kernel, each of one datagram or more. */
  messages: number;
  failures: number;
  /** Groups that the kernel refused although each of their datagrams went out. */
  groupRefusals: number;
}

export class SendBatch {
  readonly counters: SendCounters = { datagrams: 0, messages: 0, failures: 0, groupRefusals: 0 };
  readonly #fd: number;
  readonly #limit: number;
  readonly #memory: Memory;
  readonly #annexes: number;
  readonly #writable: PollSet;
  // The queued messages, a column each.
  readonly #tag: Int32Array;
  readonly #destIp: Int32Array;
  readonly #destPort: Int32Array;
  readonly #sourceIp: Int32Array;
  readonly #address: Float64Array;
  readonly #segmentBytes: Int32Array;
  readonly #totalBytes: Int32Array;
  #count = 0;
  readonly #grouping: boolean;
  readonly #refusedGroups = new RefusedGroups();
  readonly #nowMs: () => number;

  /** @param limit messages queued at most. @param grouping use UDP_SEGMENT. */
  constructor(fd: number, limit: number, grouping = true, nowMs = () => performance.now()) {
    this.#nowMs = nowMs;
    this.#fd = fd;
    this.#limit = limit;
    this.#grouping = grouping;
    // Room for one group that has to go singly, and a slot that resends those of a refused group.
    const slots = limit + MAX_SEGMENTS + 1;
    this.#memory = new Memory(slots * (HEADER_BYTES + ANNEX_BYTES));
    this.#annexes = slots * HEADER_BYTES;
    this.#writable = new PollSet([-1]);
    this.#writable.watch(0, fd, POLLOUT);
    this.#tag = new Int32Array(slots);
    this.#destIp = new Int32Array(slots);
    this.#destPort = new Int32Array(slots);
    this.#sourceIp = new Int32Array(slots);
    this.#address = new Float64Array(slots);
    this.#segmentBytes = new Int32Array(slots);
    this.#totalBytes = new Int32Array(slots);
    for (let slot = 0; slot < slots; slot++) this.#link(slot);
  }

  /** Messages waiting for `flush`. */
  get count(): number {
    return this.#count;
  }

  get full(): boolean {
    return this.#count >= this.#limit;
  }

  /**
   * Queues a datagram, or up to MAX_SEGMENTS of `segmentBytes` each but for the last; `full` must be
   * false. The bytes stay in place until `flush`.
   * @param address of the payload. @param to, from IPv4, 32-bit, signed or not; from 0 = kernel's choice.
   */
  add(
    address: number,
    bytes: number,
    segmentBytes: number,
    to: number,
    destPort: number,
    from: number,
    tag: number,
  ): void {
    // As the columns have them.
    const destIp = to | 0;
    const sourceIp = from | 0;
    const grouping =
      this.#grouping &&
      !(this.#refusedGroups.any && this.#refusedGroups.has(destIp, this.#nowMs()));
    const last = this.#count - 1;
    if (bytes > segmentBytes) {
      this.counters.datagrams += Math.ceil(bytes / segmentBytes);
      const step = grouping ? bytes : segmentBytes;
      for (let at = 0; at < bytes; at += step) {
        const end = Math.min(bytes, at + step);
        this.#take(address + at, end - at, segmentBytes, destIp, destPort, sourceIp, tag);
      }
      return;
    }
    this.counters.datagrams++;
    if (
      grouping &&
      last >= 0 &&
      tag === this.#tag[last] &&
      destIp === this.#destIp[last] &&
      destPort === this.#destPort[last] &&
      sourceIp === this.#sourceIp[last] &&
      this.#takes(last, address, bytes)
    ) {
      this.#totalBytes[last] = (this.#totalBytes[last] as number) + bytes;
      return;
    }
    this.#take(address, bytes, bytes, destIp, destPort, sourceIp, tag);
  }

  /** Takes a message of its own. */
  #take(
    address: number,
    bytes: number,
    segmentBytes: number,
    destIp: number,
    destPort: number,
    sourceIp: number,
    tag: number,
  ): void {
    const slot = this.#count++;
    this.#tag[slot] = tag;
    this.#destIp[slot] = destIp;
    this.#destPort[slot] = destPort;
    this.#sourceIp[slot] = sourceIp;
    this.#address[slot] = address;
    this.#segmentBytes[slot] = Math.min(bytes, segmentBytes);
    this.#totalBytes[slot] = bytes;
  }

  /** Hands everything to the kernel; each datagram that it refuses is told to `onFailure`. */
  flush(onFailure: SendFailureHandler): void {
    const count = this.#count;
    for (let slot = 0; slot < count; slot++) this.#write(slot);
    let done = 0;
    while (done < count) {
      const sent = this.#send(done, count - done);
      if (sent > 0) {
        done += sent;
        continue;
      }
      // Nothing of the first message went out; those behind it are still to be tried.
      if (this.#isGroup(done)) this.#sendSingly(done, onFailure);
      else this.#fail(done, -sent, onFailure);
      done++;
    }
    this.#count = 0;
  }

  /** Only the last datagram of a group may be smaller; being smaller makes it the last. */
  #takes(slot: number, address: number, bytes: number): boolean {
    const segment = this.#segmentBytes[slot] as number;
    const total = this.#totalBytes[slot] as number;
    return (
      bytes <= segment &&
      total % segment === 0 &&
      total < segment * MAX_SEGMENTS &&
      total + bytes <= MAX_MESSAGE_BYTES &&
      address === (this.#address[slot] as number) + total
    );
  }

  #isGroup(slot: number): boolean {
    return (this.#totalBytes[slot] as number) > (this.#segmentBytes[slot] as number);
  }

  /** The pointers between the structures, which never change. */
  #link(slot: number): void {
    const header = slot * HEADER_BYTES;
    const annex = this.#annexes + slot * ANNEX_BYTES;
    this.#memory.setWord(header, this.#memory.address + annex + 16);
    this.#memory.setInt(header + 8, SOCKADDR_IN_BYTES);
    this.#memory.setWord(header + 16, this.#memory.address + annex);
    this.#memory.setWord(header + 24, 1);
    this.#memory.setWord(header + 32, this.#memory.address + annex + 32);
  }

  #write(slot: number): void {
    const memory = this.#memory;
    const annex = this.#annexes + slot * ANNEX_BYTES;
    memory.setWord(annex, this.#address[slot] as number);
    memory.setWord(annex + 8, this.#totalBytes[slot] as number);
    memory.setSocketAddress(
      annex + 16,
      this.#destIp[slot] as number,
      this.#destPort[slot] as number,
    );
    let control = annex + 32;
    if (this.#sourceIp[slot] !== 0) {
      memory.setWord(control, 16 + 12);
      memory.setInt(control + 8, IPPROTO_IP);
      memory.setInt(control + 12, IP_PKTINFO);
      // struct in_pktinfo: interface index, source address, header address (unused on send).
      memory.setInt(control + 16, 0);
      memory.view.setInt32(control + 20, this.#sourceIp[slot] as number);
      memory.setInt(control + 24, 0);
      control += PKTINFO_SPACE;
    }
    if (this.#isGroup(slot)) {
      memory.setWord(control, 16 + 2);
      memory.setInt(control + 8, SOL_UDP);
      memory.setInt(control + 12, UDP_SEGMENT);
      memory.setShort(control + 16, this.#segmentBytes[slot] as number);
      control += SEGMENT_SPACE;
    }
    memory.setWord(slot * HEADER_BYTES + 40, control - annex - 32);
  }

  /** @returns messages sent, or a negative error number that concerns the first. */
  #send(slot: number, count: number): number {
    const address = this.#memory.address + slot * HEADER_BYTES;
    for (let waited = false; ; ) {
      const sent = libc.sendmmsg(this.#fd, address, count, SEND_FLAGS);
      if (sent > 0) {
        this.counters.messages += sent;
        return sent;
      }
      const error = errno() || Errno.EAGAIN;
      if (error === Errno.EINTR) continue;
      if (error !== Errno.EAGAIN || waited) return -error;
      waited = true;
      this.#writable.wait(BUFFER_WAIT_MS);
    }
  }

  /**
   * A group fails as a whole, with error numbers that differ between kernels (EINVAL or EMSGSIZE
   * for too big a segment, EIO where the path cannot cut), so each datagram gets its own verdict.
   */
  #sendSingly(group: number, onFailure: SendFailureHandler): void {
    const segment = this.#segmentBytes[group] as number;
    const end = (this.#address[group] as number) + (this.#totalBytes[group] as number);
    const slot = this.#limit + MAX_SEGMENTS;
    this.#tag[slot] = this.#tag[group] as number;
    this.#destIp[slot] = this.#destIp[group] as number;
    this.#destPort[slot] = this.#destPort[group] as number;
    this.#sourceIp[slot] = this.#sourceIp[group] as number;
    let refused = 0;
    for (let at = this.#address[group] as number; at < end; at += segment) {
      this.#address[slot] = at;
      this.#segmentBytes[slot] = this.#totalBytes[slot] = Math.min(segment, end - at);
      this.#write(slot);
      const sent = this.#send(slot, 1);
      if (sent > 0) continue;
      refused++;
      this.#fail(slot, -sent, onFailure);
    }
    if (refused > 0) return;
    this.counters.groupRefusals++;
    this.#refusedGroups.note(this.#destIp[group] as number, this.#nowMs());
  }

  #fail(slot: number, errorNumber: number, onFailure: SendFailureHandler): void {
    this.counters.failures++;
    onFailure(
      this.#tag[slot] as number,
      errorNumber,
      this.#destIp[slot] as number,
      this.#sourceIp[slot] as number,
    );
  }
}
