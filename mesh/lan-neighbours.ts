/**
 * Finds routers of the same local network: announces this one, and names those heard to the
 * connection maker until they are in the mesh, where gossip goes on. A machine without sockets.
 */
import type { Timeout } from '../core/clock.js';
import { errorCode } from '../core/errors.js';
import type { PeerName } from '../core/peer-name.js';
import type { Random } from '../core/random.js';
import { decodeAnnouncement, encodeAnnouncement } from './lan-announcement.js';
import type { ConnectItem } from './peer/dial.js';

export interface LanOptions {
  readonly name: PeerName;
  /** Where we accept connections. */
  readonly port: number;
  /** See `announcementKey`. Secret. */
  readonly key: Uint8Array;
}

export interface LanModules {
  readonly random: Random;
  /** Whether a peer is in the mesh already. */
  readonly isKnown: (peer: PeerName) => boolean;
}

export type LanAction =
  | { readonly type: 'announce'; readonly bytes: Uint8Array }
  | { readonly type: 'connect'; readonly item: ConnectItem }
  /** By the text of its item. */
  | { readonly type: 'forget'; readonly text: string };

/** Marks such targets in lists; no host name has a blank. */
const PREFIX = 'lan ';
const INTERVAL_MS = 10_000;
/** The first ones come closer: whoever starts wants to be found. */
const FIRST_INTERVAL_MS = 1_000;
const FIRST_COUNT = 3;
/** Three announcements in a row may be lost. */
const EXPIRY_MS = 3.5 * INTERVAL_MS;
/** Names remembered; a local network that has more finds the rest by gossip. */
const MAX_NEIGHBOURS = 1_024;
/** Datagrams looked at a second: each costs a check of its seal. */
const MAX_PER_SECOND = 500;

interface Neighbour {
  /** Of its latest announcement, by its clock: older ones are repeated by somebody. */
  lastMs: number;
  /** By ours. */
  heardMs: number;
  /** The target that stands for it; null: it is in the mesh. */
  text: string | null;
}

/** Whether a target comes from here, and so is not to be stored. */
export const isLanTarget = (text: string): boolean => text.startsWith(PREFIX);

export class LanNeighbours {
  readonly #options: LanOptions;
  readonly #modules: LanModules;
  /** BOUNDED by MAX_NEIGHBOURS. */
  readonly #neighbours = new Map<PeerName, Neighbour>();
  #actions: LanAction[] = [];
  #announced = 0;
  #announceAtMs: number;
  #second = { startMs: 0, count: 0 };
  readonly #counters = {
    'lan-announced': 0,
    'lan-heard': 0,
    'lan-refused': 0,
    'lan-other-password': 0,
    'lan-repeated': 0,
    'lan-too-many': 0,
  };

  constructor(options: LanOptions, modules: LanModules, nowMs: number) {
    this.#options = options;
    this.#modules = modules;
    this.#announceAtMs = nowMs;
  }

  get counters(): Readonly<Record<string, number>> {
    return this.#counters;
  }

  nextTimeout(): Timeout {
    return { atMs: this.#announceAtMs, reason: 'announce' };
  }

  /** @param wallMs our wall clock, milliseconds since 1970. */
  handleTimeout(nowMs: number, wallMs: number): void {
    if (nowMs < this.#announceAtMs) return;
    const { name, port, key } = this.#options;
    const bytes = encodeAnnouncement({ name, port, atMs: Math.floor(wallMs) }, key);
    this.#actions.push({ type: 'announce', bytes });
    this.#announced += 1;
    this.#counters['lan-announced'] += 1;
    const interval = this.#announced < FIRST_COUNT ? FIRST_INTERVAL_MS : INTERVAL_MS;
    this.#announceAtMs = nowMs + interval * (0.8 + 0.4 * this.#modules.random.float());
    this.#expire(nowMs);
  }

  /** @param source IPv4 address that it came from. */
  handleDatagram(bytes: Uint8Array, source: string, nowMs: number): void {
    if (!this.#mayLook(nowMs)) return;
    let announcement: ReturnType<typeof decodeAnnouncement>;
    try {
      announcement = decodeAnnouncement(bytes, this.#options.key);
    } catch (error) {
      const isOther = errorCode(error) === 'announcement-password';
      this.#counters[isOther ? 'lan-other-password' : 'lan-refused'] += 1;
      return;
    }
    const { name, port, atMs } = announcement;
    if (name === this.#options.name) return;
    const neighbour = this.#neighbours.get(name) ?? { lastMs: -1, heardMs: nowMs, text: null };
    if (atMs <= neighbour.lastMs) {
      this.#counters['lan-repeated'] += 1;
      return;
    }
    if (!this.#neighbours.has(name) && this.#neighbours.size >= MAX_NEIGHBOURS) {
      this.#counters['lan-too-many'] += 1;
      return;
    }
    this.#counters['lan-heard'] += 1;
    this.#neighbours.set(name, neighbour);
    neighbour.lastMs = atMs;
    neighbour.heardMs = nowMs;
    // Without a port the maker of connections takes a call from there for one of ours.
    const ownPort = port === this.#options.port;
    const item = { ip: source, port: ownPort ? null : port };
    const text = this.#modules.isKnown(name) ? null : `${PREFIX}${source}:${port}`;
    if (neighbour.text !== null && neighbour.text !== text) this.#forget(neighbour);
    if (text === null || neighbour.text === text) return;
    neighbour.text = text;
    this.#actions.push({ type: 'connect', item: { text, ...item } });
  }

  pollAction(): LanAction | null {
    return this.#actions.shift() ?? null;
  }

  #mayLook(nowMs: number): boolean {
    if (nowMs - this.#second.startMs >= 1_000) this.#second = { startMs: nowMs, count: 0 };
    this.#second.count += 1;
    if (this.#second.count <= MAX_PER_SECOND) return true;
    this.#counters['lan-too-many'] += 1;
    return false;
  }

  #expire(nowMs: number): void {
    for (const [name, neighbour] of this.#neighbours) {
      if (nowMs - neighbour.heardMs < EXPIRY_MS) continue;
      if (neighbour.text !== null) this.#forget(neighbour);
      this.#neighbours.delete(name);
    }
  }

  #forget(neighbour: Neighbour): void {
    if (neighbour.text !== null) this.#actions.push({ type: 'forget', text: neighbour.text });
    neighbour.text = null;
  }
}
