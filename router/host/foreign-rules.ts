/**
 * What foreign-chains.ts writes into chains of other programs and reads back from them, as scripts
 * and listings of `nft`. Source: reference/host-network.md 6; nft(8), libnftables-json(5).
 */
import { asFields } from './link-state.js';
import { NFT_TABLE } from './names.js';

/** A base chain at the forward hook that is not ours. */
export interface ForwardChain {
  /** `family table chain`: names it in scripts and in the log. */
  readonly key: string;
  readonly family: 'ip' | 'ip6' | 'inet';
  readonly table: string;
  readonly name: string;
  readonly policy: string;
}

/** One rule in the form that `nft -j` lists. */
export type ListedRule = Readonly<Record<string, unknown>>;

export interface Allowance {
  readonly bridge: string;
  /** Exposed networks, `a.b.c.d/n`. */
  readonly networks: readonly string[];
}

const FAMILIES = ['ip', 'ip6', 'inet'] as const;
/** What scripts can carry without quotes. Programs choose such names. */
const PLAIN_NAME = /^[A-Za-z_][\w./-]*$/;

/** @param listing what `nft -j list chains` gave. */
export function forwardChains(listing: readonly unknown[]): ForwardChain[] {
  return listing.flatMap((entry) => {
    const chain = asFields(asFields(entry)['chain'] ?? {});
    const family = FAMILIES.find((known) => known === chain['family']);
    if (family === undefined || chain['type'] !== 'filter' || chain['hook'] !== 'forward')
      return [];
    const [table, name] = [String(chain['table']), String(chain['name'])];
    if (family === 'ip' && table === NFT_TABLE) return [];
    if (!PLAIN_NAME.test(table) || !PLAIN_NAME.test(name)) return [];
    const key = `${family} ${table} ${name}`;
    return [{ key, family, table, name, policy: String(chain['policy']) }];
  });
}

function rulesOf(listing: readonly unknown[]): ListedRule[] {
  return listing.flatMap((entry) => {
    const rule = asFields(entry)['rule'];
    return rule === undefined ? [] : [asFields(rule)];
  });
}

/** Whether a packet that no rule of the chain mentions is dropped: by policy, or by a last rule. */
export function refusesByDefault(chain: ForwardChain, listing: readonly unknown[]): boolean {
  if (chain.policy === 'drop') return true;
  const last = rulesOf(listing).at(-1);
  const expressions = Array.isArray(last?.['expr']) ? last['expr'].map(asFields) : [];
  const verdict = expressions.at(-1);
  if (verdict === undefined) return false;
  const isOpen = expressions.slice(0, -1).every((part) => 'counter' in part || 'log' in part);
  return isOpen && isRefusal(verdict);
}

function isRefusal(verdict: Readonly<Record<string, unknown>>): boolean {
  // iptables-nft keeps its REJECT as an extension of its own, which nft shows by name only.
  const target = asFields(verdict['xt'] ?? {});
  return 'drop' in verdict || 'reject' in verdict || target['name'] === 'REJECT';
}

/** The rules of the router of this bridge, top down. */
export function ownRules(listing: readonly unknown[], bridge: string): ListedRule[] {
  return rulesOf(listing).filter((rule) => rule['comment'] === commentFor(bridge));
}

/** Names the bridge: another router on this host, with a bridge of its own, has its own rules. */
function commentFor(bridge: string): string {
  return `weave-net ${bridge}`;
}

/**
 * Replaces our rules in one chain, in one transaction.
 * @param own as `ownRules` found them. A handle that is gone meanwhile fails the whole script.
 * @param wanted null: only remove.
 */
export function allowanceScript(
  chain: ForwardChain,
  own: readonly ListedRule[],
  wanted: Allowance | null,
): string {
  const lines = own.map((rule) => `delete rule ${chain.key} handle ${Number(rule['handle'])}`);
  if (wanted !== null) {
    const comment = `comment "${commentFor(wanted.bridge)}"`;
    // Each goes to the top, so the last one comes first.
    for (const rule of acceptRules(chain, wanted).reverse()) {
      lines.push(`insert rule ${chain.key} ${rule} accept ${comment}`);
    }
  }
  return `${lines.join('\n')}\n`;
}

function acceptRules(chain: ForwardChain, { bridge, networks }: Allowance): string[] {
  // With br_netfilter loaded, frames that the bridge merely switches come along here too.
  const switched = `iifname "${bridge}" oifname "${bridge}"`;
  // Nothing routes IPv6 between the overlay and other networks.
  if (chain.family === 'ip6') return [switched];
  const rules = [
    switched,
    ...networks.map((network) => `oifname "${bridge}" ip daddr ${network}`),
    `iifname "${bridge}"`,
  ];
  // iptables-nft can't list a table that holds nft's own form of this match any more. What it would
  // add there are replies to workloads outside every exposed network; those have no way out anyway.
  if (!belongsToIptables(chain)) rules.push(`oifname "${bridge}" ct state established,related`);
  return rules;
}

function belongsToIptables({ family, table, name }: ForwardChain): boolean {
  return family !== 'inet' && table === 'filter' && name === 'FORWARD';
}
