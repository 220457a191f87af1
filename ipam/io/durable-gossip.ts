/**
 * The allocator's gossip channel as the mesh sees it. Gossip is encoded at the moment of sending,
 * and that may be while a change is still on its way to the disk: then what is on disk is sent, so
 * that no peer builds on something that a power loss would make undone.
 */
import type { PeerName } from '../../core/peer-name.js';
import type { GossipChannel, GossipData } from '../../mesh/gossip-channel.js';

export class DurableGossip implements GossipChannel {
  readonly #channel: GossipChannel;
  readonly #run: <T>(input: () => T) => T | undefined;
  /** The state on disk as gossip. */
  #durable: readonly Uint8Array[] = [];
  #isAhead = false;

  /** @param run carries out what an input causes. */
  constructor(channel: GossipChannel, run: <T>(input: () => T) => T | undefined) {
    this.#channel = channel;
    this.#run = run;
  }

  get name(): string {
    return this.#channel.name;
  }

  onGossip(payload: Uint8Array, sender: PeerName, nowMs: number): GossipData | null {
    return this.wrap(this.#run(() => this.#channel.onGossip(payload, sender, nowMs)) ?? null);
  }

  onGossipBroadcast(payload: Uint8Array, source: PeerName, nowMs: number): GossipData | null {
    const news = this.#run(() => this.#channel.onGossipBroadcast(payload, source, nowMs));
    return this.wrap(news ?? null);
  }

  onGossipUnicast(payload: Uint8Array, source: PeerName, nowMs: number): void {
    this.#run(() => this.#channel.onGossipUnicast(payload, source, nowMs));
  }

  completeState(): GossipData | null {
    return this.wrap(this.#channel.completeState());
  }

  /** The allocator's state as it is now, disk or not. */
  encodeNow(): readonly Uint8Array[] {
    return [...(this.#channel.completeState()?.encode() ?? [])];
  }

  noteDurable(encoded: readonly Uint8Array[]): void {
    this.#durable = encoded;
  }

  /** Whether the allocator knows more than the disk. */
  setAhead(isAhead: boolean): void {
    this.#isAhead = isAhead;
  }

  wrap(data: GossipData | null): GossipData | null {
    return data === null ? null : new HeldData(data, this);
  }

  /** For HeldData. */
  payloadsOf(data: GossipData): Iterable<Uint8Array> {
    return this.#isAhead ? this.#durable : data.encode();
  }
}

class HeldData implements GossipData {
  readonly #data: GossipData;
  readonly #gossip: DurableGossip;

  constructor(data: GossipData, gossip: DurableGossip) {
    this.#data = data;
    this.#gossip = gossip;
  }

  encode(): Iterable<Uint8Array> {
    return this.#gossip.payloadsOf(this.#data);
  }

  merge(other: GossipData): GossipData {
    if (!(other instanceof HeldData)) throw new Error('allocator gossip meets other data');
    return new HeldData(this.#data.merge(other.#data), this.#gossip);
  }

  get heldBytes(): number {
    return this.#data.heldBytes ?? 0;
  }
}
