/**
 * What waits to be said on one connection. News of a channel that piles up while the socket is
 * blocked merges into one slot instead of queueing (reference/wire-protocol.md 5.4); it is encoded
 * only when the socket takes more. Unicasts cannot merge and wait in a bounded queue.
 *
 *   offerGossip ──> [gossip slot]            ┐
 *   offerBroadcast ──> [slot per source]     ├─ per channel ─> next() ─> one message
 *   offerUnicast ──> [queue of payloads]     ┘
 */
import type { PeerName } from '../core/peer-name.js';
import type { GossipData } from './gossip-channel.js';

/** Unicasts waiting on one connection; further ones are refused. */
export const MAX_UNICASTS = 4096;
/** Their payloads together. More than one largest message, so that nothing sendable is refused. */
export const MAX_UNICAST_BYTES = 16 * 1024 * 1024;

/** One message ready to be framed; `kind` decides the tag. */
export type OutgoingGossip =
  | {
      readonly kind: 'gossip' | 'broadcast';
      readonly channel: string;
      /** Gossip: always ourselves. Broadcast: who said it first. */
      readonly source: PeerName;
      readonly payload: Uint8Array;
    }
  | {
      readonly kind: 'unicast';
      readonly channel: string;
      readonly source: PeerName;
      readonly destination: PeerName;
      readonly payload: Uint8Array;
    };

interface ChannelSlots {
  gossip: GossipData | null;
  /** BOUNDED by the peers of the topology: the mesh offers broadcasts of known sources only. */
  readonly broadcasts: Map<PeerName, GossipData>;
}

export class GossipSlots {
  readonly #localPeer: PeerName;
  /** BOUNDED by the channels registered plus MAX_SURROGATES. */
  readonly #channels = new Map<string, ChannelSlots>();
  /** BOUNDED by MAX_UNICASTS and MAX_UNICAST_BYTES. */
  readonly #unicasts: OutgoingGossip[] = [];
  #unicastBytes = 0;
  /** Payloads of the slot emptied last, not yet taken. BOUNDED by what that slot encoded to. */
  readonly #encoded: OutgoingGossip[] = [];

  constructor(options: { readonly localPeer: PeerName }) {
    this.#localPeer = options.localPeer;
  }

  offerGossip(channel: string, data: GossipData): void {
    const slots = this.#slots(channel);
    slots.gossip = slots.gossip === null ? data : slots.gossip.merge(data);
  }

  offerBroadcast(channel: string, source: PeerName, data: GossipData): void {
    const slots = this.#slots(channel);
    const pending = slots.broadcasts.get(source);
    slots.broadcasts.set(source, pending === undefined ? data : pending.merge(data));
  }

  /** @returns false if the queue is full; the message is not taken then. */
  offerUnicast(
    channel: string,
    source: PeerName,
    destination: PeerName,
    payload: Uint8Array,
  ): boolean {
    const full =
      this.#unicasts.length >= MAX_UNICASTS ||
      this.#unicastBytes + payload.length > MAX_UNICAST_BYTES;
    if (full) return false;
    this.#unicasts.push({ kind: 'unicast', channel, source, destination, payload });
    this.#unicastBytes += payload.length;
    return true;
  }

  /**
   * The next message, or null. A slot is emptied and encoded as a whole by the call that reaches
   * it; news offered afterwards starts a new slot.
   */
  next(): OutgoingGossip | null {
    const unicast = this.#unicasts.shift();
    if (unicast !== undefined) {
      this.#unicastBytes -= unicast.payload.length;
      return unicast;
    }
    while (this.#encoded.length === 0) {
      if (!this.#encodeSlot()) return null;
    }
    return this.#encoded.shift() ?? null;
  }

  /** @returns false if all slots are empty. */
  #encodeSlot(): boolean {
    const found = this.#fullSlots();
    if (found === undefined) return false;
    const [channel, slots] = found;
    if (slots.gossip !== null) {
      const data = slots.gossip;
      slots.gossip = null;
      for (const payload of data.encode()) {
        this.#encoded.push({ kind: 'gossip', channel, source: this.#localPeer, payload });
      }
    } else {
      const [source, data] = slots.broadcasts.entries().next().value as [PeerName, GossipData];
      slots.broadcasts.delete(source);
      for (const payload of data.encode()) {
        this.#encoded.push({ kind: 'broadcast', channel, source, payload });
      }
    }
    // The channel goes to the end of the line, so that a busy one cannot starve the others.
    this.#channels.delete(channel);
    if (slots.gossip !== null || slots.broadcasts.size > 0) this.#channels.set(channel, slots);
    return true;
  }

  #fullSlots(): [string, ChannelSlots] | undefined {
    return this.#channels.entries().next().value;
  }

  #slots(channel: string): ChannelSlots {
    let slots = this.#channels.get(channel);
    if (slots === undefined) {
      slots = { gossip: null, broadcasts: new Map() };
      this.#channels.set(channel, slots);
    }
    return slots;
  }
}
