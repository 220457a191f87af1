/** The records of the topology table, shared by the table, its codec and its readers. */
import type { PeerName } from '../core/peer-name.js';

/** One connection as the peer that lists it sees it. */
export interface PeerLink {
  readonly remotePeer: PeerName;
  /** `ip:port` or `[ip]:port`: the dialled address if outbound, else where the other came from. */
  readonly remoteTcpAddr: string;
  readonly outbound: boolean;
  /** Data flows both ways in the eyes of the peer that lists the connection. */
  readonly established: boolean;
}

/** What is known of a peer. Entries are replaced or changed in place only by `Topology`. */
export interface PeerEntry {
  readonly name: PeerName;
  readonly nickname: string;
  /** 0 for placeholders: peers known only because another one lists a connection to them. */
  readonly uid: bigint;
  readonly version: bigint;
  /** 0 … 65535 as announced; only those under 4096 are usable. null: none announced. */
  readonly shortId: number | null;
  /**
   * BOUNDED by MAX_PEERS (one per remote peer); over all peers by
   * MAX_TOTAL_LINKS of topology.ts.
   */
  readonly connections: ReadonlyMap<PeerName, PeerLink>;
}
