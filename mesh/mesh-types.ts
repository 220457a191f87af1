/** What the mesh is told at its start, and what it asks of its runner. */
import type { Clock } from '../core/clock.js';
import type { Cidr } from '../core/ip.js';
import type { Logger } from '../core/log.js';
import type { PeerName } from '../core/peer-name.js';
import type { Random } from '../core/random.js';
import type { Overlay } from './overlay.js';
import type { Cipher } from './peer/ciphers.js';
import type { ProtocolVersion } from './peer/connection.js';

export interface MeshOptions {
  readonly name: PeerName;
  readonly nickname: string;
  /** Random, never 0, new at every start. */
  readonly uid: bigint;
  /** Random 12 bits; null: none, for tests of old peers. */
  readonly shortId: number | null;
  /** TCP and UDP port; also assumed of discovered peers. */
  readonly port: number;
  /** null or empty: sessions in the clear. Secret. */
  readonly password: Uint8Array | null;
  readonly minVersion: ProtocolVersion;
  readonly maxVersion: ProtocolVersion;
  /** Dial addresses learnt from other peers. */
  readonly discovery: boolean;
  /** Connections of both polarities; 0: no limit. */
  readonly connLimit: number;
  readonly trustedSubnets: readonly Cidr[];
  /** What is accepted for sealed datagrams, best first; never empty. */
  readonly ciphers: readonly Cipher[];
  /** Further keys of our own in the feature map; routers that do not know them ignore them. */
  readonly extraFeatures: Readonly<Record<string, string>>;
}

export interface MeshModules {
  readonly random: Random;
  /** For what work took, see RouteKeeper; times of inputs come with them. */
  readonly clock?: Clock;
  /** Best first, e.g. fastdp before sleeve; not empty. The mesh sets their `onEvent`. */
  readonly overlays: readonly Overlay[];
  readonly log: Logger;
}

/** An accepted or dialled TCP connection. Addresses as `ip:port`. */
export interface NewSocket {
  /** Unique in this process, never reused. */
  readonly connId: number;
  readonly remoteAddr: string;
  readonly localAddr: string;
}

export type MeshAction =
  /** Answer with handleDialed or handleDialFailed. */
  | { readonly type: 'dial'; readonly address: string; readonly direct: boolean }
  /** If the socket blocks, say so with handleBlocked before the next poll. */
  | { readonly type: 'write'; readonly connId: number; readonly bytes: Uint8Array }
  /** @property graceful send what was written, then end; else reset. The id is unknown now. */
  | {
      readonly type: 'close';
      readonly connId: number;
      readonly code: string;
      readonly graceful: boolean;
    }
  /** To be remembered across restarts: the direct peers as the user gave them. */
  | { readonly type: 'targets-changed'; readonly texts: readonly string[] };
