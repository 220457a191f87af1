/**
 * What the kernel is asked to do for many frames or datagrams at once, and what it is not: by
 * option, because the kernel cannot, or because the self-test at start saw it fail. Each is either
 * on or off for the life of the thread, with the reason for status and metrics.
 */

export const OFFLOAD_NAMES = [
  /** Send: equal datagrams to one address leave as one message that the kernel cuts. */
  'udp-segment',
  /** Receive: the kernel joins datagrams of one sender. */
  'udp-gro',
  /** The TAP device has a vnet header; transport checksums may be left open both ways. */
  'tap-checksum',
  /** Captured TCP frames may be larger than the MTU; they are cut here. */
  'tap-segmentation',
  /** TCP segments to the bridge are joined here to frames larger than the MTU. */
  'tap-join',
  /** Writes to the TAP device are handed over a round at a time by io_uring. */
  'io-uring',
] as const;
export type OffloadName = (typeof OFFLOAD_NAMES)[number];

/** Command-line switches of the router; each takes several offloads away. */
export interface OffloadSwitches {
  /** Nothing that was made large is cut later: `udp-segment`, `tap-segmentation`. */
  readonly noGso?: boolean;
  /** Nothing is joined on its way in: `udp-gro`, `tap-join`. */
  readonly noGro?: boolean;
  /** Frames of the TAP device are plain: `tap-checksum` and what needs it. */
  readonly noVnetHdr?: boolean;
  readonly noUring?: boolean;
}

/** Plain data: it crosses threads. */
export interface OffloadState {
  readonly name: OffloadName;
  readonly enabled: boolean;
  /** Why it is off, or what is known about it being on; one short phrase. */
  readonly reason: string;
  /** Switched off because it failed, not by the user: worth a warning. */
  readonly failed: boolean;
}

const SWITCHED: Readonly<Record<keyof OffloadSwitches, readonly [string, ...OffloadName[]]>> = {
  noGso: ['--no-gso', 'udp-segment', 'tap-segmentation'],
  noGro: ['--no-gro', 'udp-gro', 'tap-join'],
  noVnetHdr: ['--no-vnet-hdr', 'tap-checksum'],
  noUring: ['--no-uring', 'io-uring'],
};

/** Both describe their frames in the vnet header, with the checksum open. */
const NEED_CHECKSUM: readonly OffloadName[] = ['tap-segmentation', 'tap-join'];

export class Offloads {
  /** BOUNDED by OFFLOAD_NAMES. */
  readonly #states = new Map<OffloadName, OffloadState>();

  constructor(switches: OffloadSwitches = {}) {
    for (const name of OFFLOAD_NAMES) {
      this.#states.set(name, { name, enabled: true, reason: 'not tested', failed: false });
    }
    for (const key of Object.keys(SWITCHED) as (keyof OffloadSwitches)[]) {
      if (switches[key] !== true) continue;
      const [option, ...names] = SWITCHED[key];
      for (const name of names) this.#turnOff(name, option, false);
    }
  }

  /** What another thread of this router found out. */
  static from(states: readonly OffloadState[]): Offloads {
    const offloads = new Offloads();
    for (const state of states) offloads.#states.set(state.name, state);
    return offloads;
  }

  enabled(name: OffloadName): boolean {
    return this.#states.get(name)?.enabled === true;
  }

  /** Says what a working offload was found to be. Nothing happens to one that is off. */
  confirm(name: OffloadName, reason: string): void {
    if (!this.enabled(name)) return;
    this.#states.set(name, { name, enabled: true, reason, failed: false });
  }

  /** It was seen to fail. The first reason stays. */
  fail(name: OffloadName, reason: string): void {
    this.#turnOff(name, reason, true);
  }

  /** The kernel does not offer it, or it would not pay. */
  withdraw(name: OffloadName, reason: string): void {
    this.#turnOff(name, reason, false);
  }

  /** In the order of OFFLOAD_NAMES. */
  status(): OffloadState[] {
    return [...this.#states.values()];
  }

  #turnOff(name: OffloadName, reason: string, failed: boolean): void {
    if (!this.enabled(name)) return;
    this.#states.set(name, { name, enabled: false, reason, failed });
    if (name !== 'tap-checksum') return;
    for (const other of NEED_CHECKSUM) this.#turnOff(other, `needs ${name}: ${reason}`, failed);
  }
}
