/**
 * Packet-filter rules as nftables scripts. All live in tables `ip weave` of our own, so nothing of
 * other programs is touched and each script rebuilds its part wholly: laying it twice, or after a
 * flush, gives the same result. (Family ip and not inet: a kernel without IPv6 lacks the latter.)
 * Source: reference/host-network.md 4, 6, 7; nft(8).
 */
import { type Cidr, formatCidr, networkOf } from '../../core/ip.js';
import { MULTICAST_NETWORK, networkTexts } from './addresses.js';
import { asFields } from './link-state.js';
import { NFT_TABLE } from './names.js';

export interface Exposure {
  readonly cidr: Cidr;
  /** Traffic that leaves or enters the exposed network is given the host's address. */
  readonly masquerade: boolean;
}

export interface HostRulesetInput {
  readonly bridge: string;
  /** TCP port of the control API on 127.0.0.1 to protect, or null. */
  readonly apiPort: number | null;
  readonly exposures: readonly Exposure[];
  /**
   * Ranges `a.b.c.d-e.f.g.h` of this host's own workloads, which outside traffic reaches with the
   * address it came from, as replies pass here anyway. null: all is masqueraded.
   */
  readonly keepSourcesTo?: readonly string[] | null;
}

/** Host side. Replaces the whole table in one transaction. */
export function hostRuleset(input: HostRulesetInput): string {
  const { bridge, apiPort, exposures } = input;
  const local = input.keepSourcesTo ?? [];
  const networks = networkTexts(exposures.map(({ cidr }) => cidr));
  const masqueraded = networkTexts(exposures.filter((e) => e.masquerade).map(({ cidr }) => cidr));
  const lines = [
    // `delete` needs an existing table, `add` makes sure of one; both are part of the transaction.
    `add table ip ${NFT_TABLE}`,
    `delete table ip ${NFT_TABLE}`,
    `table ip ${NFT_TABLE} {`,
    'chain input {',
    'type filter hook input priority filter; policy accept;',
    ...(apiPort === null ? [] : [apiGuard(apiPort)]),
    '}',
    'chain forward {',
    'type filter hook forward priority filter; policy accept;',
    `iifname "${bridge}" oifname "${bridge}" accept`,
    ...networks.map((network) => `oifname "${bridge}" ip daddr ${network} accept`),
    `iifname "${bridge}" accept`,
    `oifname "${bridge}" ct state { established, related } accept`,
    '}',
    ...(local.length === 0 ? [] : [localSet(local)]),
    'chain postrouting {',
    'type nat hook postrouting priority srcnat; policy accept;',
    ...(local.length === 0 ? [] : [`ip daddr @${LOCAL_SET} return`]),
    ...masqueraded.flatMap(masqueradeRules),
    '}',
    '}',
  ];
  return `${lines.join('\n')}\n`;
}

const LOCAL_SET = 'local-ranges';

const localSet = (ranges: readonly string[]): string =>
  `set ${LOCAL_SET} { type ipv4_addr; flags interval; auto-merge; elements = { ${ranges.join(', ')} }; }`;

/**
 * With `route_localnet` set by other software, neighbours on the link could reach 127.0.0.1; only
 * packets of this host itself may reach the control API.
 */
function apiGuard(port: number): string {
  return (
    `ip daddr 127.0.0.1 tcp dport ${port} fib saddr type != local ` +
    'ct state != { established, related } counter drop'
  );
}

/** One set of rules per network: traffic between two exposed networks is translated as well. */
function masqueradeRules(network: string): string[] {
  return [
    `ip saddr ${network} ip daddr ${MULTICAST_NETWORK} return`,
    `ip daddr ${network} ip saddr != ${network} masquerade`,
    `ip saddr ${network} ip daddr != ${network} masquerade`,
  ];
}

export const DELETE_TABLE = `add table ip ${NFT_TABLE}\ndelete table ip ${NFT_TABLE}\n`;

/**
 * Workload side, for one interface: multicast is accepted from the interface's own networks only.
 * Other interfaces of the namespace keep their chains.
 */
export function workloadRuleset(interfaceName: string, addresses: readonly Cidr[]): string {
  const chain = `ip ${NFT_TABLE} ${workloadChain(interfaceName)}`;
  const match = `iifname "${interfaceName}" ip daddr ${MULTICAST_NETWORK}`;
  const lines = [
    `add table ip ${NFT_TABLE}`,
    `add chain ${chain} { type filter hook input priority filter; policy accept; }`,
    `flush chain ${chain}`,
    ...networkTexts(addresses).map((net) => `add rule ${chain} ${match} ip saddr ${net} accept`),
    `add rule ${chain} ${match} counter drop`,
  ];
  return `${lines.join('\n')}\n`;
}

/**
 * Takes one interface's chain away, and the table if that was its last.
 * @param table what `listTable` gave, or null; the answer is null if there is nothing to do.
 */
export function workloadCleanup(
  interfaceName: string,
  table: readonly unknown[] | null,
): string | null {
  if (table === null) return null;
  const name = workloadChain(interfaceName);
  const chains = objectsOf(table, 'chain').map((chain) => chain['name']);
  if (!chains.includes(name)) return null;
  if (chains.length === 1) return DELETE_TABLE;
  return `flush chain ip ${NFT_TABLE} ${name}\ndelete chain ip ${NFT_TABLE} ${name}\n`;
}

function workloadChain(interfaceName: string): string {
  return `input-${interfaceName}`;
}

/**
 * A text that is equal for two listings exactly if the same rules stand in both: handles and
 * counters differ each time and are left out.
 */
export function fingerprint(table: readonly unknown[] | null): string {
  if (table === null) return '';
  const volatile = new Set(['handle', 'packets', 'bytes', 'metainfo']);
  return JSON.stringify(table, (key, value: unknown) => (volatile.has(key) ? undefined : value));
}

/**
 * Which exposed networks a former run of ours left without masquerading: those that the forward
 * chain names and the postrouting chain does not. Thus the kernel's rules themselves remember it,
 * and a restart of the router keeps it even if its stored state was lost.
 */
export function unmasqueradedNetworks(table: readonly unknown[] | null): Set<string> {
  if (table === null) return new Set();
  const rules = objectsOf(table, 'rule');
  const named = rules
    .filter((rule) => rule['chain'] === 'forward')
    .flatMap((rule) => addressMatches(rule, 'daddr'));
  const masqueraded = rules
    .filter((rule) => rule['chain'] === 'postrouting')
    .flatMap((rule) => addressMatches(rule, 'saddr'));
  return new Set(named.filter((network) => !masqueraded.includes(network)));
}

type Fields = Readonly<Record<string, unknown>>;

function objectsOf(listing: readonly unknown[], kind: string): Fields[] {
  return listing.flatMap((entry) => {
    const object = asFields(entry)[kind];
    return object === undefined ? [] : [asFields(object)];
  });
}

/** The networks that a rule compares one field of the IP header with for equality. */
function addressMatches(rule: Fields, field: 'saddr' | 'daddr'): string[] {
  const expressions = Array.isArray(rule['expr']) ? rule['expr'].map(asFields) : [];
  return expressions.flatMap((expression) => {
    const match = asFields(expression['match'] ?? {});
    const payload = asFields(asFields(match['left'] ?? {})['payload'] ?? {});
    return match['op'] === '==' && payload['field'] === field ? [prefixText(match['right'])] : [];
  });
}

function prefixText(value: unknown): string {
  if (typeof value === 'string') return `${value}/32`;
  const prefix = asFields(asFields(value)['prefix'] ?? {});
  return `${String(prefix['addr'])}/${String(prefix['len'])}`;
}

/** The key under which `unmasqueradedNetworks` finds an exposure. */
export function exposureNetwork(exposure: Exposure): string {
  return formatCidr(networkOf(exposure.cidr));
}
