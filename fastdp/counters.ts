/** Counts of the data plane, one owner, written by the stages. Doubles, so they do not wrap. */
import type { PeerName } from '../core/peer-name.js';
import { DROP_REASON_NAMES, type DropReason } from './drop-reason.js';
import type { PeerTraffic } from './status.js';

/** Frames and bytes exchanged with one neighbour. */
export class Traffic {
  framesSent = 0;
  bytesSent = 0;
  framesReceived = 0;
  bytesReceived = 0;
  datagramsSent = 0;
  datagramsReceived = 0;
}

export class Counters {
  /** Indexed by DropReason. */
  readonly drops = new Float64Array(DROP_REASON_NAMES.length);
  framesCaptured = 0;
  framesInjected = 0;
  datagramsSealed = 0;
  datagramsOpened = 0;
  /** Changes of the keys that this end seals with, of all connections. */
  keyChanges = 0;
  /** Segment sizes of TCP connections lowered to what a path carries. */
  mssClamped = 0;
  /** BOUNDED by the neighbours seen since the topology last forgot them. */
  readonly #traffic = new Map<PeerName, Traffic>();

  /** Counts and passes the reason on; `none` is not counted. */
  drop(reason: DropReason): DropReason {
    if (reason !== 0) this.drops[reason] = (this.drops[reason] as number) + 1;
    return reason;
  }

  /** The neighbour's counts, which outlive its connections. */
  trafficOf(peer: PeerName): Traffic {
    let traffic = this.#traffic.get(peer);
    if (traffic === undefined) {
      traffic = new Traffic();
      this.#traffic.set(peer, traffic);
    }
    return traffic;
  }

  forgetPeer(peer: PeerName): void {
    this.#traffic.delete(peer);
  }

  trafficStatus(): PeerTraffic[] {
    return [...this.#traffic].map(([peer, traffic]) => ({ peer, ...traffic }));
  }

  /** All reasons, also those that never occurred, so that metrics have every series. */
  dropStatus(): Record<string, number> {
    const out: Record<string, number> = {};
    for (let i = 1; i < DROP_REASON_NAMES.length; i++) {
      out[DROP_REASON_NAMES[i] as string] = this.drops[i] as number;
    }
    return out;
  }
}
