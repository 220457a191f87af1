/**
 * What the kernel shall hold, as data. A ruleset has two base chains, which a new connection
 * passes one after the other; `accept` ends only the one it is in, `drop` is final:
 *
 *   egress:   established, neighbour discovery, multicast accepted; source address -> chain
 *   ingress:  the same;                                             destination address -> chain
 *
 * Both maps hold local pods that some policy isolates. Such a group chain belongs to a set of
 * policies: it jumps to the chain of each, then logs and drops.
 *
 * With policies of the whole cluster two more maps for each direction lead to the chains of the
 * tiers: one before these maps, one after them, for pods that nothing has isolated. The chain of a
 * tier belongs to a list of policies and has all their rules in order, so that `return` skips the
 * rest of the tier.
 */
import type { Action, Tier } from './cluster-policy.js';
import type { Protocol } from './objects.js';

export type Direction = 'ingress' | 'egress';
export type Family = 4 | 6;

export interface NamedSet {
  readonly family: Family;
  /** `endpoint`: elements are `ADDRESS . PORT`. */
  readonly type: 'address' | 'endpoint';
  readonly elements: ReadonlySet<string>;
}

/** A conjunction; what is null matches everything. */
export interface Rule {
  readonly family: Family | null;
  /** The other end: source for ingress, destination for egress. */
  readonly peer:
    | { readonly kind: 'set'; readonly set: string }
    | { readonly kind: 'block'; readonly cidr: string; readonly except: readonly string[] }
    | null;
  readonly protocol: Protocol | null;
  /** Inclusive, sorted, disjoint. */
  readonly ports: readonly (readonly [number, number])[] | null;
  /** An endpoint set that holds the destination. */
  readonly endpoints: string | null;
}

export interface TierRule {
  readonly rule: Rule;
  readonly action: Action;
  /** Names for people. */
  readonly policy: string;
  readonly name: string;
}

export type Chain =
  | { readonly kind: 'group'; readonly direction: Direction; readonly policies: readonly string[] }
  | {
      readonly kind: 'policy';
      readonly direction: Direction;
      /** `namespace/name`. */
      readonly policy: string;
      readonly rules: readonly Rule[];
    }
  | {
      readonly kind: 'tier';
      readonly direction: Direction;
      readonly tier: Tier;
      readonly rules: readonly TierRule[];
    };

/** For each tier and direction: address of a local pod -> the chain of its policies there. */
export type Tiers = {
  readonly [T in Tier]: { readonly [D in Direction]: ReadonlyMap<string, string> };
};

export interface Ruleset {
  readonly allowMulticast: boolean;
  /** Nothing new is let in by this interface; null once the full state is known. */
  readonly closedBridge: string | null;
  readonly sets: ReadonlyMap<string, NamedSet>;
  readonly chains: ReadonlyMap<string, Chain>;
  /** Address of a local pod -> its group chain. */
  readonly ingress: ReadonlyMap<string, string>;
  readonly egress: ReadonlyMap<string, string>;
  /** null: policies of the whole cluster are not followed. */
  readonly tiers: Tiers | null;
}

/**
 * Until the full state is known: new connections into the bridge are dropped, those that leave it
 * and running ones go on (the documented default of the original).
 */
export function startRuleset(options: {
  readonly bridge: string;
  readonly allowMulticast: boolean;
}): Ruleset {
  const none = new Map<string, never>();
  return {
    allowMulticast: options.allowMulticast,
    closedBridge: options.bridge,
    sets: none,
    chains: none,
    ingress: none,
    egress: none,
    tiers: null,
  };
}
