/**
 * Joins the forwarding tables, which name peers, with the links that lead to them, so that the
 * stages ask once per frame. Source: reference/wire-protocol.md 12.3, 12.4.
 */
import type { PeerName } from '../core/peer-name.js';
import type { ForwardingTables } from '../mesh/overlay.js';
import type { Link } from './link.js';
import { readU16, readU32, readU48 } from './wire.js';

const NO_LINKS: readonly Link[] = [];

export class Routes {
  readonly #localPeer: PeerName;
  #tables: ForwardingTables = { peers: new Set(), unicast: new Map(), broadcast: new Map() };
  /** BOUNDED by the connection limit: one link per confirmed connection. */
  readonly #links = new Map<PeerName, Link>();
  /** BOUNDED by the sources in the broadcast table; emptied whenever links or tables change. */
  readonly #broadcastLinks = new Map<PeerName, readonly Link[]>();
  /** Answers given last, since frames come in runs of one flow. -1: none. */
  #lastDestination = -1;
  #lastLink: Link | null = null;
  #lastKnown = -1;
  /** The sender asked about last, as it stands in datagrams. */
  #senderHigh = -1;
  #senderLow = 0;
  #senderLink: Link | undefined;

  constructor(localPeer: PeerName) {
    this.#localPeer = localPeer;
  }

  setTables(tables: ForwardingTables): void {
    this.#tables = tables;
    this.#forget();
  }

  /** The newest link to a peer replaces the one before. */
  addLink(link: Link): void {
    this.#links.set(link.remotePeer, link);
    this.#forget();
  }

  removeLink(link: Link): void {
    if (this.#links.get(link.remotePeer) === link) this.#links.delete(link.remotePeer);
    this.#forget();
  }

  /** The link to the neighbour whose name the buffer has at `offset`. */
  senderLink(buffer: Uint8Array, offset: number): Link | undefined {
    const high = readU16(buffer, offset);
    const low = readU32(buffer, offset + 2) | 0;
    if (high !== this.#senderHigh || low !== this.#senderLow) {
      this.#senderLink = this.#links.get(readU48(buffer, offset) as PeerName);
      this.#senderHigh = high;
      this.#senderLow = low;
    }
    return this.#senderLink;
  }

  isKnown(peer: PeerName): boolean {
    if (peer === this.#lastKnown || peer === this.#localPeer) return true;
    if (!this.#tables.peers.has(peer)) return false;
    this.#lastKnown = peer;
    return true;
  }

  hasRoute(destination: PeerName): boolean {
    return this.#tables.unicast.has(destination);
  }

  /** The link to hand frames for the destination to, or null. */
  nextLink(destination: PeerName): Link | null {
    if (destination === this.#lastDestination) return this.#lastLink;
    const hop = this.#tables.unicast.get(destination);
    this.#lastLink = (hop === undefined ? undefined : this.#links.get(hop)) ?? null;
    this.#lastDestination = destination;
    return this.#lastLink;
  }

  /** The links that get a broadcast of the source from us. */
  broadcastLinks(source: PeerName): readonly Link[] {
    const cached = this.#broadcastLinks.get(source);
    if (cached !== undefined) return cached;
    const hops = this.#tables.broadcast.get(source);
    if (hops === undefined) return NO_LINKS;
    const links: Link[] = [];
    for (const hop of hops) {
      const link = this.#links.get(hop);
      if (link !== undefined) links.push(link);
    }
    this.#broadcastLinks.set(source, links);
    return links;
  }

  #forget(): void {
    this.#broadcastLinks.clear();
    this.#lastDestination = -1;
    this.#lastLink = null;
    this.#lastKnown = -1;
    this.#senderHigh = -1;
    this.#senderLink = undefined;
  }
}
