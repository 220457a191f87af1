/**
 * The gossip channels of the name table: turns payloads into entries for the machine, and entries
 * on their way to a neighbour into payloads. Source: reference/weavedns.md 4.
 */
import type { Clock } from '../core/clock.js';
import type { PeerName } from '../core/peer-name.js';
import type { GossipChannel, GossipData, GossipSender } from '../mesh/gossip-channel.js';
import { addressCodec, type NamesCodec, recordCodec } from './gossip-codec.js';
import { identityOf, type NameEntry, supersedes } from './name-entry.js';
import type { Names } from './names.js';

/** Some megabytes: a message must stay below the largest control frame. */
const ENTRIES_PER_MESSAGE = 5_000;
/** Of an entry on its way, roughly; the entry itself is shared with the table. */
const BYTES_PER_ENTRY = 150;

/** BOUNDED by the entries of the table, since merging keeps one version of each. */
export class NamesNews implements GossipData {
  readonly #codec: NamesCodec;
  readonly #entries: Map<string, NameEntry>;
  /** Unix seconds. */
  #timestamp: number;
  #encoded: readonly Uint8Array[] | null = null;
  /** Made by a merge and known to nobody else, so that the next merge may change it. */
  #isOwn = false;

  constructor(codec: NamesCodec, entries: Iterable<NameEntry>, timestamp: number) {
    this.#codec = codec;
    this.#entries = new Map();
    for (const entry of entries) addNewer(this.#entries, entry);
    this.#timestamp = timestamp;
  }

  /** Encoded once for all neighbours it goes to. */
  encode(): Iterable<Uint8Array> {
    this.#encoded ??= this.#encode();
    return this.#encoded;
  }

  #encode(): Uint8Array[] {
    const all = [...this.#entries.values()];
    const payloads: Uint8Array[] = [];
    for (let start = 0; start === 0 || start < all.length; start += ENTRIES_PER_MESSAGE) {
      const entries = all.slice(start, start + ENTRIES_PER_MESSAGE);
      payloads.push(this.#codec.encode({ timestamp: this.#timestamp, entries }));
    }
    return payloads;
  }

  merge(other: GossipData): GossipData {
    if (!(other instanceof NamesNews)) throw new Error('names meet other data');
    let merged: NamesNews = this;
    if (!this.#isOwn) {
      merged = new NamesNews(this.#codec, this.#entries.values(), this.#timestamp);
      merged.#isOwn = true;
    }
    for (const entry of other.#entries.values()) addNewer(merged.#entries, entry);
    merged.#timestamp = Math.max(merged.#timestamp, other.#timestamp);
    merged.#encoded = null;
    return merged;
  }

  get heldBytes(): number {
    return this.#entries.size * BYTES_PER_ENTRY;
  }
}

function addNewer(entries: Map<string, NameEntry>, entry: NameEntry): void {
  const identity = identityOf(entry);
  const known = entries.get(identity);
  if (known === undefined || supersedes(entry, known)) entries.set(identity, entry);
}

export interface NameChannelModules {
  readonly names: Names;
  readonly clock: Clock;
}

export class NameChannel implements GossipChannel {
  readonly name: string;
  readonly #codec: NamesCodec;
  readonly #modules: NameChannelModules;

  constructor(codec: NamesCodec, modules: NameChannelModules) {
    this.name = codec.channel;
    this.#codec = codec;
    this.#modules = modules;
  }

  /** @throws {DecodeError} codes of gob; nothing was taken from the payload then. */
  onGossip(payload: Uint8Array, _sender: PeerName, nowMs: number): GossipData | null {
    const result = this.#modules.names.handleGossip(this.#codec.decode(payload), nowMs);
    return result === null ? null : this.news(result.news);
  }

  /** Passed on with the time of its author, so that relays do not hide a wrong clock. */
  onGossipBroadcast(payload: Uint8Array, _source: PeerName, nowMs: number): GossipData | null {
    const message = this.#codec.decode(payload);
    const result = this.#modules.names.handleGossip(message, nowMs);
    return result === null ? null : this.news(result.relayed, message.timestamp);
  }

  /** Nobody sends these. */
  onGossipUnicast(): void {}

  completeState(): GossipData | null {
    return this.news(this.#modules.names.table.all());
  }

  /** @returns null if there is nothing that this channel carries. */
  news(entries: Iterable<NameEntry>, timestamp = this.#nowS()): GossipData | null {
    const carried = [...entries].filter((entry) => this.#codec.carries(entry));
    return carried.length === 0 ? null : new NamesNews(this.#codec, carried, timestamp);
  }

  #nowS(): number {
    return Math.floor(this.#modules.clock.wallMs() / 1000);
  }
}

/**
 * Connects the machine with the mesh: both channels are registered, and what the machine has to
 * say goes out through them.
 */
export function registerNameChannels(
  register: (channel: GossipChannel) => GossipSender,
  modules: NameChannelModules,
): void {
  const channels = [addressCodec, recordCodec].map((codec) => {
    const channel = new NameChannel(codec, modules);
    return { channel, sender: register(channel) };
  });
  modules.names.onBroadcast = (entries) => {
    for (const { channel, sender } of channels) {
      const news = channel.news(entries);
      if (news !== null) sender.broadcast(news);
    }
  };
  modules.names.onNews = (entries) => {
    for (const { channel, sender } of channels) {
      const news = channel.news(entries);
      if (news !== null) sender.neighbours(news);
    }
  };
}
