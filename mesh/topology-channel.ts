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

/** Names of peers. BOUNDED by the peers known. */
export class TopologyNews implements GossipData {
  readonly #source: TopologySource;
  readonly #names: ReadonlySet<PeerName>;
  #encoded: readonly Uint8Array[] = [];
  #encodedRevision = -1;

  constructor(source: TopologySource, names: ReadonlySet<PeerName>) {
    this.#source = source;
    this.#names = names;
  }

  /**
   * Nothing at all if none of the peers is known any more. The same news usually goes to several
   * neighbours; with hundreds of peers encoding it once for all of them matters.
   */
  encode(): readonly Uint8Array[] {
    const { topology, revision } = this.#source;
    if (this.#encodedRevision !== revision) {
      const payload = topology.encode(this.#names);
      this.#encoded = payload.length === 0 ? [] : [payload];
      this.#encodedRevision = revision;
    }
    return this.#encoded;
  }

  merge(other: GossipData): GossipData {
    if (!(other instanceof TopologyNews)) throw new Error('topology news meets other data');
    return new TopologyNews(this.#source, new Set([...this.#names, ...other.#names]));
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
