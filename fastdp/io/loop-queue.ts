/** The rings between the threads of a router, and how a thread wakes those it wrote to. */
import { EventFd } from '../../sys/eventfd.js';
import { Memory } from '../../sys/memory.js';
import { type CrossingSink, Inbox, Outbox } from '../crossing.js';
import { FrameRing } from '../frame-ring.js';
import type { Queue } from '../queue.js';

/** To the primary go frames and datagrams, from it addresses alone. */
const TO_PRIMARY_BYTES = 512 * 1024;
const FROM_PRIMARY_BYTES = 64 * 1024;
/** The longest frame has 65 535 bytes. */
const SCRATCH_BYTES = 65_536;

/** Memory and descriptors that all threads of a router have in common. Plain data. */
export interface QueueLinks {
  /** By thread; the first ones of both are unused. */
  readonly toPrimary: readonly SharedArrayBuffer[];
  readonly fromPrimary: readonly SharedArrayBuffer[];
  /** Eventfd of each thread. */
  readonly wakeFds: readonly number[];
}

export function createQueueLinks(wakeFds: readonly number[]): QueueLinks {
  return {
    toPrimary: wakeFds.map(() => FrameRing.create(TO_PRIMARY_BYTES).buffer),
    fromPrimary: wakeFds.map(() => FrameRing.create(FROM_PRIMARY_BYTES).buffer),
    wakeFds,
  };
}

export class LoopQueue {
  readonly place: Queue;
  readonly #inboxes: readonly Inbox[];
  readonly #outboxes: readonly { readonly box: Outbox; readonly wake: EventFd }[];

  constructor(index: number, count: number, links: QueueLinks) {
    const { toPrimary, fromPrimary, wakeFds } = links;
    const scratch = new Memory(SCRATCH_BYTES).bytes;
    const others = index === 0 ? Array.from({ length: count - 1 }, (_, i) => i + 1) : [0];
    const [written, read] = index === 0 ? [fromPrimary, toPrimary] : [toPrimary, fromPrimary];
    const ringOf = (rings: readonly SharedArrayBuffer[], other: number): FrameRing =>
      new FrameRing(rings[Math.max(index, other)] as SharedArrayBuffer);
    this.#inboxes = others.map((other) => new Inbox(ringOf(read, other), other, scratch));
    this.#outboxes = others.map((other) => ({
      box: new Outbox(ringOf(written, other)),
      wake: new EventFd(wakeFds[other] as number),
    }));
    this.place = { index, count, outboxes: this.#outboxes.map(({ box }) => box) };
  }

  /** Hands on what other threads sent. @returns true if more may wait. */
  drain(limit: number, sink: CrossingSink): boolean {
    let more = false;
    for (const inbox of this.#inboxes) more = inbox.drain(limit, sink) || more;
    return more;
  }

  /** The end of a round: whoever was sent something wakes up. */
  signal(): void {
    for (const { box, wake } of this.#outboxes) if (box.takeSignal()) wake.signal();
  }
}
