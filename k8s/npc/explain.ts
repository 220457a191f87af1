/**
 * Why a connection is let pass or not, in words for a user: which policies isolate each end, and
 * which rule allows it or that none does.
 */
import type { Cluster } from './cluster.js';
import type { Tier } from './cluster-policy.js';
import { compile } from './compiler.js';
import { type Attempt, firstMatch, matches } from './model.js';
import { hasPolicies, keyOf, type Pod } from './objects.js';
import type { Direction, Rule, Ruleset, TierRule } from './ruleset.js';

export interface Explanation {
  readonly allowed: boolean;
  readonly lines: readonly string[];
}

/** @param attempt with canonical addresses; egress is judged where `from` runs, ingress where `to` does. */
export function explain(cluster: Cluster, attempt: Attempt): Explanation {
  const { from, to, protocol, port } = attempt;
  const [source, target] = [podAt(cluster, from), podAt(cluster, to)];
  const lines = [`${told(from, source)} to ${told(to, target)}, ${protocol} port ${port}`];
  if (source !== null && source === target) {
    return { allowed: true, lines: [...lines, "a pod's traffic to itself is never judged"] };
  }
  const judged = (direction: Direction, pod: Pod | null): boolean => {
    if (pod === null) {
      lines.push(`${direction}: no pod with policies has this address: not judged`);
      return true;
    }
    const ruleset = compile(cluster, pod.node, { allowMulticast: true, clusterPolicies: true });
    return explainSide(ruleset, direction, attempt, lines);
  };
  const passesOut = judged('egress', source);
  const passesIn = judged('ingress', target);
  const allowed = passesOut && passesIn;
  lines.push(allowed ? 'allowed' : 'denied');
  return { allowed, lines };
}

function explainSide(
  ruleset: Ruleset,
  direction: Direction,
  attempt: Attempt,
  lines: string[],
): boolean {
  const first = firstMatch(ruleset, 'admin', direction, attempt);
  if (first !== null) lines.push(tierWords('admin', direction, first));
  if (first !== null && first.action !== 'pass') return first.action === 'accept';
  const subject = direction === 'ingress' ? attempt.to : attempt.from;
  const group = ruleset.chains.get(ruleset[direction].get(subject) ?? '');
  if (group?.kind !== 'group') {
    const last = firstMatch(ruleset, 'baseline', direction, attempt);
    if (last === null) lines.push(`${direction}: no policy isolates the pod: passes`);
    else lines.push(tierWords('baseline', direction, last));
    return last?.action !== 'deny';
  }
  let allowed = false;
  for (const name of group.policies) {
    const chain = ruleset.chains.get(name);
    if (chain?.kind !== 'policy') continue;
    const rule = chain.rules.find((one) => matches(ruleset, one, direction, attempt));
    allowed ||= rule !== undefined;
    lines.push(
      rule === undefined
        ? `${direction}: policy ${chain.policy} isolates the pod and has no rule for this`
        : `${direction}: policy ${chain.policy} allows it: ${words(rule)}`,
    );
  }
  lines.push(`${direction}: ${allowed ? 'passes' : 'dropped'}`);
  return allowed;
}

const VERDICTS: { readonly [T in Tier]: { readonly [A in TierRule['action']]: string } } = {
  admin: { accept: 'passes', deny: 'dropped', pass: 'left to the network policies' },
  baseline: { accept: 'passes', deny: 'dropped', pass: 'passes' },
};

function tierWords(tier: Tier, direction: Direction, found: TierRule): string {
  const { rule, action, policy, name } = found;
  const which = name === '' ? 'a rule' : `rule "${name}"`;
  return (
    `${direction}: ${tier} policy ${policy}, ${which} to ${action} ${words(rule)}: ` +
    VERDICTS[tier][action]
  );
}

function words({ peer, protocol, ports, endpoints }: Rule): string {
  const parts: string[] = [];
  if (peer === null) parts.push('any peer');
  else if (peer.kind === 'set') parts.push('a selected pod');
  else {
    const except = peer.except.length === 0 ? '' : ` except ${peer.except.join(', ')}`;
    parts.push(`addresses of ${peer.cidr}${except}`);
  }
  if (endpoints !== null) parts.push(`a named ${protocol} port`);
  else if (ports !== null) {
    const ranges = ports.map(([first, last]) => (first === last ? `${first}` : `${first}-${last}`));
    parts.push(`${protocol} ports ${ranges.join(', ')}`);
  } else parts.push(protocol === null ? 'any port' : `any ${protocol} port`);
  return parts.join(', ');
}

function podAt(cluster: Cluster, address: string): Pod | null {
  for (const pod of cluster.pods.values()) {
    if (hasPolicies(pod) && pod.addresses.includes(address)) return pod;
  }
  return null;
}

const told = (address: string, pod: Pod | null): string =>
  pod === null ? address : `${keyOf(pod)} (${address})`;
