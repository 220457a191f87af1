/**
 * The rules of one policy. They name sets by what is in them and so depend on nothing but the
 * policy; which pods those sets hold is found by the compiler.
 */
import { createHash } from 'node:crypto';
import { blockContains, isIpv6 } from './address.js';
import {
  keyOf,
  type Peer,
  type Pod,
  type Policy,
  type PolicyPort,
  type PolicyRule,
  type Selector,
  selects,
} from './objects.js';
import type { Chain, Direction, Family, NamedSet, Rule } from './ruleset.js';

const FAMILIES: readonly Family[] = [4, 6];

/** @param element an address, or an address and more. */
export const familyOf = (element: string): Family => (isIpv6(element) ? 6 : 4);

/** Short enough for names of the kernel's objects. */
export const digest = (text: string): string =>
  createHash('sha256').update(text).digest('hex').slice(0, 20);

/** Where the elements of a set, one for each family, come from. */
export interface SetSource {
  readonly hash: string;
  readonly type: NamedSet['type'];
  /** One by its name, those with such labels, or null for all. */
  readonly namespaces: string | Selector | null;
  /** Equal for sources that take the same from each namespace. */
  readonly podsKey: string;
  nameOf(family: Family): string;
  elementsOf(pod: Pod): readonly string[];
}

export interface PolicyPart {
  readonly name: string;
  readonly chain: Chain;
  readonly sources: readonly SetSource[];
}

type PortMatch = Pick<Rule, 'protocol' | 'ports'> & { readonly name: string | null };
type PeerMatch = Pick<Rule, 'family' | 'peer'>;

/** @returns null if the policy does not isolate in that direction. */
export function compilePolicy(policy: Policy, direction: Direction): PolicyPart | null {
  const rules = policy[direction];
  if (rules === null) return null;
  const key = keyOf(policy);
  const sources = new Map<string, SetSource>();
  const compiled = rules.flatMap((rule) => rulesOf(policy.namespace, rule, sources));
  return {
    name: `${direction}-policy-${digest(key)}`,
    chain: { kind: 'policy', direction, policy: key, rules: compiled },
    sources: [...sources.values()],
  };
}

/**
 * @param namespace of the policy, for peers that are pods of it.
 * @param sources gets those of the sets that the rules name.
 */
export function rulesOf(
  namespace: string,
  { peers, ports }: PolicyRule,
  sources: Map<string, SetSource>,
): Rule[] {
  const anyPeer: PeerMatch[] = [{ family: null, peer: null }];
  const from =
    peers === null ? anyPeer : peers.flatMap((peer) => matchPeer(namespace, peer, sources));
  return from.flatMap((peer) => portMatches(ports).flatMap((port) => combine(peer, port, sources)));
}

function combine(
  peer: PeerMatch,
  { name, protocol, ports }: PortMatch,
  sources: Map<string, SetSource>,
): Rule[] {
  if (name === null || protocol === null) return [{ ...peer, protocol, ports, endpoints: null }];
  // All pods' ports of that name: a name means what the destination pod calls so.
  const hash = digest(`${protocol} ${name}`);
  const source: SetSource = {
    hash,
    type: 'endpoint',
    namespaces: null,
    podsKey: `ports ${hash}`,
    nameOf: (family) => `ports${family}-${hash}`,
    elementsOf: ({ ports: own, addresses }) =>
      own
        .filter((port) => port.name === name && port.protocol === protocol)
        .flatMap(({ number }) => addresses.map((address) => `${address} . ${number}`)),
  };
  sources.set(hash, source);
  return FAMILIES.filter((family) => peer.family === null || peer.family === family).map(
    (family) => ({ peer: peer.peer, family, protocol, ports, endpoints: source.nameOf(family) }),
  );
}

function matchPeer(namespace: string, peer: Peer, sources: Map<string, SetSource>): PeerMatch[] {
  if (peer.kind === 'block') {
    const { cidr } = peer;
    if (peer.except.some((except) => within(cidr, except))) return [];
    // Nested and foreign ranges go, since the kernel takes disjoint ones only.
    const inside = [...new Set(peer.except)].filter((except) => within(except, cidr));
    const except = inside.filter(
      (one) => !inside.some((other) => other !== one && within(one, other)),
    );
    return [{ family: familyOf(cidr), peer: { kind: 'block', cidr, except: except.sort() } }];
  }
  const { namespaces, pods } = peer;
  const scope = namespaces === null ? ['own', namespace] : ['all', namespaces.key];
  const hash = digest(JSON.stringify([...scope, pods.key]));
  const source: SetSource = {
    hash,
    type: 'address',
    namespaces: namespaces ?? namespace,
    podsKey: `pods ${pods.key}`,
    nameOf: (family) => `pods${family}-${hash}`,
    elementsOf: (pod) => (selects(pods, pod.labels) ? pod.addresses : []),
  };
  sources.set(hash, source);
  return FAMILIES.map((family) => ({
    family,
    peer: { kind: 'set', set: source.nameOf(family) },
  }));
}

function portMatches(ports: readonly PolicyPort[] | null): PortMatch[] {
  if (ports === null) return [{ protocol: null, ports: null, name: null }];
  const matches: PortMatch[] = [];
  for (const protocol of ['TCP', 'UDP', 'SCTP'] as const) {
    const same = ports.filter((port) => port.protocol === protocol);
    if (same.some(({ port }) => port === null)) {
      matches.push({ protocol, ports: null, name: null });
      continue;
    }
    const ranges = same.flatMap(({ port, endPort }) =>
      typeof port === 'number' ? [[port, endPort ?? port] as const] : [],
    );
    if (ranges.length > 0) matches.push({ protocol, ports: merged(ranges), name: null });
    const names = new Set(same.flatMap(({ port }) => (typeof port === 'string' ? [port] : [])));
    for (const name of names) matches.push({ protocol, ports: null, name });
  }
  return matches;
}

function merged(ranges: readonly (readonly [number, number])[]): [number, number][] {
  const result: [number, number][] = [];
  for (const [first, last] of [...ranges].sort((a, b) => a[0] - b[0])) {
    const previous = result.at(-1);
    if (previous !== undefined && first <= previous[1] + 1) {
      previous[1] = Math.max(previous[1], last);
    } else result.push([first, last]);
  }
  return result;
}

const prefixOf = (cidr: string): number => Number(cidr.split('/')[1]);

function within(inner: string, outer: string): boolean {
  const [network = ''] = inner.split('/');
  return prefixOf(inner) >= prefixOf(outer) && blockContains(outer, network);
}
