/** What the server counts: queries by type and outcome, how long they took, what was dropped. */

/** Types with a count of their own; others share one, since a client can make up 65,536. */
const COUNTED_TYPES: ReadonlySet<string> = new Set([
  ...['A', 'AAAA', 'PTR', 'SRV', 'CNAME', 'SOA', 'NS', 'TXT', 'MX', 'DS', 'ANY'],
]);
const OTHER_TYPES = 'other';

/** Upper bounds in seconds: local answers take microseconds, forwarded ones up to seconds. */
export const DURATION_BUCKETS_S: readonly number[] = [
  ...[0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05],
  ...[0.1, 0.25, 0.5, 1, 2.5, 5],
];

export type DropReason = 'short' | 'response' | 'stranger' | 'error-rate' | 'flood' | 'too-large';

export type UpstreamFailure = 'timeout' | 'unreachable' | 'malformed' | 'loop' | 'overload';

export interface QueryCount {
  readonly type: string;
  readonly rcode: string;
  count: number;
}

export class DnsCounters {
  /** BOUNDED by COUNTED_TYPES times the 24 codes that exist. */
  readonly #queries = new Map<string, QueryCount>();
  readonly #drops: Record<DropReason, number> = {
    short: 0,
    response: 0,
    stranger: 0,
    'error-rate': 0,
    flood: 0,
    'too-large': 0,
  };
  readonly #upstreamFailures: Record<UpstreamFailure, number> = {
    timeout: 0,
    unreachable: 0,
    malformed: 0,
    loop: 0,
    overload: 0,
  };
  readonly #durations: number[] = new Array(DURATION_BUCKETS_S.length + 1).fill(0) as number[];
  #durationSumMs = 0;
  #forwarded = 0;

  /** The counter of a type and a code, to be kept by whoever counts often. */
  queryCount(type: string, rcode: string): QueryCount {
    const counted = COUNTED_TYPES.has(type) ? type : OTHER_TYPES;
    const key = `${counted} ${rcode}`;
    let entry = this.#queries.get(key);
    if (entry === undefined) {
      entry = { type: counted, rcode, count: 0 };
      this.#queries.set(key, entry);
    }
    return entry;
  }

  drop(reason: DropReason): void {
    this.#drops[reason]++;
  }

  upstreamFailed(reason: UpstreamFailure): void {
    this.#upstreamFailures[reason]++;
  }

  forwarded(): void {
    this.#forwarded++;
  }

  observe(durationMs: number): void {
    this.#durationSumMs += durationMs;
    const seconds = durationMs / 1000;
    let bucket = 0;
    while (bucket < DURATION_BUCKETS_S.length && seconds > (DURATION_BUCKETS_S[bucket] ?? 0))
      bucket++;
    (this.#durations[bucket] as number)++;
  }

  read(): DnsCounts {
    return {
      queries: [...this.#queries.values()].map((entry) => ({ ...entry })),
      drops: { ...this.#drops },
      upstreamFailures: { ...this.#upstreamFailures },
      durationCounts: [...this.#durations],
      durationSumS: this.#durationSumMs / 1000,
      forwarded: this.#forwarded,
    };
  }
}

export interface DnsCounts {
  readonly queries: readonly Readonly<QueryCount>[];
  readonly drops: Readonly<Record<DropReason, number>>;
  readonly upstreamFailures: Readonly<Record<UpstreamFailure, number>>;
  /** One for each of DURATION_BUCKETS_S, and one for what took longer; not cumulative. */
  readonly durationCounts: readonly number[];
  readonly durationSumS: number;
  readonly forwarded: number;
}
