/**
 * The place of a thread among those of one router: thread 0 is the primary, which leads the life of
 * all connections; the others are followers. README.md, "Several threads", says who does what.
 */
import type { Outbox } from './crossing.js';

export interface Queue {
  /** Also the lane that the thread sends in. */
  readonly index: number;
  readonly count: number;
  /** Of the primary: to each follower in turn. Of a follower: to the primary alone. */
  readonly outboxes: readonly Outbox[];
}

/** @returns what a follower hands on by; null for the primary. */
export function primaryOf(queue: Queue | null): Outbox | null {
  return queue === null || queue.index === 0 ? null : (queue.outboxes[0] as Outbox);
}
