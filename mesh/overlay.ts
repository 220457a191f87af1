/**
 * What the mesh asks of a data path. fastdp implements it; the mesh knows nothing of sockets,
 * devices or threads behind it. Everything that crosses this interface can be structured-cloned,
 * since the data path may live in another thread. Calls never throw and never block; what comes
 * back arrives as `OverlayEvent`.
 */
import type { PeerName } from '../core/peer-name.js';

/**
 * How datagrams are sealed. `nacl` is what the original has, `none` is the clear: no password, or
 * trusted both ways.
 */
export type DataCipher = 'none' | 'nacl' | 'aes-256-gcm';

/** One admitted TCP connection as the overlay needs it. Immutable for the connection's life. */
export interface OverlayPeering {
  /** Local id of the connection, unique in this process, never reused. */
  readonly connId: number;
  readonly localPeer: PeerName;
  readonly remotePeer: PeerName;
  /** XOR of both ends' connection ids; authenticates heartbeats. */
  readonly connectionUid: bigint;
  /** We opened the TCP connection. Enters the nonces. */
  readonly outbound: boolean;
  /** Address of our end of the TCP connection; DF datagrams leave from it. */
  readonly localIp: string;
  readonly remoteIp: string;
  /** UDP port to speak to first; null for the inbound end, which learns it from a heartbeat. */
  readonly remotePort: number | null;
  /** Agreed on by both ends. */
  readonly cipher: DataCipher;
  /**
   * The other end is a router of ours, too, and takes frames whose transport checksum is open.
   * Always so with AES-256-GCM, which only our routers have; false unless given.
   */
  readonly openChecksums?: boolean;
  /** AES-256-GCM: how many threads of ours the other end keeps apart; 1 unless given. */
  readonly lanes?: number;
  /** 32 bytes; null if and only if the cipher is `none`. Secret. */
  readonly sessionKey: Uint8Array | null;
}

/** Forwarding state computed from the topology; replaces the former one as a whole. */
export interface ForwardingTables {
  /** Every peer in the topology; frames naming others are dropped. */
  readonly peers: ReadonlySet<PeerName>;
  /** Strict routes: destination peer → neighbour to hand the frame to. No entry for ourselves. */
  readonly unicast: ReadonlyMap<PeerName, PeerName>;
  /** Strict routes: original source peer → neighbours that get the broadcast from us. */
  readonly broadcast: ReadonlyMap<PeerName, readonly PeerName[]>;
}

/** Shown in status after the overlay's name; keys sorted when printed. */
export type OverlayAttributes = Readonly<Record<string, string | number | boolean>>;

export type OverlayEvent =
  /** The other end acknowledged our heartbeat: both directions work. Once per connection. */
  | { readonly type: 'established'; readonly connId: number }
  /** Send this to the peer's overlay over TCP. */
  | {
      readonly type: 'control';
      readonly connId: number;
      readonly subTag: number;
      readonly data: Uint8Array;
    }
  | { readonly type: 'attributes'; readonly connId: number; readonly attributes: OverlayAttributes }
  /** The overlay connection is over; `code` is stable, `reason` is for people. */
  | {
      readonly type: 'failed';
      readonly connId: number;
      readonly code: string;
      readonly reason: string;
    };

export interface Overlay {
  /** The word in the `Overlays` feature, e.g. `sleeve`. */
  readonly name: string;
  /** Makes state for the connection; received datagrams of the peer are still ignored. */
  prepare(peering: OverlayPeering): void;
  /** The connection is in the topology: heartbeats may start. */
  confirm(connId: number): void;
  /** A control message of the peer's overlay arrived over TCP. Any content. */
  handleControl(connId: number, subTag: number, data: Uint8Array): void;
  /** The connection ended. Unknown ids are ignored. */
  stop(connId: number): void;
  setForwarding(tables: ForwardingTables): void;
  /** The peer was garbage-collected: forget its MAC addresses. */
  forgetPeer(peer: PeerName): void;
  /** The owner; set once before the first call. */
  onEvent: (event: OverlayEvent) => void;
}
