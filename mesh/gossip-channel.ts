/**
 * What ipam and dns implement to spread their state through the mesh, and what they get to send
 * with. Source: reference/wire-protocol.md 5.
 */
import type { PeerName } from '../core/peer-name.js';

/**
 * State on its way to a neighbour. It stays symbolic until it is sent, so that news that piles up
 * behind a slow connection merges instead of queueing.
 */
export interface GossipData {
  /**
   * Encoded at the moment of sending; each element becomes a message of its own. Large data may
   * come piece by piece: an element is asked for only when the connection can take it.
   */
  encode(): Iterable<Uint8Array>;
  /** Both together. `other` comes from the same channel. May change and return `this`. */
  merge(other: GossipData): GossipData;
  /**
   * Roughly the memory it takes while it waits, if that can be much; absent: not worth counting.
   * Connections on which most waits lose their oldest data when all together holds too much.
   */
  readonly heldBytes?: number;
}

export interface GossipChannel {
  /** e.g. `IPallocation`. */
  readonly name: string;
  /**
   * Merges the payload, returns what was new in it, or null.
   * @throws {DecodeError | ProtocolError} the connection it came from is closed.
   */
  onGossip(payload: Uint8Array, sender: PeerName, nowMs: number): GossipData | null;
  /** As onGossip, but returns what is to be passed on along the source's broadcast route. */
  onGossipBroadcast(payload: Uint8Array, source: PeerName, nowMs: number): GossipData | null;
  onGossipUnicast(payload: Uint8Array, source: PeerName, nowMs: number): void;
  /** Complete state, for periodic gossip and new connections. */
  completeState(): GossipData | null;
}

/** The mesh's side of a channel, handed to its owner at registration. */
export interface GossipSender {
  /** To one peer, routed. @returns false if no route exists; the message is dropped then. */
  unicast(destination: PeerName, payload: Uint8Array): boolean;
  broadcast(data: GossipData): void;
  /** To random neighbours. */
  neighbours(data: GossipData): void;
}
