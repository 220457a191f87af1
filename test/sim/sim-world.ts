/** What the parts of the simulation see of each other. */
import type { Mesh } from '../../mesh/mesh.js';
import type { EventQueue } from './event-queue.js';
import type { SeededRandom } from './seeded-random.js';

export interface SimNetworkOptions {
  readonly minLatencyMs: number;
  readonly maxLatencyMs: number;
  /** Of a write to leave its socket blocked for a while. */
  readonly blockProbability: number;
}

export interface SimWorld {
  readonly nowMs: number;
  readonly events: EventQueue;
  readonly random: SeededRandom;
  readonly options: SimNetworkOptions;
  latencyMs(): number;
  reachable(a: string, b: string): boolean;
  sendDatagram(from: string, to: string, overlay: string, connectionUid: bigint): void;
  dial(from: SimHost, address: string, direct: boolean): void;
}

/** One end of a TCP connection. */
export interface SimWire {
  /** @returns false if the socket is blocked now; its node hears when it no longer is. */
  write(bytes: Uint8Array): boolean;
  close(graceful: boolean): void;
  breakOff(): void;
}

export interface SimHost {
  readonly ip: string;
  readonly mesh: Mesh;
  readonly sockets: Map<number, SimWire>;
  readonly alive: boolean;
  input(feed: (nowMs: number) => void): void;
}
