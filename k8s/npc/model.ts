/** Judges a new connection by a ruleset as the kernel does, for tests and explanations. */
import { blockContains, isIpv6 } from './address.js';
import type { Tier } from './cluster-policy.js';
import type { Protocol } from './objects.js';
import type { Direction, Rule, Ruleset, TierRule } from './ruleset.js';

export interface Attempt {
  /** Canonical addresses of one family. */
  readonly from: string;
  readonly to: string;
  readonly protocol: Protocol;
  readonly port: number;
}

/** @returns whether the base chain of that direction lets the connection's first packet pass. */
export function passes(ruleset: Ruleset, direction: Direction, attempt: Attempt): boolean {
  const first = firstMatch(ruleset, 'admin', direction, attempt);
  if (first !== null && first.action !== 'pass') return first.action === 'accept';
  const group = ruleset.chains.get(ruleset[direction].get(subjectOf(direction, attempt)) ?? '');
  if (group?.kind !== 'group') {
    return firstMatch(ruleset, 'baseline', direction, attempt)?.action !== 'deny';
  }
  return group.policies.some((name) => {
    const chain = ruleset.chains.get(name);
    return (
      chain?.kind === 'policy' &&
      chain.rules.some((rule) => matches(ruleset, rule, direction, attempt))
    );
  });
}

/** @returns the rule that decides in that tier; null: none of it does. */
export function firstMatch(
  ruleset: Ruleset,
  tier: Tier,
  direction: Direction,
  attempt: Attempt,
): TierRule | null {
  const name = ruleset.tiers?.[tier][direction].get(subjectOf(direction, attempt));
  const chain = ruleset.chains.get(name ?? '');
  if (chain?.kind !== 'tier') return null;
  return chain.rules.find(({ rule }) => matches(ruleset, rule, direction, attempt)) ?? null;
}

const subjectOf = (direction: Direction, { from, to }: Attempt): string =>
  direction === 'ingress' ? to : from;

/** @returns whether one rule is about it. */
export function matches(
  ruleset: Ruleset,
  rule: Rule,
  direction: Direction,
  attempt: Attempt,
): boolean {
  const other = direction === 'ingress' ? attempt.from : attempt.to;
  const { peer, ports, endpoints } = rule;
  if (rule.family !== null && rule.family !== (isIpv6(other) ? 6 : 4)) return false;
  if (peer?.kind === 'set' && !ruleset.sets.get(peer.set)?.elements.has(other)) return false;
  if (peer?.kind === 'block') {
    if (!blockContains(peer.cidr, other)) return false;
    if (peer.except.some((except) => blockContains(except, other))) return false;
  }
  if (rule.protocol !== null && rule.protocol !== attempt.protocol) return false;
  if (ports?.every(([first, last]) => attempt.port < first || attempt.port > last)) return false;
  const endpoint = `${attempt.to} . ${attempt.port}`;
  return endpoints === null || ruleset.sets.get(endpoints)?.elements.has(endpoint) === true;
}
