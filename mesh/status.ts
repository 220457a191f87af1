/**
 * A picture of the mesh at one moment, for status pages, report and metrics. Plain data, to be read
 * in the turn in which it was made: connections of peers are listed only when somebody asks.
 */
import type { PeerName } from '../core/peer-name.js';
import type { OverlayAttributes } from './overlay.js';

export interface PeerConnectionStatus {
  readonly peer: PeerName;
  readonly nickname: string;
  /** `ip:port` as the peer that lists the connection sees it. */
  readonly address: string;
  readonly outbound: boolean;
  readonly established: boolean;
}

export interface PeerStatus {
  readonly name: PeerName;
  readonly nickname: string;
  readonly uid: bigint;
  readonly version: bigint;
  /** null: the peer has none. */
  readonly shortId: number | null;
  readonly connections: readonly PeerConnectionStatus[];
}

/** `waiting` only before the first attempt of a target. */
export type ConnectionState =
  | 'established'
  | 'pending'
  | 'connecting'
  | 'retrying'
  | 'failed'
  | 'waiting';

export interface ConnectionStatus {
  readonly state: ConnectionState;
  readonly address: string;
  readonly outbound: boolean;
  /** Known once the connection is pending or established. */
  readonly peer: { readonly name: PeerName; readonly nickname: string } | null;
  /** TCP session sealed with a password. */
  readonly encrypted: boolean;
  /** Overlay in use, e.g. `sleeve`; null before there is one. */
  readonly overlay: string | null;
  /** Why this overlay is the present choice, one sentence. */
  readonly overlayReason: string | null;
  readonly attributes: OverlayAttributes;
  /** Why the last attempt or session ended: stable code and text for people. */
  readonly lastError: { readonly code: string; readonly text: string } | null;
  /** Wall clock of the next attempt; `never` for targets given up. null when connected. */
  readonly retryAt: number | 'never' | null;
  readonly protocolVersion: 1 | 2 | null;
}

export interface RouteStatus {
  readonly unicast: readonly { readonly dest: PeerName; readonly via: PeerName }[];
  readonly broadcast: readonly { readonly source: PeerName; readonly via: readonly PeerName[] }[];
}

export interface MeshStatus {
  readonly name: PeerName;
  readonly nickname: string;
  readonly protocolMinVersion: 1 | 2;
  readonly protocolMaxVersion: 1 | 2;
  readonly encryption: boolean;
  readonly discovery: boolean;
  readonly peers: readonly PeerStatus[];
  readonly connections: readonly ConnectionStatus[];
  readonly routes: RouteStatus;
  /** Connections ended since start, those to ourselves excepted. */
  readonly terminationCount: number;
  /** Targets as the user gave them. */
  readonly targets: readonly string[];
  readonly trustedSubnets: readonly string[];
  /** Counters by stable name: handshakes by result code, messages by tag, refusals by reason … */
  readonly counters: Readonly<Record<string, number>>;
  /** Sentences about conditions that a person should mend, e.g. a peer name used twice. */
  readonly warnings: readonly string[];
}
