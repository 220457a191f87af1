/** Judges a new connection by a ruleset as the kernel does, for tests and explanations. */
import { blockContains, isIpv6 } from './address.js';
import type { Protocol } from './objects.js';
import type { Direction, Rule, Ruleset } from './ruleset.js';

export interface Attempt {
  /** Canonical addresses of one family. */
  readonly from: string;
  readonly to: string;
  readonly protocol: Protocol;
  readonly port: number;
}

/** @returns whether the base chain of that direction lets the connection's first packet pass. */
export function passes(ruleset: Ruleset, direction: Direction, attempt: Attempt): boolean {
  const subject = direction === 'ingress' ? attempt.to : attempt.from;
  const group = ruleset.chains.get(ruleset[direction].get(subject) ?? '');
  if (group?.kind !== 'group') return true;
  return group.policies.some((name) => {
    const chain = ruleset.chains.get(name);
    return (
      chain?.kind === 'policy' &&
      chain.rules.some((rule) => matches(ruleset, rule, direction, attempt))
    );
  });
}

/** @returns whether one rule accepts it. */
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
