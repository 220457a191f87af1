/**
 * The tiers of policies of the whole cluster: for each tier and direction a map from the addresses
 * of local pods to the chain of their policies. Pods with the same policies share one chain.
 */
import { type ClusterPolicy, inOrder, type Subject, type Tier } from './cluster-policy.js';
import { digest, rulesOf, type SetSource } from './policy-rules.js';
import type { Chain, Direction, TierRule, Tiers } from './ruleset.js';

/** What one policy gives in one direction. */
interface Part {
  readonly policy: string;
  readonly rules: readonly TierRule[];
  readonly sources: readonly SetSource[];
}

type Parts = { readonly [D in Direction]: Part };

interface KeptChain {
  readonly parts: readonly Part[];
  readonly chain: Chain;
}

export interface TierOutput {
  readonly chains: Map<string, Chain>;
  /** By their hash. */
  readonly sources: Map<string, SetSource>;
}

export class TierCompiler {
  readonly #parts = new WeakMap<ClusterPolicy, Parts>();
  /** Those of the last compilation only, by their names. */
  #kept = new Map<string, KeptChain>();

  /**
   * @param addressesOf the addresses of local pods of a subject.
   * @param output gets the chains and the sources of the sets that these name.
   */
  compile(
    policies: Iterable<ClusterPolicy>,
    addressesOf: (subject: Subject) => readonly string[],
    output: TierOutput,
  ): Tiers {
    const kept = new Map<string, KeptChain>();
    const all = [...policies];
    const tierOf = (tier: Tier): Tiers[Tier] => {
      const found = inOrder(all, tier).map((policy) => ({
        parts: this.#partsOf(policy),
        addresses: addressesOf(policy.subject),
      }));
      const mapOf = (direction: Direction): Map<string, string> => {
        const partsOf = new Map<string, Part[]>();
        for (const { parts, addresses } of found) {
          // No rule decides nothing.
          if (parts[direction].rules.length === 0) continue;
          for (const address of new Set(addresses)) {
            const before = partsOf.get(address);
            if (before === undefined) partsOf.set(address, [parts[direction]]);
            else before.push(parts[direction]);
          }
        }
        const map = new Map<string, string>();
        for (const [address, parts] of partsOf) {
          map.set(address, this.#chainOf(tier, direction, parts, kept));
        }
        return map;
      };
      return { ingress: mapOf('ingress'), egress: mapOf('egress') };
    };
    const tiers = { admin: tierOf('admin'), baseline: tierOf('baseline') };
    for (const [name, { parts, chain }] of kept) {
      output.chains.set(name, chain);
      for (const { sources } of parts) {
        for (const source of sources) output.sources.set(source.hash, source);
      }
    }
    this.#kept = kept;
    return tiers;
  }

  /** @returns the name of the chain. */
  #chainOf(
    tier: Tier,
    direction: Direction,
    parts: readonly Part[],
    kept: Map<string, KeptChain>,
  ): string {
    const policies = parts.map(({ policy }) => policy);
    const name = `${direction}-${tier}-${digest(JSON.stringify(policies))}`;
    if (kept.has(name)) return name;
    const old = this.#kept.get(name);
    const isSame = old?.parts.every((part, at) => part === parts[at]) === true;
    const rules = isSame ? [] : parts.flatMap((part) => part.rules);
    kept.set(name, isSame ? old : { parts, chain: { kind: 'tier', direction, tier, rules } });
    return name;
  }

  #partsOf(policy: ClusterPolicy): Parts {
    const known = this.#parts.get(policy);
    if (known !== undefined) return known;
    const parts = { ingress: partOf(policy, 'ingress'), egress: partOf(policy, 'egress') };
    this.#parts.set(policy, parts);
    return parts;
  }
}

function partOf(policy: ClusterPolicy, direction: Direction): Part {
  const sources = new Map<string, SetSource>();
  const rules = policy[direction].flatMap((given) =>
    rulesOf('', given, sources).map((rule) => ({
      rule,
      action: given.action,
      policy: policy.name,
      name: given.name,
    })),
  );
  return { policy: policy.name, rules, sources: [...sources.values()] };
}
