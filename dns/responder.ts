/**
 * From the bytes of a query to what is to be done: an answer, silence, or asking the host's
 * resolvers. Answers are kept ready under the bytes of their query, id excluded, until a name
 * changes; a client that repeats itself costs one look-up. A pure part: no sockets, no time.
 */
import type { Random } from '../core/random.js';
import { type AnswerTemplate, errorTemplate, templateOf } from './answer-template.js';
import type { DnsCounters, QueryCount } from './dns-counters.js';
import { MIN_UDP_BYTES, parseQuery, type Query, type Rcode } from './query.js';
import type { Zone } from './zone.js';

/** Answers kept ready; all go when there are more. About 4 MB. */
const MAX_READY_ANSWERS = 8192;
/** Longer queries are rare and would only fill memory. */
const MAX_READY_QUERY_BYTES = 300;

export type Verdict =
  | {
      readonly kind: 'answer';
      readonly template: AnswerTemplate;
      readonly udpLimitBytes: number;
      readonly count: QueryCount;
      /** FORMERR and the like: given sparingly, since they serve floods and reflection. */
      readonly isError: boolean;
    }
  | { readonly kind: 'forward'; readonly query: Query }
  | { readonly kind: 'drop'; readonly reason: 'short' | 'response' };

export interface ResponderOptions {
  /** Never more than this over UDP, whatever the client takes. */
  readonly maxUdpBytes: number;
}

export interface ResponderModules {
  readonly zone: Zone;
  /** Rises when answers may have changed. */
  readonly revision: () => number;
  readonly counters: DnsCounters;
  readonly random: Random;
  /** The name of a loop probe of ours that came back (upstreams.ts). */
  readonly onProbe: (name: string) => boolean;
}

export class Responder {
  readonly #options: ResponderOptions;
  readonly #modules: ResponderModules;
  /** By the bytes behind the id. BOUNDED by MAX_READY_ANSWERS. */
  readonly #ready = new Map<string, Verdict>();
  #readyRevision = -1;

  constructor(options: ResponderOptions, modules: ResponderModules) {
    this.#options = options;
    this.#modules = modules;
  }

  /** @param bytes a whole message of a client, only read. */
  handleQuery(bytes: Buffer): Verdict {
    const revision = this.#modules.revision();
    if (revision !== this.#readyRevision) {
      this.#ready.clear();
      this.#readyRevision = revision;
    }
    const key = bytes.toString('latin1', 2);
    const ready = this.#ready.get(key);
    // The header is a part of what must have been there, so short queries are never ready.
    if (ready !== undefined) return ready;
    const verdict = this.#decide(bytes);
    if (verdict.kind === 'answer' && bytes.length <= MAX_READY_QUERY_BYTES) {
      if (this.#ready.size >= MAX_READY_ANSWERS) this.#ready.clear();
      this.#ready.set(key, verdict);
    }
    return verdict;
  }

  /** What the resolvers' silence comes to. */
  failure(query: Query, rcode: Rcode): Verdict & { readonly kind: 'answer' } {
    return this.#error(query, rcode);
  }

  #decide(bytes: Buffer): Verdict {
    const parsed = parseQuery(bytes);
    if (parsed.kind === 'ignore') return { kind: 'drop', reason: parsed.reason };
    if (parsed.kind === 'error') return this.#error(parsed.query, parsed.rcode);
    const { query } = parsed;
    // One of ours that went round in a circle: whoever sent it here must not be asked again.
    if (this.#modules.onProbe(query.name)) return this.#error(query, 'REFUSED');
    const result = this.#modules.zone.resolve(query.name, query.type);
    if (result.kind === 'forward') return { kind: 'forward', query };
    return {
      kind: 'answer',
      template: templateOf(query, result),
      udpLimitBytes: this.udpLimitOf(query),
      count: this.#modules.counters.queryCount(query.type, result.rcode),
      isError: false,
    };
  }

  udpLimitOf({ edns }: Query): number {
    return Math.min(edns?.udpBytes ?? MIN_UDP_BYTES, this.#options.maxUdpBytes);
  }

  #error(query: Query, rcode: Rcode): Verdict & { readonly kind: 'answer' } {
    return {
      kind: 'answer',
      template: errorTemplate(query, rcode),
      udpLimitBytes: this.udpLimitOf(query),
      count: this.#modules.counters.queryCount(query.type, rcode),
      isError: true,
    };
  }
}
