/**
 * Gossip: the registry of channels, what happens to a received message, and what waits to be sent
 * (reference/wire-protocol.md 5). A machine: messages and commands go in; `next(connId)` yields
 * what the connection is to send, and is asked only while the connection can take it.
 */
import { MAX_CONTROL_FRAME_BYTES } from '../core/limits.js';
import type { PeerName } from '../core/peer-name.js';
import type { GossipChannel, GossipData, GossipSender } from './gossip-channel.js';
import { GossipSlots, type OutgoingGossip } from './gossip-slots.js';
import { SurrogateChannel } from './surrogate-channel.js';

/** Channels of others that we pass on without knowing them. Real networks have at most two. */
export const MAX_SURROGATES = 32;
/** Messages of channels with longer names are dropped. */
export const MAX_CHANNEL_NAME_LENGTH = 256;
/** What may wait for all blocked connections together; see `shedExcess`. */
export const MAX_HELD_BYTES = 256 * 1024 * 1024;
/** Whole states are sent to random neighbours this often. */
export const GOSSIP_INTERVAL_MS = 30_000;
/** Room for tag, channel name, peer names and the seal in a frame of the largest size. */
const ENVELOPE_BYTES = 1024;

/** A message as a neighbour sent it has the same parts as one on its way out. */
export type ReceivedGossip = OutgoingGossip;

/** Routes over all connections, established or not, as gossip uses them. */
export interface GossipRoutes {
  /** Neighbour towards the peer; undefined: no route. */
  unicastHop(destination: PeerName): PeerName | undefined;
  /** Neighbours that get a broadcast of the source from us. */
  broadcastHops(source: PeerName): readonly PeerName[];
  /** Chosen at random, weighted by what lies behind them. */
  randomNeighbours(exclude: PeerName | null): readonly PeerName[];
}

export interface GossipOptions {
  readonly localPeer: PeerName;
}

export interface GossipModules {
  /** Up to date: recalculated if a change is pending. */
  routes(): GossipRoutes;
  /** The admitted connection to a neighbour. */
  connectionTo(peer: PeerName): number | undefined;
}

export class Gossip {
  readonly #localPeer: PeerName;
  readonly #modules: GossipModules;
  /** BOUNDED by the parts of this program. */
  readonly #channels = new Map<string, GossipChannel>();
  /** BOUNDED by MAX_SURROGATES. */
  readonly #surrogates = new Map<string, SurrogateChannel>();
  /** By connection id. BOUNDED by the admitted connections. */
  readonly #slots = new Map<number, GossipSlots>();
  /** Those with something in their slots. BOUNDED as #slots. */
  readonly #pending = new Set<number>();
  readonly #counters = {
    'gossip-received': 0,
    'gossip-broadcasts-received': 0,
    'gossip-unicasts-received': 0,
    'gossip-unicasts-relayed': 0,
    'gossip-unicasts-no-route': 0,
    'gossip-unicasts-turned-back': 0,
    'gossip-unicasts-queue-full': 0,
    'gossip-too-large': 0,
    'gossip-surrogate-refused': 0,
    'gossip-channel-name-too-long': 0,
    'gossip-shed': 0,
    'gossip-sent': 0,
  };

  constructor(options: GossipOptions, modules: GossipModules) {
    this.#localPeer = options.localPeer;
    this.#modules = modules;
  }

  /** By stable name. */
  get counters(): Readonly<Record<string, number>> {
    return this.#counters;
  }

  register(channel: GossipChannel): GossipSender {
    this.#channels.set(channel.name, channel);
    this.#surrogates.delete(channel.name);
    return {
      unicast: (destination, payload) =>
        this.#sendUnicast(channel.name, this.#localPeer, destination, payload, null),
      broadcast: (data) => this.#spreadBroadcast(channel.name, this.#localPeer, data),
      neighbours: (data) => this.#spreadGossip(channel.name, null, data),
    };
  }

  /** The connection was admitted: messages for it may be collected from now on. */
  addConnection(connId: number): void {
    this.#slots.set(connId, new GossipSlots({ localPeer: this.#localPeer }));
  }

  /** Drops what was waiting. */
  removeConnection(connId: number): void {
    this.#slots.delete(connId);
    this.#pending.delete(connId);
  }

  /** Complete state of every channel for one connection: the peer may know nothing yet. */
  offerCompleteState(connId: number): void {
    const slots = this.#slotsOf(connId);
    if (slots === undefined) return;
    for (const channel of this.#channels.values()) {
      const data = channel.completeState();
      if (data !== null) slots.offerGossip(channel.name, data);
    }
  }

  /** Complete state of every channel to random neighbours; the caller keeps the interval. */
  spreadCompleteState(): void {
    for (const channel of this.#channels.values()) {
      const data = channel.completeState();
      if (data !== null) this.#spreadGossip(channel.name, null, data);
    }
  }

  /**
   * Takes ownership of the payload, which may wait in a queue.
   * @throws {DecodeError | ProtocolError} from the channel; the connection it came on must end.
   */
  handleMessage(connId: number, message: ReceivedGossip, nowMs: number): void {
    const { channel, source, payload } = message;
    // A name travels and waits with each message, so its length must not be the sender's choice.
    if (channel.length > MAX_CHANNEL_NAME_LENGTH) {
      this.#counters['gossip-channel-name-too-long']++;
      return;
    }
    if (message.kind === 'unicast') {
      this.#handleUnicast(connId, channel, source, message.destination, payload, nowMs);
    } else if (message.kind === 'gossip') this.#handleGossip(channel, source, payload, nowMs);
    else this.#handleBroadcast(channel, source, payload, nowMs);
  }

  /** Connections that `next` may have something for. */
  pendingConnections(): IterableIterator<number> {
    return this.#pending.values();
  }

  /** The next message for the connection; null: nothing waits. */
  next(connId: number): OutgoingGossip | null {
    const slots = this.#slots.get(connId);
    if (slots === undefined) return null;
    for (;;) {
      const message = slots.next();
      if (message === null) {
        this.#pending.delete(connId);
        return null;
      }
      const bytes = message.payload.length + Buffer.byteLength(message.channel) + ENVELOPE_BYTES;
      if (bytes <= MAX_CONTROL_FRAME_BYTES) {
        this.#counters['gossip-sent']++;
        return message;
      }
      // Sending it would end the session, and the next one, and so on: rather lose the message.
      this.#counters['gossip-too-large']++;
    }
  }

  /**
   * To be called when nothing more can be sent: what is left waits for peers that do not read. If
   * that is too much in all, those for whom most waits lose their oldest, so that a few stalled or
   * hostile peers can neither fill our memory nor push out the messages of others.
   */
  shedExcess(): void {
    let total = 0;
    for (const connId of this.#pending) total += this.#slots.get(connId)?.heldBytes ?? 0;
    while (total > MAX_HELD_BYTES) {
      let most: GossipSlots | undefined;
      for (const connId of this.#pending) {
        const slots = this.#slots.get(connId);
        if (slots !== undefined && slots.heldBytes > (most?.heldBytes ?? 0)) most = slots;
      }
      const before = most?.heldBytes ?? 0;
      if (most?.shed() !== true) return;
      this.#counters['gossip-shed']++;
      total -= before - most.heldBytes;
    }
  }

  #handleGossip(name: string, sender: PeerName, payload: Uint8Array, nowMs: number): void {
    this.#counters['gossip-received']++;
    const news = this.#channel(name)?.onGossip(payload, sender, nowMs) ?? null;
    if (news !== null) this.#spreadGossip(name, sender, news);
  }

  #handleBroadcast(name: string, source: PeerName, payload: Uint8Array, nowMs: number): void {
    this.#counters['gossip-broadcasts-received']++;
    const news = this.#channel(name)?.onGossipBroadcast(payload, source, nowMs) ?? null;
    if (news !== null) this.#spreadBroadcast(name, source, news);
  }

  #handleUnicast(
    connId: number,
    name: string,
    source: PeerName,
    destination: PeerName,
    payload: Uint8Array,
    nowMs: number,
  ): void {
    this.#counters['gossip-unicasts-received']++;
    if (destination === this.#localPeer) {
      this.#channel(name)?.onGossipUnicast(payload, source, nowMs);
      return;
    }
    const sent = this.#sendUnicast(name, source, destination, payload, connId);
    if (sent) this.#counters['gossip-unicasts-relayed']++;
  }

  #spreadGossip(name: string, exclude: PeerName | null, data: GossipData): void {
    for (const peer of this.#modules.routes().randomNeighbours(exclude)) {
      this.#slotsTo(peer)?.offerGossip(name, data);
    }
  }

  #spreadBroadcast(name: string, source: PeerName, data: GossipData): void {
    for (const peer of this.#modules.routes().broadcastHops(source)) {
      this.#slotsTo(peer)?.offerBroadcast(name, source, data);
    }
  }

  /** @param cameFrom connection a relayed message arrived on; it must not go back there (C15). */
  #sendUnicast(
    name: string,
    source: PeerName,
    destination: PeerName,
    payload: Uint8Array,
    cameFrom: number | null,
  ): boolean {
    const hop = this.#modules.routes().unicastHop(destination);
    const connId = hop === undefined ? undefined : this.#modules.connectionTo(hop);
    const slots = connId === undefined ? undefined : this.#slotsOf(connId);
    if (slots === undefined) {
      this.#counters['gossip-unicasts-no-route']++;
      return false;
    }
    if (connId === cameFrom) {
      this.#counters['gossip-unicasts-turned-back']++;
      return false;
    }
    const taken = slots.offerUnicast(name, source, destination, payload);
    if (!taken) this.#counters['gossip-unicasts-queue-full']++;
    return taken;
  }

  #slotsTo(peer: PeerName): GossipSlots | undefined {
    const connId = this.#modules.connectionTo(peer);
    return connId === undefined ? undefined : this.#slotsOf(connId);
  }

  /** For offering something: the connection counts as pending from now on. */
  #slotsOf(connId: number): GossipSlots | undefined {
    const slots = this.#slots.get(connId);
    if (slots !== undefined) this.#pending.add(connId);
    return slots;
  }

  /** Our own channel, or the surrogate; undefined if there are too many of those. */
  #channel(name: string): GossipChannel | undefined {
    const known = this.#channels.get(name) ?? this.#surrogates.get(name);
    if (known !== undefined) return known;
    if (this.#surrogates.size >= MAX_SURROGATES) {
      this.#counters['gossip-surrogate-refused']++;
      return undefined;
    }
    const surrogate = new SurrogateChannel(name);
    this.#surrogates.set(name, surrogate);
    return surrogate;
  }
}
