/**
 * Dropped connections: counted each, and told in the log, a flow that is tried again and again only
 * once in ten seconds, and all together a few lines a second. The text begins as the original's,
 * which people search for. Source: reference/network-policy.md 7, metrics.md 3.
 */
import type { LogFields, Logger } from '../../../core/log.js';
import { TokenBucket } from '../../../core/rate-limit.js';
import { type PacketFlow, parseFlow } from './packet.js';

/** Who is at the ends of a dropped flow, and why it was dropped. */
export interface DropReasons {
  /** `namespace/pod`; null: the address is no pod that is known here. */
  readonly from: string | null;
  readonly to: string | null;
  /** `ingress` or `egress`; null when the rule did not tell. */
  readonly direction: string | null;
  /**
   * `namespace/policy` of those that isolate the pod in that direction, or `tier:policy` of those
   * of the whole cluster that may have denied it.
   */
  readonly policies: readonly string[];
}

export interface DropModules {
  readonly log: Logger;
  readonly explain: (flow: PacketFlow, prefix: string) => DropReasons;
}

/** One flow says so once in this time. */
const REPEAT_MS = 10_000;
const MAX_FLOWS = 4096;
const BURST = 20;
const ONE_PER_MS = 200;
/** Policies named in one line. */
const MAX_POLICIES = 3;
/** Series of the original's counter: a port scan must not make 65 536 of them. */
const MAX_SERIES = 512;
export const OTHER_PORTS = 'other';

export interface BlockedCount {
  readonly protocol: string;
  readonly port: string;
  readonly count: number;
}

export class DropLog {
  readonly #modules: DropModules;
  readonly #bucket: TokenBucket;
  /** By flow, when it may be told again. BOUNDED by MAX_FLOWS, the oldest goes first. */
  readonly #told = new Map<string, { nextMs: number; suppressed: number }>();
  /** BOUNDED by MAX_SERIES and one more per protocol. */
  readonly #blocked = new Map<string, { protocol: string; port: string; count: number }>();
  #suppressed = 0;
  #malformed = 0;

  constructor(modules: DropModules, nowMs: number) {
    this.#modules = modules;
    this.#bucket = new TokenBucket({ capacity: BURST, refillMs: ONE_PER_MS }, nowMs);
  }

  /** Lines that were not written for lack of room. */
  get suppressed(): number {
    return this.#suppressed;
  }

  /** Logged packets that were no whole header. */
  get malformed(): number {
    return this.#malformed;
  }

  blocked(): readonly BlockedCount[] {
    return [...this.#blocked.values()];
  }

  /** @param payload from the network header on. */
  handlePacket(payload: Uint8Array, prefix: string, nowMs: number): void {
    const flow = parseFlow(payload);
    if (flow === null) {
      this.#malformed += 1;
      return;
    }
    if (!flow.opens) return;
    this.#count(flow);
    const suppressed = this.#take(flow, nowMs);
    if (suppressed !== null) this.#tell(flow, prefix, suppressed);
  }

  #count({ protocol, destinationPort }: PacketFlow): void {
    const name = protocol.toLowerCase();
    const own = `${name}/${destinationPort}`;
    const isNew = !this.#blocked.has(own);
    const port = isNew && this.#blocked.size >= MAX_SERIES ? OTHER_PORTS : `${destinationPort}`;
    const key = `${name}/${port}`;
    const entry = this.#blocked.get(key);
    if (entry === undefined) this.#blocked.set(key, { protocol: name, port, count: 1 });
    else entry.count += 1;
  }

  /** @returns how many were left out before this one; null: this one is left out too. */
  #take(flow: PacketFlow, nowMs: number): number | null {
    const { protocol, source, destination, destinationPort } = flow;
    const key = `${protocol} ${source} ${destination} ${destinationPort}`;
    const told = this.#told.get(key);
    const isRepeated = told !== undefined && told.nextMs > nowMs;
    if (isRepeated || !this.#bucket.tryTake(nowMs)) {
      if (told !== undefined) told.suppressed += 1;
      this.#suppressed += 1;
      return null;
    }
    this.#told.delete(key);
    this.#told.set(key, { nextMs: nowMs + REPEAT_MS, suppressed: 0 });
    if (this.#told.size > MAX_FLOWS) {
      const [oldest] = this.#told.keys();
      if (oldest !== undefined) this.#told.delete(oldest);
    }
    return told?.suppressed ?? 0;
  }

  #tell(flow: PacketFlow, prefix: string, suppressed: number): void {
    const { from, to, direction, policies } = this.#modules.explain(flow, prefix);
    const place = (address: string, port: number): string => {
      const host = address.includes(':') ? `[${address}]` : address;
      return port === 0 ? address : `${host}:${port}`;
    };
    const more = policies.length - MAX_POLICIES;
    const named = policies.slice(0, MAX_POLICIES).join(',') + (more > 0 ? `,+${more}` : '');
    const fields: LogFields = {
      from: from ?? undefined,
      to: to ?? undefined,
      direction: direction ?? undefined,
      policy: named === '' ? undefined : named,
      suppressed: suppressed === 0 ? undefined : suppressed,
    };
    const ends =
      `from ${place(flow.source, flow.sourcePort)} ` +
      `to ${place(flow.destination, flow.destinationPort)}`;
    this.#modules.log.warn(`${flow.protocol} connection ${ends} blocked by Weave NPC.`, fields);
  }
}
