/**
 * Passes on the gossip of a channel that this router does not implement, so that neighbours which
 * do can speak through it (reference/wire-protocol.md 5.5). It remembers digests of what went
 * through, because without understanding a payload that is the only way to stop it from circling.
 */
import { createHash } from 'node:crypto';
import { compact } from '../core/bytes.js';
import type { PeerName } from '../core/peer-name.js';
import type { GossipChannel, GossipData } from './gossip-channel.js';

/** How long a payload is remembered. Whole states come again every 30 s and may pass then. */
export const SURROGATE_MEMORY_MS = 30_000;
/** Digests kept; the oldest go first. 32 bytes each, whatever the payload's size. */
export const MAX_REMEMBERED = 4096;
/** Payload bytes of one pending slot; the oldest are dropped first. */
export const MAX_PENDING_BYTES = 16 * 1024 * 1024;
/** Payloads of one pending slot; the oldest are dropped first. */
export const MAX_PENDING_PAYLOADS = 256;

/**
 * Payloads kept apart: what is not understood cannot be merged. BOUNDED by MAX_PENDING_BYTES and
 * MAX_PENDING_PAYLOADS.
 */
export class SurrogateData implements GossipData {
  readonly #payloads: Uint8Array[];
  #bytes: number;

  constructor(payload: Uint8Array) {
    this.#payloads = [payload];
    this.#bytes = payload.length;
  }

  encode(): readonly Uint8Array[] {
    return this.#payloads;
  }

  get heldBytes(): number {
    return this.#bytes;
  }

  /** One payload goes to several neighbours, so merging must leave both originals alone. */
  merge(other: GossipData): SurrogateData {
    const merged = new SurrogateData(new Uint8Array(0));
    merged.#payloads.pop();
    for (const payload of [...this.#payloads, ...other.encode()]) {
      merged.#payloads.push(payload);
      merged.#bytes += payload.length;
    }
    const full = (): boolean =>
      merged.#bytes > MAX_PENDING_BYTES || merged.#payloads.length > MAX_PENDING_PAYLOADS;
    while (full() && merged.#payloads.length > 1) {
      merged.#bytes -= (merged.#payloads.shift() as Uint8Array).length;
    }
    return merged;
  }
}

export class SurrogateChannel implements GossipChannel {
  readonly name: string;
  /** Digest → when it was remembered, oldest first. BOUNDED by MAX_REMEMBERED. */
  readonly #remembered = new Map<string, number>();

  constructor(name: string) {
    this.name = name;
  }

  get rememberedCount(): number {
    return this.#remembered.size;
  }

  onGossip(payload: Uint8Array, _sender: PeerName, nowMs: number): SurrogateData | null {
    const digest = createHash('sha256').update(payload).digest('base64');
    if (this.#remembered.has(digest)) return null;
    for (const [old, sinceMs] of this.#remembered) {
      const expired = nowMs - sinceMs > SURROGATE_MEMORY_MS;
      if (!expired && this.#remembered.size < MAX_REMEMBERED) break;
      this.#remembered.delete(old);
    }
    this.#remembered.set(digest, nowMs);
    return new SurrogateData(compact(payload));
  }

  onGossipBroadcast(payload: Uint8Array): SurrogateData {
    return new SurrogateData(compact(payload));
  }

  /** Nobody here could use it. */
  onGossipUnicast(): void {}

  completeState(): GossipData | null {
    return null;
  }
}
