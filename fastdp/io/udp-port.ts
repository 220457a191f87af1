/** The data plane's DatagramPort over the pair of UDP sockets. */
import { Errno } from '../../sys/libc.js';
import { Memory } from '../../sys/memory.js';
import { pathMtu, type UdpPair } from '../../sys/udp.js';
import { SLOT_BYTES } from '../../sys/udp-receive-batch.js';
import { SendBatch } from '../../sys/udp-send-batch.js';
import { BUILDER_BYTES } from '../outbound/seal.js';
import type { DatagramPort, SendFailure } from '../ports.js';
import { CAPTURE_BYTES } from './tap-device.js';

/** Several datagrams of the largest size; a usual round uses the first 100 KiB of it. */
const ARENA_BYTES = 512 * 1024;
/** Messages per receive call; each holds up to 64 KiB of joined datagrams. */
export const RECEIVE_SLOTS = 16;
const RECEIVE_BYTES = RECEIVE_SLOTS * SLOT_BYTES;
/** Messages per class and flush. */
const BATCH_MESSAGES = 64;

export class UdpPort implements DatagramPort {
  readonly arena: Uint8Array;
  readonly scratch: Uint8Array;
  onSendFailure: (failure: SendFailure) => void = () => {};
  /**
   * For frames captured: one memory with the arena, within which a copy is cheapest. The owner of
   * the device uses it.
   */
  readonly captureMemory: Memory;
  /** For datagrams received, likewise: what is relayed is copied from there. */
  readonly receiveMemory: Memory;
  readonly #memory = Memory.low(ARENA_BYTES + CAPTURE_BYTES + BUILDER_BYTES + RECEIVE_BYTES);
  readonly #df: SendBatch;
  readonly #plain: SendBatch;
  readonly #handleFailure = (
    connId: number,
    errno: number,
    destIp: number,
    sourceIp: number,
  ): void => {
    const pathMtuBytes = errno === Errno.EMSGSIZE ? this.#pathMtu(destIp, sourceIp) : 0;
    this.onSendFailure({ connId, errno, pathMtuBytes });
  };
  /** Start of the region reserved or to be reserved next. Everything before it is queued. */
  #next = 0;
  /** The path MTU asked for last in this flush: failures of one destination come in rows. */
  #askedIp = -1;
  #askedMtu = 0;

  /** @param grouping equal datagrams may share a message (`udp-segment`). */
  constructor(udp: UdpPair, grouping = true) {
    this.arena = new Memory(ARENA_BYTES, this.#memory).bytes;
    let at = ARENA_BYTES;
    const take = (bytes: number): Memory => {
      const part = new Memory(bytes, this.#memory, at);
      at += bytes;
      return part;
    };
    this.captureMemory = take(CAPTURE_BYTES);
    this.scratch = take(BUILDER_BYTES).bytes;
    this.receiveMemory = take(RECEIVE_BYTES);
    this.#df = new SendBatch(udp.dfFd, BATCH_MESSAGES, grouping);
    this.#plain = new SendBatch(udp.plainFd, BATCH_MESSAGES, grouping);
  }

  get datagrams(): number {
    return this.#df.counters.datagrams + this.#plain.counters.datagrams;
  }

  get messages(): number {
    return this.#df.counters.messages + this.#plain.counters.messages;
  }

  get groupRefusals(): number {
    return this.#df.counters.groupRefusals + this.#plain.counters.groupRefusals;
  }

  get failures(): number {
    return this.#df.counters.failures + this.#plain.counters.failures;
  }

  reserve(bytes: number): number {
    if (this.#next + bytes > ARENA_BYTES || this.#df.full || this.#plain.full) this.flush();
    return this.#next;
  }

  commit(
    bytes: number,
    segmentBytes: number,
    destIp: number,
    destPort: number,
    sourceIp: number,
    df: boolean,
    connId: number,
  ): void {
    const batch = df ? this.#df : this.#plain;
    const address = this.#memory.address + this.#next;
    batch.add(address, bytes, segmentBytes, destIp, destPort, sourceIp, connId);
    // Without a gap, so that equal datagrams can travel as one message.
    this.#next += bytes;
  }

  flush(): void {
    if (this.#next === 0) return;
    this.#askedIp = -1;
    this.#df.flush(this.#handleFailure);
    this.#plain.flush(this.#handleFailure);
    this.#next = 0;
  }

  /** 0 if the system does not say. */
  #pathMtu(destIp: number, sourceIp: number): number {
    if (destIp === this.#askedIp) return this.#askedMtu;
    this.#askedIp = destIp;
    try {
      this.#askedMtu = pathMtu(destIp, sourceIp);
    } catch {
      // The route may just have gone; the forwarder treats it as unknown.
      this.#askedMtu = 0;
    }
    return this.#askedMtu;
  }
}
