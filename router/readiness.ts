/**
 * Whether traffic can be sent here (`/readyz`), and whether this process should go on (`/livez`).
 * An established connection has had its heartbeats carried over the data path and fails when they
 * stay away; a router alone sends a frame through its own device instead.
 */
import type { MeshStatus } from '../mesh/status.js';

export interface Health {
  readonly ok: boolean;
  /** One sentence. */
  readonly text: string;
}

export interface ReadinessParts {
  /** All parts are started. */
  readonly started: () => boolean;
  readonly mesh: () => Pick<MeshStatus, 'name' | 'peers' | 'connections'>;
  readonly loopAgeMs: () => number;
  /** Resolves to whether a frame came through the TAP device to the data plane. */
  readonly probeDevice: () => Promise<boolean>;
}

/** The data plane's loop wakes up every second at least; this long without is a hang. */
export const MAX_LOOP_AGE_MS = 10_000;

const UNDECIDED = new Set(['pending', 'connecting', 'waiting']);

export class Readiness {
  readonly #parts: ReadinessParts;
  /** Many may ask at once; one frame answers them all. */
  #probe: Promise<boolean> | null = null;

  constructor(parts: ReadinessParts) {
    this.#parts = parts;
  }

  live(): Health {
    const ageMs = this.#parts.loopAgeMs();
    if (ageMs < MAX_LOOP_AGE_MS) return { ok: true, text: 'ok' };
    const since = Number.isFinite(ageMs) ? ` for ${Math.round(ageMs / 1000)} s` : '';
    return { ok: false, text: `the data plane does not move${since}` };
  }

  async ready(): Promise<Health> {
    const live = this.live();
    if (!live.ok) return live;
    if (!this.#parts.started()) return { ok: false, text: 'parts are starting' };
    const { name, peers, connections } = this.#parts.mesh();
    const carried = connections.filter(({ state }) => state === 'established').length;
    if (carried > 0) {
      return { ok: true, text: `ok: heartbeats come over ${carried} connections` };
    }
    const others = peers.filter((peer) => peer.name !== name).length;
    const undecided = connections.filter(({ state }) => UNDECIDED.has(state)).length;
    if (others + undecided > 0) {
      return { ok: false, text: 'no heartbeat has come over the data path from any peer yet' };
    }
    this.#probe ??= this.#parts.probeDevice().finally(() => {
      this.#probe = null;
    });
    if (await this.#probe) return { ok: true, text: 'ok: alone, a frame came through the device' };
    return { ok: false, text: 'alone, and no frame comes through the TAP device' };
  }
}
