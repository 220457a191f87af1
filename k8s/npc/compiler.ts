/**
 * From the full state of the cluster to the ruleset of one node. Pods appear only as elements of
 * sets and maps, so the number of rules depends on policies alone; equal peers share one set.
 * An address that belongs to no known pod is in no set: only an ipBlock can match it.
 *
 * A compiler keeps what it found in each namespace until something in that namespace changes, and
 * the rules of a policy as long as the policy is the same object. Whatever comes out equal is the
 * same object as before, so that render.ts need not look into it.
 * Source: networking.k8s.io/v1; reference/network-policy.md 8.
 */
import type { Cluster, Content } from './cluster.js';
import type { Subject } from './cluster-policy.js';
import { hasPolicies, type Pod, type Policy, type Selector, selects } from './objects.js';
import {
  compilePolicy,
  digest,
  familyOf,
  type PolicyPart,
  type SetSource,
} from './policy-rules.js';
import type { Chain, Direction, Family, NamedSet, Ruleset } from './ruleset.js';
import { TierCompiler } from './tiers.js';

export interface CompileOptions {
  readonly allowMulticast: boolean;
  /** Policies of the whole cluster are followed. */
  readonly clusterPolicies?: boolean;
}

/** @param node name of the node whose pods are judged. */
export function compile(cluster: Cluster, node: string, options: CompileOptions): Ruleset {
  return new Compiler(cluster, node, options).compile();
}

type Elements = { readonly [F in Family]: readonly string[] };

/** What the pods of one namespace give, at one revision. UNBOUNDED by itself; as the namespace. */
interface NamespaceResult {
  readonly revision: number;
  /** On this node, as far as policies judge them. */
  readonly local: readonly Pod[];
  /** Policies that select a local pod, with the addresses of those. */
  readonly active: readonly { readonly policy: Policy; readonly addresses: readonly string[] }[];
  /** By the key of a set's source. */
  readonly elements: Map<string, Elements>;
  /** Addresses of the local pods with such labels, by the key of their selector. */
  readonly localAddresses: Map<string, readonly string[]>;
  /** See `#isolated`; null until it is asked for. */
  readonly isolated: { [D in Direction]: ReadonlyMap<string, string> | null };
}

interface KeptSet {
  readonly parts: readonly Elements[];
  readonly sets: { readonly [F in Family]: NamedSet };
}

const FAMILIES: readonly Family[] = [4, 6];
const DIRECTIONS: readonly Direction[] = ['ingress', 'egress'];
const NOTHING: Elements = { 4: [], 6: [] };

export class Compiler {
  readonly #cluster: Cluster;
  readonly #node: string;
  readonly #options: CompileOptions;
  readonly #tiers = new TierCompiler();
  readonly #parts = new WeakMap<Policy, { readonly [D in Direction]: PolicyPart | null }>();
  /** Those of the last compilation only; so are the following. */
  #results = new Map<string, NamespaceResult>();
  #sets = new Map<string, KeptSet>();
  #groups = new Map<string, Chain>();
  /** Name and chain by the names of policies in the order they came in. */
  #groupsByKey = new Map<string, readonly [string, Chain]>();
  #newGroups = new Map<string, readonly [string, Chain]>();
  /** Names of namespaces by the key of a selector, at one revision. */
  #selected = new Map<string, readonly string[]>();
  #selectedRevision = -1;

  constructor(cluster: Cluster, node: string, options: CompileOptions) {
    this.#cluster = cluster;
    this.#node = node;
    this.#options = options;
  }

  /** The ruleset for the cluster as it is now. */
  compile(): Ruleset {
    this.#refresh();
    const sources = new Map<string, SetSource>();
    const chains = new Map<string, Chain>();
    const groups = new Map<string, Chain>();
    const isolate = (direction: Direction): Map<string, string> => {
      // By address, not by pod: two pods with one address are a moment between two events, in which
      // the policies of both hold.
      const policiesOf = new Map<string, string>();
      for (const result of this.#results.values()) {
        for (const { policy } of result.active) {
          const part = this.#partsOf(policy)[direction];
          if (part === null) continue;
          chains.set(part.name, part.chain);
          for (const source of part.sources) sources.set(source.hash, source);
        }
        for (const [address, names] of this.#isolated(result, direction)) {
          const others = policiesOf.get(address);
          policiesOf.set(address, others === undefined ? names : `${others} ${names}`);
        }
      }
      return this.#group(direction, policiesOf, groups);
    };
    const [ingress, egress] = [isolate('ingress'), isolate('egress')];
    for (const [name, chain] of groups) chains.set(name, chain);
    this.#groups = groups;
    this.#groupsByKey = this.#newGroups;
    this.#newGroups = new Map();
    const { allowMulticast, clusterPolicies = false } = this.#options;
    const policies = this.#cluster.clusterPolicies.values();
    const tiers = clusterPolicies
      ? this.#tiers.compile(policies, (subject) => this.#subjects(subject), { chains, sources })
      : null;
    const sets = this.#fill(sources);
    return { allowMulticast, closedBridge: null, ingress, egress, sets, chains, tiers };
  }

  /** Local addresses of those pods. */
  #subjects({ namespaces, pods }: Subject): readonly string[] {
    return this.#namespaceNames(namespaces).flatMap((name) => {
      const result = this.#results.get(name);
      if (result === undefined || result.local.length === 0) return [];
      const known = result.localAddresses.get(pods.key);
      if (known !== undefined) return known;
      const selected = result.local.filter(({ labels }) => selects(pods, labels));
      const addresses = selected.flatMap((pod) => pod.addresses);
      result.localAddresses.set(pods.key, addresses);
      return addresses;
    });
  }

  #refresh(): void {
    const results = new Map<string, NamespaceResult>();
    for (const [namespace, content] of this.#cluster.contents) {
      const kept = this.#results.get(namespace);
      results.set(namespace, kept?.revision === content.revision ? kept : this.#result(content));
    }
    this.#results = results;
    if (this.#selectedRevision === this.#cluster.namespacesRevision) return;
    this.#selectedRevision = this.#cluster.namespacesRevision;
    this.#selected = new Map();
  }

  #result({ pods, policies, revision }: Content): NamespaceResult {
    const local = [...pods.values()].filter((pod) => hasPolicies(pod) && pod.node === this.#node);
    const active: { policy: Policy; addresses: readonly string[] }[] = [];
    for (const policy of policies.values()) {
      const own = local.filter(({ labels }) => selects(policy.pods, labels));
      const addresses = [...new Set(own.flatMap((pod) => pod.addresses))];
      if (addresses.length > 0) active.push({ policy, addresses });
    }
    const isolated = { ingress: null, egress: null };
    const [elements, localAddresses] = [new Map(), new Map()];
    return { revision, local, active, elements, localAddresses, isolated };
  }

  #partsOf(policy: Policy): { readonly [D in Direction]: PolicyPart | null } {
    const kept = this.#parts.get(policy);
    if (kept !== undefined) return kept;
    const [ingress = null, egress = null] = DIRECTIONS.map((d) => compilePolicy(policy, d));
    const parts = { ingress, egress };
    this.#parts.set(policy, parts);
    return parts;
  }

  /** By address the names of its policies' chains, with blanks between. */
  #isolated(result: NamespaceResult, direction: Direction): ReadonlyMap<string, string> {
    const known = result.isolated[direction];
    if (known !== null) return known;
    const chainsOf = new Map<string, string[]>();
    for (const { policy, addresses } of result.active) {
      const part = this.#partsOf(policy)[direction];
      if (part === null) continue;
      for (const address of addresses) {
        const names = chainsOf.get(address);
        if (names === undefined) chainsOf.set(address, [part.name]);
        else names.push(part.name);
      }
    }
    const isolated = new Map([...chainsOf].map(([address, names]) => [address, names.join(' ')]));
    result.isolated[direction] = isolated;
    return isolated;
  }

  #group(
    direction: Direction,
    policiesOf: ReadonlyMap<string, string>,
    groups: Map<string, Chain>,
  ): Map<string, string> {
    const map = new Map<string, string>();
    for (const [address, policies] of policiesOf) {
      // The same policies nearly always come in the same order, so few lists have to be sorted.
      const known = this.#newGroups.get(policies) ?? this.#groupsByKey.get(policies);
      const group = known ?? this.#newGroup(direction, policies.split(' '));
      this.#newGroups.set(policies, group);
      groups.set(...group);
      map.set(address, group[0]);
    }
    return map;
  }

  #newGroup(direction: Direction, policies: readonly string[]): readonly [string, Chain] {
    const sorted = [...new Set(policies)].sort();
    const name = `${direction}-group-${digest(sorted.join(' '))}`;
    return [name, this.#groups.get(name) ?? { kind: 'group', direction, policies: sorted }];
  }

  #fill(sources: ReadonlyMap<string, SetSource>): Map<string, NamedSet> {
    const kept = new Map<string, KeptSet>();
    const sets = new Map<string, NamedSet>();
    for (const [hash, source] of sources) {
      const parts = this.#namespacesOf(source).map((name) => this.#elements(name, source));
      const old = this.#sets.get(hash);
      const isSame =
        old?.parts.length === parts.length && old.parts.every((part, i) => part === parts[i]);
      const now = isSame ? old : keptSet(source, parts, old);
      kept.set(hash, now);
      for (const family of FAMILIES) sets.set(source.nameOf(family), now.sets[family]);
    }
    this.#sets = kept;
    return sets;
  }

  #namespacesOf({ namespaces }: SetSource): readonly string[] {
    if (typeof namespaces === 'string') return [namespaces];
    return namespaces === null ? [...this.#results.keys()] : this.#namespaceNames(namespaces);
  }

  /** Of those whose labels are known. */
  #namespaceNames(namespaces: Selector): readonly string[] {
    const known = this.#selected.get(namespaces.key);
    if (known !== undefined) return known;
    const names = [...this.#cluster.namespaces.values()]
      .filter(({ labels }) => selects(namespaces, labels))
      .map(({ name }) => name);
    this.#selected.set(namespaces.key, names);
    return names;
  }

  #elements(namespace: string, source: SetSource): Elements {
    const result = this.#results.get(namespace);
    if (result === undefined) return NOTHING;
    const known = result.elements.get(source.podsKey);
    if (known !== undefined) return known;
    const pods = [...(this.#cluster.contents.get(namespace)?.pods.values() ?? [])];
    const all = pods.filter(hasPolicies).flatMap((pod) => source.elementsOf(pod));
    const elements: Elements = {
      4: all.filter((element) => familyOf(element) === 4),
      6: all.filter((element) => familyOf(element) === 6),
    };
    result.elements.set(source.podsKey, elements);
    return elements;
  }
}

function keptSet(
  { type }: SetSource,
  parts: readonly Elements[],
  old: KeptSet | undefined,
): KeptSet {
  const setOf = (family: Family): NamedSet => {
    const elements = new Set(parts.flatMap((part) => part[family]));
    const before = old?.sets[family];
    const isSame =
      before?.elements.size === elements.size &&
      [...elements].every((element) => before.elements.has(element));
    return isSame ? before : { family, type, elements };
  };
  return { parts, sets: { 4: setOf(4), 6: setOf(6) } };
}
