/**
 * Merging a received ring into ours: the union of the tokens, the newer entry for each. Since an
 * entry is changed by its owner alone that is all there is in a healthy network. After a take-over,
 * a restored disk or a split, two peers may believe to own the same addresses; such conflicts are
 * put to a policy, and never end a connection. Source: reference/ipam.md 4.
 */
import { ProtocolError } from '../core/errors.js';
import { formatIpv4 } from '../core/ip.js';
import { formatPeerName, type PeerName } from '../core/peer-name.js';
import type { RingEntry, RingState } from './interfaces.js';
import type { AddressRange } from './range.js';
import { checkRing, distance, raise, TAKE_OVER_INCREMENT } from './ring.js';

/** Somebody else says to own what we own and use. */
export interface RingConflict extends AddressRange {
  /** A token inside a range of ours; our entry under another owner; the same, but newer. */
  readonly kind: 'inside' | 'same-version' | 'newer';
  /** Ours, the one that covers the token. */
  readonly ours: RingEntry;
  readonly theirs: RingEntry;
  /** The original's text. */
  readonly text: string;
}

/** `counter`: the token is taken over, but as ours and newer than theirs. */
export type Resolution = 'take' | 'keep' | 'counter';

export interface MergePolicy {
  /** Not all of these addresses are ours and free. */
  isInUse(range: AddressRange): boolean;
  /** Both own it and it is in use here. May throw; nothing is changed then. */
  resolve(conflict: RingConflict): Resolution;
  /** Two owners at one version, where nothing of ours is at stake. */
  breakTie(ours: RingEntry, theirs: RingEntry): Resolution;
}

export interface MergeResult {
  readonly entries: readonly RingEntry[];
  readonly seeds: readonly PeerName[];
  /** Something was taken from the received ring. */
  readonly changed: boolean;
  /** Versions of our own entries were raised above what others have of them. */
  readonly raised: boolean;
}

/** The original's rule: more free addresses win, ours if equal. */
export function breakTieByFree(ours: RingEntry, theirs: RingEntry): Resolution {
  return theirs.free > ours.free ? 'take' : 'keep';
}

/**
 * All of our kind come to the same answer: the newer word counts, among equally new ones the lower
 * name. One exception: what a peer gave away while it was cut off, before it was taken over, stays
 * with the one who took over and has used it since.
 */
export function resolveAmongHealers({ kind, ours, theirs }: RingConflict): Resolution {
  if (kind === 'newer') return 'take';
  if (kind === 'same-version') return theirs.peer < ours.peer ? 'take' : 'counter';
  const takenOver = ours.version >= TAKE_OVER_INCREMENT && theirs.version < TAKE_OVER_INCREMENT;
  return takenOver ? 'counter' : 'take';
}

/**
 * Whether a received ring can be merged with ours at all.
 * @throws {ProtocolError} `ipam-ring-invalid`, `ipam-seeds-differ`, `ipam-range-differs`
 */
export function checkMergeable(ours: RingState, theirs: RingState): void {
  checkRing(theirs);
  const seeded = ours.seeds.length > 0 && theirs.seeds.length > 0;
  const sameSeeds =
    ours.seeds.length === theirs.seeds.length &&
    ours.seeds.every((seed, i) => seed === theirs.seeds[i]);
  if (seeded && !sameSeeds) {
    throw new ProtocolError('ipam-seeds-differ', 'Received ring was seeded differently from ours');
  }
  if (ours.start !== theirs.start || ours.end !== theirs.end) {
    throw new ProtocolError('ipam-range-differs', 'Received range differs from ours');
  }
}

/**
 * @param theirs checked by `checkMergeable`
 * @throws what the policy throws
 */
export function mergeRings(
  localPeer: PeerName,
  ours: RingState,
  theirs: RingState,
  policy: MergePolicy,
): MergeResult {
  return new Merge(localPeer, ours, theirs, policy).run();
}

class Merge {
  readonly #localPeer: PeerName;
  readonly #ours: RingState;
  readonly #theirs: RingState;
  readonly #policy: MergePolicy;
  readonly #result: RingEntry[] = [];
  /** The entry of ours that covers the place we have come to; null: taken from them. */
  #cover: RingEntry | null;
  #changed = false;
  #raised = false;

  constructor(localPeer: PeerName, ours: RingState, theirs: RingState, policy: MergePolicy) {
    this.#localPeer = localPeer;
    this.#ours = ours;
    this.#theirs = theirs;
    this.#policy = policy;
    // What lies before the first token belongs to the last range, around the end.
    this.#cover = ours.entries.at(-1) ?? null;
  }

  run(): MergeResult {
    const { entries } = this.#ours;
    let next = 0;
    for (const entry of this.#theirs.entries) {
      for (; (entries[next]?.token ?? Number.POSITIVE_INFINITY) < entry.token; next++) {
        this.#keep(entries[next] as RingEntry);
      }
      const own = entries[next];
      if (own?.token === entry.token) {
        this.#meet(own, entry, next);
        next++;
      } else this.#insert(entry, own?.token ?? this.#ours.end);
    }
    for (const entry of entries.slice(next)) this.#keep(entry);
    const seeds = this.#ours.seeds.length > 0 ? this.#ours.seeds : this.#theirs.seeds;
    return {
      entries: this.#capped(),
      seeds,
      changed: this.#changed,
      raised: this.#raised,
    };
  }

  /** A token that we don't have, in front of our next one. */
  #insert(theirs: RingEntry, end: number): void {
    const cover = this.#cover;
    const wanted = { start: theirs.token, end };
    const contested = cover?.peer === this.#localPeer && theirs.peer !== this.#localPeer;
    if (contested && this.#policy.isInUse(wanted)) {
      const text =
        `Peer ${formatPeerName(theirs.peer)} says it owns the IP range from ` +
        `${formatIpv4(theirs.token)}, which I think I own`;
      const conflict = { kind: 'inside', ...wanted, ours: cover, theirs, text } as const;
      const resolution = this.#policy.resolve(conflict);
      if (resolution === 'keep') return;
      if (resolution === 'counter') {
        this.#take({ ...theirs, peer: this.#localPeer, version: outrun(theirs.version) });
        return;
      }
    }
    this.#take(theirs);
  }

  /** Both have the token. */
  #meet(ours: RingEntry, theirs: RingEntry, index: number): void {
    const sameOwner = ours.peer === theirs.peer;
    if (theirs.version < ours.version || (theirs.version === ours.version && sameOwner)) {
      this.#keep(ours);
      return;
    }
    if (sameOwner && ours.peer === this.#localPeer) {
      // Somebody has a newer word of ours than we: we were restored from an older copy.
      this.#raised = true;
      this.#keep({ ...ours, version: raise(theirs.version) });
      return;
    }
    const tie = theirs.version === ours.version;
    const contested = ours.peer === this.#localPeer;
    const span = contested ? this.#spanOf(index) : [];
    if (contested && span.some((range) => this.#policy.isInUse(range))) {
      this.#settle(ours, theirs, tie, span[0] as AddressRange);
    } else if (tie && this.#policy.breakTie(ours, theirs) === 'keep') this.#keep(ours);
    else this.#take(theirs);
  }

  #settle(ours: RingEntry, theirs: RingEntry, tie: boolean, span: AddressRange): void {
    const token = formatIpv4(ours.token);
    const text = tie
      ? `Inconsistent entries for ${token}: owned by ${formatPeerName(ours.peer)} but incoming ` +
        `message says ${formatPeerName(theirs.peer)}`
      : `Received update for IP range I own at ${token} v${ours.version}: incoming message says ` +
        `owner ${formatPeerName(theirs.peer)} v${theirs.version}`;
    const kind = tie ? 'same-version' : 'newer';
    const { start, end } = span;
    const resolution = this.#policy.resolve({ kind, start, end, ours, theirs, text });
    if (resolution === 'take') this.#take(theirs);
    else if (resolution === 'keep') this.#keep(ours);
    else {
      this.#raised = true;
      this.#keep({ ...ours, version: raise(theirs.version) });
    }
  }

  #keep(entry: RingEntry): void {
    this.#result.push(entry);
    this.#cover = entry;
  }

  #take(entry: RingEntry): void {
    this.#result.push(entry);
    this.#cover = null;
    this.#changed = true;
  }

  /** The range of an entry in our ring, in two if around the end. */
  #spanOf(index: number): AddressRange[] {
    const { start, end, entries } = this.#ours;
    const { token } = entries[index] as RingEntry;
    const next = (entries[index + 1] ?? (entries[0] as RingEntry)).token;
    if (next > token) return [{ start: token, end: next }];
    const head = { start: token, end };
    return next === start ? [head] : [head, { start, end: next }];
  }

  /** A new token inside a range leaves less free than the range's owner said before it. */
  #capped(): RingEntry[] {
    const [first] = this.#result;
    return this.#result.map((entry, i) => {
      const next = (this.#result[i + 1] ?? first ?? entry).token;
      const most = distance(this.#ours, entry.token, next);
      return entry.free > most ? { ...entry, free: most } : entry;
    });
  }
}

const outrun = (version: number): number => raise(version, TAKE_OVER_INCREMENT);
