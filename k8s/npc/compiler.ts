/**
 * From the full state of the cluster to the ruleset of one node. Pods appear only as elements of
 * sets and maps, so the number of rules depends on policies alone; equal peers share one set.
 * An address that belongs to no known pod is in no set: only an ipBlock can match it.
 * Source: networking.k8s.io/v1; reference/network-policy.md 8.
 */
import { createHash } from 'node:crypto';
import { blockContains, isIpv6 } from './address.js';
import type { Cluster } from './cluster.js';
import {
  hasPolicies,
  type Peer,
  type Pod,
  type Policy,
  type PolicyPort,
  type PolicyRule,
  type Protocol,
  selects,
} from './objects.js';
import type { Chain, Direction, Family, NamedSet, Rule, Ruleset } from './ruleset.js';

export interface CompileOptions {
  readonly allowMulticast: boolean;
}

const FAMILIES: readonly Family[] = [4, 6];
const familyOf = (address: string): Family => (isIpv6(address) ? 6 : 4);
const digest = (text: string): string =>
  createHash('sha256').update(text).digest('hex').slice(0, 20);

/** @param node name of the node whose pods are judged. */
export function compile(cluster: Cluster, node: string, options: CompileOptions): Ruleset {
  return new Compilation(cluster).run(node, options);
}

type PortMatch = Pick<Rule, 'protocol' | 'ports'> & { readonly name: string | null };
type PeerMatch = Pick<Rule, 'family' | 'peer'>;

class Compilation {
  readonly #cluster: Cluster;
  readonly #podsOf = new Map<string, Pod[]>();
  readonly #sets = new Map<string, NamedSet>();
  readonly #chains = new Map<string, Chain>();

  constructor(cluster: Cluster) {
    this.#cluster = cluster;
    for (const pod of cluster.pods.values()) {
      if (!hasPolicies(pod)) continue;
      const pods = this.#podsOf.get(pod.namespace);
      if (pods === undefined) this.#podsOf.set(pod.namespace, [pod]);
      else pods.push(pod);
    }
  }

  run(node: string, { allowMulticast }: CompileOptions): Ruleset {
    return {
      allowMulticast,
      closedBridge: null,
      ingress: this.#isolate('ingress', node),
      egress: this.#isolate('egress', node),
      sets: this.#sets,
      chains: this.#chains,
    };
  }

  #isolate(direction: Direction, node: string): Map<string, string> {
    // By address, not by pod: two pods with one address are a moment between two events, in which
    // the policies of both hold.
    const chainsOf = new Map<string, Set<string>>();
    for (const [key, policy] of this.#cluster.policies) {
      const rules = policy[direction];
      if (rules === null) continue;
      const local = (this.#podsOf.get(policy.namespace) ?? []).filter(
        (pod) => pod.node === node && selects(policy.pods, pod.labels),
      );
      if (local.length === 0) continue;
      const name = `${direction}-policy-${digest(key)}`;
      const compiled = rules.flatMap((rule) => this.#rules(policy, rule));
      this.#chains.set(name, { kind: 'policy', direction, policy: key, rules: compiled });
      for (const address of local.flatMap(({ addresses }) => addresses)) {
        const chains = chainsOf.get(address);
        if (chains === undefined) chainsOf.set(address, new Set([name]));
        else chains.add(name);
      }
    }
    const map = new Map<string, string>();
    for (const [address, chains] of chainsOf) {
      const policies = [...chains].sort();
      const name = `${direction}-group-${digest(policies.join(' '))}`;
      if (!this.#chains.has(name)) this.#chains.set(name, { kind: 'group', direction, policies });
      map.set(address, name);
    }
    return map;
  }

  #rules(policy: Policy, { peers, ports }: PolicyRule): Rule[] {
    const anyPeer: PeerMatch[] = [{ family: null, peer: null }];
    const from = peers === null ? anyPeer : peers.flatMap((peer) => this.#peer(policy, peer));
    return from.flatMap((peer) => portMatches(ports).flatMap((port) => this.#rule(peer, port)));
  }

  #rule(peer: PeerMatch, { name, protocol, ports }: PortMatch): Rule[] {
    if (name === null || protocol === null) return [{ ...peer, protocol, ports, endpoints: null }];
    return FAMILIES.filter((family) => peer.family === null || peer.family === family).map(
      (family) => ({
        peer: peer.peer,
        family,
        protocol,
        ports,
        endpoints: this.#endpoints(family, protocol, name),
      }),
    );
  }

  #peer({ namespace }: Policy, peer: Peer): PeerMatch[] {
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
    const scope = peer.namespaces === null ? ['own', namespace] : ['all', peer.namespaces.key];
    const hash = digest(JSON.stringify([...scope, peer.pods.key]));
    if (!this.#sets.has(`pods4-${hash}`)) {
      const names =
        peer.namespaces === null
          ? [namespace]
          : [...this.#cluster.namespaces.values()]
              .filter(({ labels }) => peer.namespaces !== null && selects(peer.namespaces, labels))
              .map(({ name }) => name);
      const addresses = names
        .flatMap((name) => this.#podsOf.get(name) ?? [])
        .filter(({ labels }) => selects(peer.pods, labels))
        .flatMap((pod) => pod.addresses);
      for (const family of FAMILIES) {
        const elements = new Set(addresses.filter((address) => familyOf(address) === family));
        this.#sets.set(`pods${family}-${hash}`, { family, type: 'address', elements });
      }
    }
    return FAMILIES.map((family) => ({
      family,
      peer: { kind: 'set', set: `pods${family}-${hash}` },
    }));
  }

  /** All pods' ports of that name: a name means what the destination pod calls so. */
  #endpoints(family: Family, protocol: Protocol, name: string): string {
    const set = `ports${family}-${digest(`${protocol} ${name}`)}`;
    if (this.#sets.has(set)) return set;
    const elements = new Set<string>();
    for (const pod of [...this.#podsOf.values()].flat()) {
      for (const port of pod.ports) {
        if (port.name !== name || port.protocol !== protocol) continue;
        for (const address of pod.addresses) {
          if (familyOf(address) === family) elements.add(`${address} . ${port.number}`);
        }
      }
    }
    this.#sets.set(set, { family, type: 'endpoint', elements });
    return set;
  }
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
