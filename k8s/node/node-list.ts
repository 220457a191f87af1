/**
 * The nodes of the cluster as the API server tells of them, and which peers they make: each node's
 * InternalIP, else its ExternalIP, IPv4 only. Source: reference/kubernetes.md 6.
 */
import { z } from 'zod';
import { parseIpv4 } from '../../core/ip.js';
import { canParse } from '../../core/text.js';
import type { ReflectorSink } from '../api/reflector.js';

const nodeSchema = z.object({
  metadata: z.object({ name: z.string().min(1) }),
  status: z
    .object({ addresses: z.array(z.object({ type: z.string(), address: z.string() })).nullish() })
    .nullish(),
});

export interface NodeListEvents {
  /** After each change of names or addresses. */
  changed(): void;
  /** @param reason null: the list is followed again. */
  failing(reason: string | null): void;
}

export class NodeList implements ReflectorSink {
  readonly #events: NodeListEvents;
  /** Address by name; null: none that serves. BOUNDED by the reflector. */
  #nodes = new Map<string, string | null>();
  #isComplete = false;
  /** Objects without a name. */
  skipped = 0;

  constructor(events: NodeListEvents) {
    this.#events = events;
  }

  /** It has been read once as a whole. */
  get isComplete(): boolean {
    return this.#isComplete;
  }

  get names(): ReadonlySet<string> {
    return new Set(this.#nodes.keys());
  }

  /** Addresses to call, without this node's. */
  peers(ownName: string): readonly string[] {
    const others = [...this.#nodes].filter(([name]) => name !== ownName);
    return others.flatMap(([, address]) => address ?? []).sort();
  }

  replaceAll(objects: readonly unknown[]): void {
    const before = JSON.stringify([...this.#nodes].sort());
    this.#nodes = new Map();
    for (const object of objects) this.#take(object);
    const isFirst = !this.#isComplete;
    this.#isComplete = true;
    if (isFirst || before !== JSON.stringify([...this.#nodes].sort())) this.#events.changed();
  }

  /** Nodes report their state all the time; only another address matters. */
  set(object: unknown): void {
    if (this.#take(object)) this.#events.changed();
  }

  remove(object: unknown): void {
    const parsed = nodeSchema.safeParse(object);
    if (!parsed.success) this.skipped += 1;
    else if (this.#nodes.delete(parsed.data.metadata.name)) this.#events.changed();
  }

  failing(reason: string | null): void {
    this.#events.failing(reason);
  }

  /** @returns whether it brought something new. */
  #take(object: unknown): boolean {
    const parsed = nodeSchema.safeParse(object);
    if (!parsed.success) {
      this.skipped += 1;
      return false;
    }
    const { metadata, status } = parsed.data;
    const ipv4 = (status?.addresses ?? []).filter(({ address }) => canParse(parseIpv4)(address));
    const of = (type: string) => ipv4.findLast((entry) => entry.type === type)?.address;
    const address = of('InternalIP') ?? of('ExternalIP') ?? null;
    const isNew = this.#nodes.get(metadata.name) !== address || !this.#nodes.has(metadata.name);
    this.#nodes.set(metadata.name, address);
    return isNew;
  }
}
