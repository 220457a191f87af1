/**
 * The `topology` gossip channel: carries sets of peer names that turn into entries only when they
 * are sent, so that a message always holds the newest that this router knows (C31).
 * Source: reference/wire-protocol.md 6.4.
 */
import { ProtocolError } from '../core/errors.js';
import { formatPeerName, type PeerName } from '../core/peer-name.js';
import type { GossipChannel, GossipData } from './gossip-channel.js';
import type { Topology, UpdateResult } from './topology.js';

export const TOPOLOGY_CHANNEL = 'topology';

/** Up to this all goes in one message, as from the original. */
const MAX_MESSAGE_BYTES = 8 * 1024 * 1024;
/** Larger ones are cut finer, since encoding a piece keeps everything else waiting. */
const PIECE_BYTES = 1024 * 1024;

/** Memory of one name in a set, roughly. */
const BYTES_PER_NAME = 40;

/** Names of peers. BOUNDED by the peers known. */
export class TopologyNews implements GossipData {
  readonly #source: TopologySource;
  readonly #names: ReadonlySet<PeerName>;
  /** The same set if nobody else has it: a result of merging, which further names may join. */
  #own: Set<PeerName> | null = null;
  #encoded: readonly Uint8Array[] = [];
  #encodedRevision = -1;

  constructor(source: TopologySource, names: ReadonlySet<PeerName>) {
    this.#source = source;
    this.#names = names;
  }

  /**
   * Nothing at all if none of the peers is known any more. The same news usually goes to several
   * neighbours; with hundreds of peers encoding it once for all of them matters. What does not fit
   * one message is made piece by piece, so that only one piece exists at a time.
   */
  encode(): Iterable<Uint8Array> {
    const { topology, revision } = this.#source;
    if (this.#encodedRevision !== revision) {
      const batches = topology.batches(this.#names, MAX_MESSAGE_BYTES);
      const first = batches.next();
      const second = batches.next();
      if (!second.done) return this.#pieces();
      this.#encoded = first.done ? [] : [topology.encode(first.value)];
      this.#encodedRevision = revision;
    }
    return this.#encoded;
  }

  *#pieces(): Iterable<Uint8Array> {
    const { topology } = this.#source;
    for (const names of topology.batches(this.#names, PIECE_BYTES)) {
      const payload = topology.encode(names);
      if (payload.length > 0) yield payload;
    }
  }

  /** One object goes to several neighbours, so the first merge copies; later ones only add. */
  merge(other: GossipData): GossipData {
    if (!(other instanceof TopologyNews)) throw new Error('topology news meets other data');
    if (this.#own === null) {
      const names = new Set([...this.#names, ...other.#names]);
      const merged = new TopologyNews(this.#source, names);
      merged.#own = names;
      return merged;
    }
    for (const name of other.#names) this.#own.add(name);
    this.#encodedRevision = -1;
    return this;
  }

  get heldBytes(): number {
    return this.#names.size * BYTES_PER_NAME;
  }
}

/** The table, with a number that rises whenever something in it may have changed. */
interface TopologySource {
  readonly topology: Topology;
  readonly revision: number;
}

export interface TopologyChannelModules {
  readonly topology: Topology;
  /** After each applied update, before its news is passed on. */
  readonly onUpdate: (result: UpdateResult, nowMs: number) => void;
}

export class TopologyChannel implements GossipChannel {
  readonly name = TOPOLOGY_CHANNEL;
  readonly #modules: TopologyChannelModules;
  readonly #source: { readonly topology: Topology; revision: number };

  constructor(modules: TopologyChannelModules) {
    this.#modules = modules;
    this.#source = { topology: modules.topology, revision: 0 };
  }

  /** The table was changed from elsewhere: what was encoded before is stale. */
  touch(): void {
    this.#source.revision++;
  }

  /** @returns null if there are no names. */
  news(names: ReadonlySet<PeerName>): GossipData | null {
    return names.size === 0 ? null : new TopologyNews(this.#source, names);
  }

  /** @throws {DecodeError} the table is unchanged then. */
  onGossip(payload: Uint8Array, _sender: PeerName, nowMs: number): GossipData | null {
    return this.news(this.#apply(payload, nowMs).improved);
  }

  /** We never originate these, but older releases do. @throws {DecodeError} as onGossip. */
  onGossipBroadcast(payload: Uint8Array, _source: PeerName, nowMs: number): GossipData | null {
    return this.news(this.#apply(payload, nowMs).received);
  }

  /** @throws {ProtocolError} `topology-unicast`, always. */
  onGossipUnicast(_payload: Uint8Array, source: PeerName): void {
    throw new ProtocolError(
      'topology-unicast',
      `unexpected topology gossip unicast from ${formatPeerName(source)}`,
    );
  }

  completeState(): GossipData | null {
    return this.news(new Set(this.#modules.topology.peers.keys()));
  }

  #apply(payload: Uint8Array, nowMs: number): UpdateResult {
    const result = this.#modules.topology.applyUpdate(payload, nowMs);
    this.touch();
    this.#modules.onUpdate(result, nowMs);
    return result;
  }
}
