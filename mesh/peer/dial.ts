/**
 * Whom to call, and when again: the connection maker. It keeps one target per address, from two
 * sources: direct peers, which the user named, and addresses that peers mention in the topology.
 * A machine: the owner dials what `pollAction` names and reports how it went.
 * Source: reference/wire-protocol.md 8.
 *
 *            +-------- wanted, time has come --------+
 *            |                                       v
 *   new -> waiting <---- failed, or ended ------ attempting -> connected
 *            |  ^                                               |
 *  unwanted  v  | wanted again                                  |
 *         suspended (direct peers), or dropped    <-- ended ----+ (by way of waiting)
 */
import { earliest, type Timeout } from '../../core/clock.js';
import type { PeerName } from '../../core/peer-name.js';
import type { Random } from '../../core/random.js';
import type { PeerLink } from '../topology-entry.js';
import { formatIpPort, parseIpPort } from './target-address.js';

/** The delay before the second attempt is about this long. */
export const FIRST_INTERVAL_MS = 2_000;
const INTERVAL_FACTOR = 1.5;
export const MAX_INTERVAL_MS = 6 * 60_000;
/** A session that ends this long after its attempt was due is redialled at once. */
export const RESET_AFTER_MS = 60_000;
/**
 * Addresses taken from gossip at one time, beyond those of direct peers. A peer that invents
 * addresses can make us dial this many and no more; a mesh of 1000 hosts has 1000.
 */
export const MAX_DISCOVERED_TARGETS = 4_096;

/**
 * Discovered addresses being dialled at one time; a host that drops our SYNs takes 30 s. Direct
 * peers don't wait for them.
 */
export const MAX_DISCOVERED_ATTEMPTS = 64;
/**
 * Looking through the topology takes up to a microsecond a link. One millisecond of pause for this
 * many links keeps it a small part of the time, however often connections come and go.
 */
const LINKS_PER_PAUSE_MS = 250;

export interface DialerOptions {
  readonly ownPort: number;
  /** Dial addresses learnt from the topology. */
  readonly discovery: boolean;
  /** Connections of both polarities; 0: no limit. */
  readonly connLimit: number;
}

/** What the dialer sees of the mesh at the moment it asks. */
export interface DialView {
  /** Our connections in the topology, of both polarities. */
  readonly connections: Iterable<{ readonly remoteAddr: string; readonly outbound: boolean }>;
  /** Entries of the topology; ours may be among them. */
  readonly peers: Iterable<{
    readonly name: PeerName;
    readonly connections: ReadonlyMap<PeerName, PeerLink>;
  }>;
  readonly self: PeerName;
  readonly connectedPeers: ReadonlySet<PeerName>;
  /** For the limit: connections of both polarities. */
  readonly connectionCount: number;
}

export interface DialerModules {
  readonly random: Random;
  readonly view: () => DialView;
}

/** A direct peer whose host name has been resolved. */
export interface ConnectItem {
  /** As the user wrote it. */
  readonly text: string;
  /** Without brackets. */
  readonly ip: string;
  /** null: our own port number. */
  readonly port: number | null;
}

/** Why an attempt or session came to nothing. */
export interface DialError {
  readonly code: string;
  readonly text: string;
}

export interface DialAction {
  readonly type: 'dial';
  /** `ip:port` */
  readonly address: string;
  /** The user named it: whoever answers may be a peer we have never heard of. */
  readonly direct: boolean;
}

export type TargetState = 'waiting' | 'attempting' | 'connected' | 'suspended';

export interface TargetStatus {
  readonly address: string;
  readonly state: TargetState;
  readonly direct: boolean;
  /** Next attempt; null unless waiting or suspended. */
  readonly tryAtMs: number | 'never' | null;
  /** Outcome of the last attempt or session; null before the first, and while connected. */
  readonly lastError: DialError | null;
}

interface Target {
  state: TargetState;
  /** While attempting or connected: when that attempt was due. */
  tryAtMs: number;
  never: boolean;
  intervalMs: number;
  lastError: DialError | null;
}

export class Dialer {
  readonly #options: DialerOptions;
  readonly #random: Random;
  readonly #view: () => DialView;
  /** User's text → address. Fed by the user only. */
  readonly #directPeers = new Map<string, { readonly ip: string; readonly port: number | null }>();
  /** By address. BOUNDED by direct peers + MAX_DISCOVERED_TARGETS + sessions of dropped targets. */
  readonly #targets = new Map<string, Target>();
  /** Not yet polled. BOUNDED by the number of targets: each is queued once per attempt. */
  readonly #actions: DialAction[] = [];
  #wakeAtMs: number | null = null;
  /** Addresses to have a connection to, as of the last look at topology and connections. */
  #wanted = new Set<string>();
  /** Not before this is the topology looked through again. */
  #nextLookMs = Number.NEGATIVE_INFINITY;
  #lookIsDue = false;
  readonly #counters = {
    'dial-attempts': 0,
    'dial-failures': 0,
    'dial-limit-reached': 0,
    'dial-addresses-refused': 0,
  };

  constructor(options: DialerOptions, modules: DialerModules) {
    this.#options = options;
    this.#random = modules.random;
    this.#view = modules.view;
  }

  get counters(): Readonly<Record<string, number>> {
    return this.#counters;
  }

  /** Adds direct peers, or replaces them all. Targets that exist are tried at once. */
  connect(items: readonly ConnectItem[], replace: boolean, nowMs: number): void {
    if (replace) this.#directPeers.clear();
    for (const { text, ip, port } of items) {
      this.#directPeers.set(text, { ip, port });
      const target = this.#targets.get(this.#addressOf(ip, port));
      if (target !== undefined && !isBusy(target)) this.#tryNow(target, nowMs);
    }
    this.#look(nowMs);
  }

  /** Removes direct peers by the exact text they were given as. Connections stay. */
  forget(texts: readonly string[], nowMs: number): void {
    for (const text of texts) this.#directPeers.delete(text);
    this.#look(nowMs);
  }

  /** The topology or our connections changed. */
  refresh(nowMs: number): void {
    if (nowMs >= this.#nextLookMs) this.#look(nowMs);
    else {
      this.#lookIsDue = true;
      this.#examine(nowMs);
    }
  }

  /** The address could not be reached: no session came of the attempt. */
  handleAttemptFailed(address: string, reason: DialError, nowMs: number): void {
    const target = this.#targets.get(address);
    if (target !== undefined) {
      this.#counters['dial-failures'] += 1;
      this.#retryLater(target, reason, nowMs);
    }
    // Neither topology nor connections changed by this.
    this.#examine(nowMs);
  }

  /** The session with this address was admitted. */
  handleConnected(address: string, nowMs: number): void {
    const target = this.#targets.get(address);
    if (target === undefined) return;
    target.state = 'connected';
    target.lastError = null;
    this.#wanted.delete(address);
    this.refresh(nowMs);
  }

  /** A session that we dialled ended or was refused, by either end. */
  handleEnded(
    address: string,
    reason: DialError & { readonly retry: 'later' | 'never' },
    nowMs: number,
  ): void {
    const target = this.#targets.get(address);
    if (target !== undefined) {
      if (reason.retry === 'never') {
        target.state = 'waiting';
        target.never = true;
        target.lastError = { code: reason.code, text: reason.text };
      } else if (nowMs > target.tryAtMs + RESET_AFTER_MS) {
        target.lastError = { code: reason.code, text: reason.text };
        this.#tryNow(target, nowMs);
      } else {
        this.#retryLater(target, reason, nowMs);
      }
      // It was wanted before it was connected; the next look says whether it still is.
      this.#wanted.add(address);
    }
    this.refresh(nowMs);
  }

  handleTimeout(nowMs: number): void {
    if (this.#lookIsDue && nowMs >= this.#nextLookMs) this.#look(nowMs);
    else if (this.#wakeAtMs !== null && nowMs >= this.#wakeAtMs) this.#examine(nowMs);
  }

  nextTimeout(): Timeout | null {
    const redial = this.#wakeAtMs === null ? null : { atMs: this.#wakeAtMs, reason: 'redial' };
    if (!this.#lookIsDue) return redial;
    return earliest(redial, { atMs: this.#nextLookMs, reason: 'look for targets' });
  }

  pollAction(): DialAction | null {
    return this.#actions.shift() ?? null;
  }

  /** Sorted by address. */
  targets(): TargetStatus[] {
    const direct = this.#directAddresses();
    const statuses = [...this.#targets].map(([address, target]): TargetStatus => {
      const { state, lastError } = target;
      const tryAtMs = isBusy(target) ? null : target.never ? 'never' : target.tryAtMs;
      return { address, state, direct: direct.has(address), tryAtMs, lastError };
    });
    return statuses.sort((a, b) => (a.address < b.address ? -1 : 1));
  }

  /** Texts of the direct peers in the order given, for persistence. */
  directTexts(): string[] {
    return [...this.#directPeers.keys()];
  }

  /** Addresses of direct peers that have not turned out to be ourselves. */
  foreignDirectCount(): number {
    const isSelf = (address: string): boolean =>
      this.#targets.get(address)?.lastError?.code === 'connected-to-self';
    return [...this.#directAddresses()].filter((address) => !isSelf(address)).length;
  }

  /** Finds out anew what is wanted. */
  #look(nowMs: number): void {
    let links = 0;
    for (const peer of this.#view().peers) links += peer.connections.size;
    this.#nextLookMs = nowMs + Math.floor(links / LINKS_PER_PAUSE_MS);
    this.#lookIsDue = false;
    this.#wanted = this.#wantedAddresses(this.#view());
    this.#examine(nowMs);
  }

  /** Compares targets with what is wanted, starts what is due, and sets the timer. */
  #examine(nowMs: number): void {
    const direct = this.#directAddresses();
    const wanted = this.#wanted;
    for (const address of wanted) {
      const target = this.#targets.get(address);
      if (target === undefined) this.#targets.set(address, newTarget(nowMs));
      else if (target.state === 'suspended') target.state = 'waiting';
    }
    let discoveredAttempts = 0;
    for (const [address, { state }] of this.#targets) {
      if (state === 'attempting' && !direct.has(address)) discoveredAttempts++;
    }
    this.#wakeAtMs = null;
    for (const [address, target] of this.#targets) {
      if (isBusy(target)) continue;
      const isDirect = direct.has(address);
      if (!wanted.has(address)) {
        if (isDirect) target.state = 'suspended';
        else this.#targets.delete(address);
        continue;
      }
      if (target.never) continue;
      if (nowMs >= target.tryAtMs) {
        // The end of any attempt leads back here, so those who have to wait need no timer.
        if (!isDirect && discoveredAttempts >= MAX_DISCOVERED_ATTEMPTS) continue;
        this.#attempt(address, target, isDirect, nowMs);
        if (isBusy(target) && !isDirect) discoveredAttempts++;
      }
      if (!isBusy(target)) this.#wakeAtMs = Math.min(this.#wakeAtMs ?? Infinity, target.tryAtMs);
    }
  }

  #attempt(address: string, target: Target, direct: boolean, nowMs: number): void {
    const { connLimit } = this.#options;
    if (connLimit > 0 && this.#view().connectionCount >= connLimit) {
      this.#counters['dial-limit-reached'] += 1;
      const text = `connection limit reached (${connLimit})`;
      this.#retryLater(target, { code: 'connection-limit', text }, nowMs);
      return;
    }
    this.#counters['dial-attempts'] += 1;
    target.state = 'attempting';
    this.#actions.push({ type: 'dial', address, direct });
  }

  #wantedAddresses(view: DialView): Set<string> {
    const connected = new Set<string>();
    const inboundIps = new Set<string>();
    for (const { remoteAddr, outbound } of view.connections) {
      connected.add(remoteAddr);
      const remote = outbound ? null : parseIpPort(remoteAddr);
      if (remote !== null) inboundIps.add(remote.ip);
    }
    const wanted = new Set<string>();
    for (const { ip, port } of this.#directPeers.values()) {
      const address = this.#addressOf(ip, port);
      // Without a port the user means the host: that it called us is as good as calling it.
      if (!connected.has(address) && !(port === null && inboundIps.has(ip))) wanted.add(address);
    }
    if (this.#options.discovery) {
      for (const address of this.#discoveredAddresses(view, wanted.size)) {
        if (!connected.has(address)) wanted.add(address);
      }
    }
    return wanted;
  }

  /** Where peers that we lack a connection to were seen by others. */
  #discoveredAddresses(view: DialView, alreadyWanted: number): ReadonlySet<string> {
    const found = new Set<string>();
    const limit = alreadyWanted + MAX_DISCOVERED_TARGETS;
    for (const peer of view.peers) {
      if (peer.name === view.self) continue;
      for (const { remotePeer, remoteTcpAddr, outbound } of peer.connections.values()) {
        if (remotePeer === view.self || view.connectedPeers.has(remotePeer)) continue;
        const remote = parseIpPort(remoteTcpAddr);
        if (remote === null || found.size >= limit) {
          this.#counters['dial-addresses-refused'] += 1;
          continue;
        }
        // The port of an inbound connection was made up for it by the caller's kernel.
        found.add(formatIpPort(remote.ip, outbound ? remote.port : this.#options.ownPort));
      }
    }
    return found;
  }

  #directAddresses(): ReadonlySet<string> {
    const peers = [...this.#directPeers.values()];
    return new Set(peers.map(({ ip, port }) => this.#addressOf(ip, port)));
  }

  #addressOf(ip: string, port: number | null): string {
    return formatIpPort(ip, port ?? this.#options.ownPort);
  }

  #tryNow(target: Target, nowMs: number): void {
    target.state = 'waiting';
    target.never = false;
    target.tryAtMs = nowMs;
    target.intervalMs = FIRST_INTERVAL_MS;
  }

  #retryLater(target: Target, reason: DialError, nowMs: number): void {
    target.state = 'waiting';
    target.lastError = { code: reason.code, text: reason.text };
    target.tryAtMs = nowMs + target.intervalMs * (0.5 + this.#random.float());
    target.intervalMs = Math.min(target.intervalMs * INTERVAL_FACTOR, MAX_INTERVAL_MS);
  }
}

function newTarget(nowMs: number): Target {
  return {
    state: 'waiting',
    tryAtMs: nowMs,
    never: false,
    intervalMs: FIRST_INTERVAL_MS,
    lastError: null,
  };
}

/** An attempt or a session is under way; its end will be reported. */
function isBusy(target: Target): boolean {
  return target.state === 'attempting' || target.state === 'connected';
}
