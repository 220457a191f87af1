/** Requests of the API, counted by what became of them. */

/** Stable reasons; metrics show them as labels. */
export type RejectionReason =
  | 'foreign-origin'
  | 'foreign-host'
  | 'not-found'
  | 'method-not-allowed'
  | 'bad-request'
  | 'too-large'
  | 'timeout'
  | 'malformed'
  | 'failed';

/** BOUNDED by the number of reasons. */
export class ApiCounters {
  readonly #rejections = new Map<RejectionReason, number>();

  reject(reason: RejectionReason): void {
    this.#rejections.set(reason, (this.#rejections.get(reason) ?? 0) + 1);
  }

  /** By reason, for the report. */
  rejections(): Readonly<Record<string, number>> {
    return Object.fromEntries(this.#rejections);
  }
}
