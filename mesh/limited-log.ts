/** Log lines that strangers can cause, thinned out per kind so that they cannot fill a disk. */
import type { LogFields, Logger } from '../core/log.js';
import { TokenBucket } from '../core/rate-limit.js';

const BURST = 10;
const ONE_PER_MS = 10_000;
/** Kinds of lines remembered; beyond it all share one bucket. */
const MAX_KINDS = 64;
const OVERFLOW_KIND = 'other';

interface Kind {
  readonly bucket: TokenBucket;
  suppressed: number;
}

export class LimitedLog {
  readonly #log: Logger;
  /** BOUNDED by MAX_KINDS. */
  readonly #kinds = new Map<string, Kind>();

  constructor(modules: { readonly log: Logger }) {
    this.#log = modules.log;
  }

  /** @param kind constant text; lines of one kind share a budget of 10, then one per 10 s. */
  info(kind: string, text: string, fields: LogFields, nowMs: number): void {
    const allowed = this.#take(kind, nowMs);
    if (allowed !== null) this.#log.info(text, { ...fields, ...allowed });
  }

  warn(kind: string, text: string, fields: LogFields, nowMs: number): void {
    const allowed = this.#take(kind, nowMs);
    if (allowed !== null) this.#log.warn(text, { ...fields, ...allowed });
  }

  /** @returns extra fields for the line; null: it must not be written. */
  #take(kind: string, nowMs: number): LogFields | null {
    const name = this.#kinds.has(kind) || this.#kinds.size < MAX_KINDS ? kind : OVERFLOW_KIND;
    let entry = this.#kinds.get(name);
    if (entry === undefined) {
      const bucket = new TokenBucket({ capacity: BURST, refillMs: ONE_PER_MS }, nowMs);
      entry = { bucket, suppressed: 0 };
      this.#kinds.set(name, entry);
    }
    if (!entry.bucket.tryTake(nowMs)) {
      entry.suppressed++;
      return null;
    }
    const suppressed = entry.suppressed;
    entry.suppressed = 0;
    return suppressed === 0 ? {} : { suppressed };
  }
}
