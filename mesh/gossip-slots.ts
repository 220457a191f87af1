/**
 * What waits to be said on one connection. News of a channel that piles up while the socket is
 * blocked merges into one slot instead of queueing (reference/wire-protocol.md 5.4); it is encoded
 * only when the socket takes more. Unicasts cannot merge and wait in a bounded queue.
 *
 *   offerGossip ──> [gossip slot]            ┐
 *   offerBroadcast ──> [slot per source]     ├─ per channel ─> next() ─> one message
 *   offerUnicast ──> [queue of payloads]     ┘
 */
import { compact } from '../core/bytes.js';
import type { PeerName } from '../core/peer-name.js';
import type { GossipData } from './gossip-channel.js';

/** Unicasts waiting on one connection; further ones are refused. */
export const MAX_UNICASTS = 4096;
/** Their payloads together. More than one largest message, so that nothing sendable is refused. */
export const MAX_UNICAST_BYTES = 16 * 1024 * 1024;

/** So many go before merged news gets a turn, or a flood of them would hold back everything. */
const UNICASTS_PER_TURN = 16;

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

interface OutgoingHead {
  readonly kind: 'gossip' | 'broadcast';
  readonly channel: string;
  readonly source: PeerName;
}

interface Encoding {
  readonly head: OutgoingHead;
  readonly payloads: Iterator<Uint8Array>;
  /** Counted as held until the last payload is out. */
  readonly heldBytes: number;
}

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
  #unicastsInARow = 0;
  /** Estimates of what waits in the slots of all channels. */
  #slotBytes = 0;
  /** What the slot emptied last encodes to, pulled piece by piece. */
  #encoding: Encoding | null = null;

  constructor(options: { readonly localPeer: PeerName }) {
    this.#localPeer = options.localPeer;
  }

  /** Roughly the memory of what waits here. */
  get heldBytes(): number {
    return this.#unicastBytes + this.#slotBytes;
  }

  offerGossip(channel: string, data: GossipData): void {
    const slots = this.#slots(channel);
    const before = slots.gossip?.heldBytes ?? 0;
    slots.gossip = slots.gossip === null ? data : slots.gossip.merge(data);
    this.#slotBytes += (slots.gossip.heldBytes ?? 0) - before;
  }

  offerBroadcast(channel: string, source: PeerName, data: GossipData): void {
    const { broadcasts } = this.#slots(channel);
    const pending = broadcasts.get(source);
    const before = pending?.heldBytes ?? 0;
    const merged = pending === undefined ? data : pending.merge(data);
    broadcasts.set(source, merged);
    this.#slotBytes += (merged.heldBytes ?? 0) - before;
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
    const held = compact(payload);
    this.#unicasts.push({ kind: 'unicast', channel, source, destination, payload: held });
    this.#unicastBytes += held.length;
    return true;
  }

  /**
   * The next message, or null. A slot is emptied as a whole by the call that reaches it; news
   * offered afterwards starts a new slot.
   */
  next(): OutgoingGossip | null {
    const news = this.#unicastsInARow < UNICASTS_PER_TURN ? null : this.#nextNews();
    if (news !== null) {
      this.#unicastsInARow = 0;
      return news;
    }
    const unicast = this.#unicasts.shift();
    if (unicast === undefined) return this.#nextNews();
    this.#unicastBytes -= unicast.payload.length;
    this.#unicastsInARow++;
    return unicast;
  }

  /** Gives up something that waits, to make room. @returns false if there is nothing. */
  shed(): boolean {
    for (const slots of this.#channels.values()) {
      const [oldest] = slots.broadcasts;
      if (oldest === undefined) continue;
      slots.broadcasts.delete(oldest[0]);
      this.#slotBytes -= oldest[1].heldBytes ?? 0;
      return true;
    }
    const unicast = this.#unicasts.shift();
    if (unicast !== undefined) {
      this.#unicastBytes -= unicast.payload.length;
      return true;
    }
    for (const slots of this.#channels.values()) {
      if (slots.gossip === null) continue;
      this.#slotBytes -= slots.gossip.heldBytes ?? 0;
      slots.gossip = null;
      return true;
    }
    if (this.#encoding === null) return false;
    this.#slotBytes -= this.#encoding.heldBytes;
    this.#encoding = null;
    return true;
  }

  #nextNews(): OutgoingGossip | null {
    for (;;) {
      const encoding = this.#encoding;
      if (encoding === null) {
        if (!this.#encodeSlot()) return null;
        continue;
      }
      const { done, value: payload } = encoding.payloads.next();
      if (!done) return { ...encoding.head, payload };
      this.#slotBytes -= encoding.heldBytes;
      this.#encoding = null;
    }
  }

  /** @returns false if all slots are empty. */
  #encodeSlot(): boolean {
    const found: [string, ChannelSlots] | undefined = this.#channels.entries().next().value;
    if (found === undefined) return false;
    const [channel, slots] = found;
    const [broadcast] = slots.broadcasts;
    if (slots.gossip !== null) {
      const head = { kind: 'gossip', channel, source: this.#localPeer } as const;
      this.#begin(head, slots.gossip);
      slots.gossip = null;
    } else if (broadcast !== undefined) {
      const [source, data] = broadcast;
      this.#begin({ kind: 'broadcast', channel, source }, data);
      slots.broadcasts.delete(source);
    }
    // The channel goes to the end of the line, so that a busy one cannot starve the others.
    this.#channels.delete(channel);
    if (slots.gossip !== null || slots.broadcasts.size > 0) this.#channels.set(channel, slots);
    return true;
  }

  #begin(head: OutgoingHead, data: GossipData): void {
    const payloads = data.encode()[Symbol.iterator]();
    this.#encoding = { head, payloads, heldBytes: data.heldBytes ?? 0 };
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
