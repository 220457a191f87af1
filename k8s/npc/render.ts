/**
 * A ruleset as one `nft -f` transaction: all or nothing in the kernel. Objects are added before
 * what refers to them and removed after it. Every text in it is made here or checked by parse.ts:
 * names of objects never reach the script.
 */
import { isIpv6 } from './address.js';
import type { Action } from './cluster-policy.js';
import type { Chain, Direction, Family, NamedSet, Rule, Ruleset } from './ruleset.js';

export const TABLE = 'inet weave-npc';
/** Dropped packets go to this group of NFLOG, as with the original. */
export const LOG_GROUP = 86;

/** A map of the kernel: addresses of one family, each to the chain of a local pod. */
export interface VerdictMap {
  /** Without the family. */
  readonly stem: string;
  readonly direction: Direction;
  readonly family: Family;
  readonly entries: ReadonlyMap<string, string>;
}

/** In no order; `entries` hold both families. */
export function mapsOf(ruleset: Ruleset): VerdictMap[] {
  const { tiers } = ruleset;
  return (['ingress', 'egress'] as const).flatMap((direction) =>
    stages(direction, ruleset).flatMap(({ stem, tier }) => {
      const entries = tier === null ? ruleset[direction] : tiers?.[tier][direction];
      return ([4, 6] as const).map((family) => ({
        ...{ stem, direction, family },
        entries: entries ?? new Map<string, never>(),
      }));
    }),
  );
}

/** The maps of a base chain in the order in which they are asked. */
function stages(direction: Direction, { tiers }: Ruleset) {
  const policies = { stem: `${direction}`, tier: null };
  if (tiers === null) return [policies];
  return [
    { stem: `${direction}-admin`, tier: 'admin' as const },
    policies,
    { stem: `${direction}-baseline`, tier: 'baseline' as const },
  ];
}

/** Makes the table anew, whatever was there. */
export function renderAll(ruleset: Ruleset): string {
  const lines = [
    // Deleting needs a table, and adding an existing one does no harm.
    `add table ${TABLE}`,
    `delete table ${TABLE}`,
    `add table ${TABLE}`,
    ...mapsOf(ruleset).map(
      ({ stem, family }) =>
        `add map ${TABLE} ${stem}${family} { type ipv${family}_addr : verdict; }`,
    ),
  ];
  const none = new Map<string, never>();
  const nothing = { ingress: none, egress: none };
  const tiers = ruleset.tiers === null ? null : { admin: nothing, baseline: nothing };
  const empty = { ...ruleset, ...nothing, sets: none, chains: none, tiers };
  lines.push(...baseLines('egress', ruleset), ...baseLines('ingress', ruleset));
  return text([...lines, ...changeLines(empty, ruleset)]);
}

/** @returns an empty text if there is nothing to do. */
export function renderChange(before: Ruleset, after: Ruleset): string {
  const sameBase =
    before.allowMulticast === after.allowMulticast &&
    before.closedBridge === after.closedBridge &&
    (before.tiers === null) === (after.tiers === null);
  return sameBase ? text(changeLines(before, after)) : renderAll(after);
}

const text = (lines: readonly string[]): string =>
  lines.length === 0 ? '' : `${lines.join('\n')}\n`;

/** What a base chain is and the rules in it. */
export function baseChain(
  direction: Direction,
  ruleset: Ruleset,
): { readonly priority: number; readonly rules: readonly string[] } {
  const { allowMulticast, closedBridge } = ruleset;
  // After service translation (-100); the two hooks differ, since `accept` ends only one of them.
  const priority = direction === 'egress' ? -6 : -5;
  const field = direction === 'egress' ? 'saddr' : 'daddr';
  const rules = [
    'ct state established,related accept',
    // Without neighbour discovery no IPv6 address can be reached at all.
    'icmpv6 type { nd-router-solicit, nd-router-advert, nd-neighbor-solicit, nd-neighbor-advert } accept',
  ];
  if (allowMulticast) rules.push('ip daddr 224.0.0.0/4 accept', 'ip6 daddr ff00::/8 accept');
  for (const { stem } of stages(direction, ruleset)) {
    rules.push(`ip ${field} vmap @${stem}4`, `ip6 ${field} vmap @${stem}6`);
  }
  if (closedBridge !== null && direction === 'ingress') {
    rules.push(`oifname ${JSON.stringify(closedBridge)} drop`);
  }
  return { priority, rules };
}

function baseLines(direction: Direction, ruleset: Ruleset): string[] {
  const { priority, rules } = baseChain(direction, ruleset);
  return [
    `add chain ${TABLE} ${direction} ` +
      `{ type filter hook forward priority ${priority}; policy accept; }`,
    ...rules.map((body) => `add rule ${TABLE} ${direction} ${body}`),
  ];
}

function changeLines(before: Ruleset, after: Ruleset): string[] {
  const lines: string[] = [];
  for (const [name, set] of after.sets) lines.push(...setChange(name, before.sets.get(name), set));
  const changed = [...after.chains].filter(([name, chain]) => {
    const old = before.chains.get(name);
    if (old === chain) return false;
    return old === undefined || bodyOf(old).join('\n') !== bodyOf(chain).join('\n');
  });
  for (const [name] of changed) {
    lines.push(`${before.chains.has(name) ? 'flush' : 'add'} chain ${TABLE} ${name}`);
  }
  for (const [name, chain] of changed) {
    for (const body of bodyOf(chain)) lines.push(`add rule ${TABLE} ${name} ${body}`);
  }
  const old = mapsOf(before);
  // Both have the same maps, or the table would be made anew.
  for (const [at, map] of mapsOf(after).entries()) lines.push(...mapChange(map, old[at]));
  const gone = [...before.chains].filter(([name]) => !after.chains.has(name));
  // Groups first: they refer to the chains of policies.
  gone.sort(([, a], [, b]) => Number(a.kind === 'policy') - Number(b.kind === 'policy'));
  for (const [name] of gone) lines.push(`flush chain ${TABLE} ${name}`);
  for (const [name] of gone) lines.push(`delete chain ${TABLE} ${name}`);
  for (const name of before.sets.keys()) {
    if (!after.sets.has(name)) lines.push(`delete set ${TABLE} ${name}`);
  }
  return lines;
}

function setChange(name: string, before: NamedSet | undefined, after: NamedSet): string[] {
  // What did not change is the same object, as the compiler keeps it.
  if (before === after) return [];
  const lines: string[] = [];
  if (before === undefined) {
    const port = after.type === 'endpoint' ? ' . inet_service' : '';
    lines.push(`add set ${TABLE} ${name} { type ipv${after.family}_addr${port}; }`);
  }
  const old = before?.elements ?? new Set<string>();
  const gone = [...old].filter((element) => !after.elements.has(element));
  const fresh = [...after.elements].filter((element) => !old.has(element));
  if (gone.length > 0) lines.push(`delete element ${TABLE} ${name} { ${gone.join(', ')} }`);
  if (fresh.length > 0) lines.push(`add element ${TABLE} ${name} { ${fresh.join(', ')} }`);
  return lines;
}

function mapChange(after: VerdictMap, before: VerdictMap | undefined): string[] {
  const { stem, family, entries } = after;
  const old = before?.entries ?? new Map<string, string>();
  const changed = (a: ReadonlyMap<string, string>, b: ReadonlyMap<string, string>): string =>
    [...a]
      .filter(([address, chain]) => isIpv6(address) === (family === 6) && b.get(address) !== chain)
      .map(([address, chain]) => `${address} : jump ${chain}`)
      .join(', ');
  const [gone, fresh] = [changed(old, entries), changed(entries, old)];
  const lines: string[] = [];
  if (gone !== '') lines.push(`delete element ${TABLE} ${stem}${family} { ${gone} }`);
  if (fresh !== '') lines.push(`add element ${TABLE} ${stem}${family} { ${fresh} }`);
  return lines;
}

/** The rules of a chain. */
export function bodyOf(chain: Chain): string[] {
  const { kind, direction } = chain;
  if (kind === 'policy') return chain.rules.map((rule) => ruleBody(rule, direction, 'accept'));
  if (kind === 'tier') {
    const verdicts: { readonly [A in Action]: string } = {
      accept: 'accept',
      deny: `log prefix "${direction}-${chain.tier}" group ${LOG_GROUP} drop`,
      pass: 'return',
    };
    return chain.rules.map(({ rule, action }) => ruleBody(rule, direction, verdicts[action]));
  }
  const log = `log prefix "${direction}" group ${LOG_GROUP}`;
  return [...chain.policies.map((policy) => `jump ${policy}`), log, 'drop'];
}

function ruleBody(rule: Rule, direction: Direction, verdict: string): string {
  const { family, peer, protocol, ports, endpoints } = rule;
  const ip = family === 6 ? 'ip6' : 'ip';
  const field = `${ip} ${direction === 'ingress' ? 'saddr' : 'daddr'}`;
  const parts: string[] = [];
  if (peer?.kind === 'set') parts.push(`${field} @${peer.set}`);
  if (peer?.kind === 'block') {
    parts.push(
      // A prefix of no bits would be left out, and the rule would match both families.
      peer.cidr.endsWith('/0')
        ? `meta nfproto ipv${family === 6 ? 6 : 4}`
        : `${field} ${peer.cidr}`,
    );
    if (peer.except.length > 0) parts.push(`${field} != { ${peer.except.join(', ')} }`);
  }
  const name = protocol?.toLowerCase();
  if (endpoints !== null) parts.push(`${ip} daddr . ${name} dport @${endpoints}`);
  else if (ports !== null) {
    const ranges = ports.map(([first, last]) => (first === last ? first : `${first}-${last}`));
    parts.push(`${name} dport { ${ranges.join(', ')} }`);
  } else if (protocol !== null) parts.push(`meta l4proto ${name}`);
  return [...parts, verdict].join(' ');
}
