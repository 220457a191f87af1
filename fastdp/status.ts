/** A picture of the data plane at one moment. Plain data: it crosses threads. */
import type { Mac } from '../core/mac.js';
import type { PeerName } from '../core/peer-name.js';

export interface MacStatus {
  readonly mac: Mac;
  readonly peer: PeerName;
  /** How long ago a frame from it was seen last. */
  readonly ageMs: number;
}

/** Frames and bytes of frames exchanged with one neighbour, since its first connection. */
export interface PeerTraffic {
  readonly peer: PeerName;
  readonly framesSent: number;
  readonly bytesSent: number;
  readonly framesReceived: number;
  readonly bytesReceived: number;
  readonly datagramsSent: number;
  readonly datagramsReceived: number;
}

export interface DataPlaneStatus {
  readonly macs: readonly MacStatus[];
  readonly traffic: readonly PeerTraffic[];
  /** Frames and datagrams dropped, by the stable name of the reason. */
  readonly drops: Readonly<Record<string, number>>;
  readonly framesCaptured: number;
  readonly framesInjected: number;
  readonly datagramsSealed: number;
  readonly datagramsOpened: number;
  readonly keyChanges: number;
  readonly macMoves: number;
  readonly mssClamped: number;
}
