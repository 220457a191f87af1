/**
 * The kernel's table, as `nft -j list table inet weave-npc` tells it, compared with a ruleset.
 * The tool shows rules in other words than they were given in (`{ 80 }` becomes `80`, adjacent
 * ranges become one), so both sides are brought to one form. What can't be read counts as a
 * difference: it is nothing that we made. Source: libnftables-json(5).
 */
import { z } from 'zod';
import { addressBytes, isIpv6 } from './address.js';
import { baseChain, bodyOf, mapsOf } from './render.js';
import type { Ruleset } from './ruleset.js';

/** Everything of a table as texts: by kind and name, what is in it. */
export type TableForm = ReadonlyMap<string, readonly string[]>;

/** Named differences; more are only counted as these. */
const MAX_DIFFERENCES = 20;

const name = z.string();
const item = z.union([
  z.strictObject({ metainfo: z.unknown() }),
  z.strictObject({ table: z.strictObject({ family: name, name, handle: z.number() }) }),
  z.strictObject({
    set: z.strictObject({
      family: name,
      table: name,
      name,
      handle: z.number(),
      type: z.union([name, z.array(name)]),
      elem: z.array(z.unknown()).optional(),
    }),
  }),
  z.strictObject({
    map: z.strictObject({
      family: name,
      table: name,
      name,
      handle: z.number(),
      type: name,
      map: z.literal('verdict'),
      elem: z.array(z.tuple([name, z.unknown()])).optional(),
    }),
  }),
  z.strictObject({
    chain: z.strictObject({
      family: name,
      table: name,
      name,
      handle: z.number(),
      type: name.optional(),
      hook: name.optional(),
      prio: z.number().optional(),
      policy: name.optional(),
    }),
  }),
  z.strictObject({
    rule: z.strictObject({
      family: name,
      table: name,
      chain: name,
      handle: z.number(),
      expr: z.array(z.unknown()),
    }),
  }),
]);
const listing = z.object({ nftables: z.array(item) });

const payload = z.strictObject({ payload: z.strictObject({ protocol: name, field: name }) });
const leftSide = z.union([
  payload.transform(({ payload: { protocol, field } }) => `${protocol} ${field}`),
  z
    .strictObject({ concat: z.array(payload) })
    .transform(({ concat }) =>
      concat.map(({ payload: { protocol, field } }) => `${protocol} ${field}`).join(' . '),
    ),
  z
    .strictObject({ meta: z.strictObject({ key: name }) })
    .transform(({ meta }) => `meta ${meta.key}`),
  z.strictObject({ ct: z.strictObject({ key: name }) }).transform(({ ct }) => `ct ${ct.key}`),
]);
const value = z.union([
  z.union([name, z.number()]).transform(String),
  z
    .strictObject({ prefix: z.strictObject({ addr: name, len: z.number() }) })
    .transform(({ prefix: { addr, len } }) => `${addr}/${len}`),
  z
    .strictObject({ range: z.tuple([z.union([name, z.number()]), z.union([name, z.number()])]) })
    .transform(({ range: [first, last] }) => `${first}-${last}`),
]);
const rightSide = z.union([
  value.transform((one) => [one]),
  z.array(value),
  z.strictObject({ set: z.array(value) }).transform(({ set }) => set),
]);
const jump = z
  .strictObject({ jump: z.strictObject({ target: name }) })
  .transform(({ jump: { target } }) => `jump ${target}`);
const expression = z.union([
  z.strictObject({ accept: z.null() }).transform(() => 'accept'),
  z.strictObject({ drop: z.null() }).transform(() => 'drop'),
  z.strictObject({ return: z.null() }).transform(() => 'return'),
  jump,
  z
    .strictObject({ log: z.strictObject({ prefix: name, group: z.number() }) })
    .transform(({ log: { prefix, group } }) => `log prefix "${prefix}" group ${group}`),
  z
    .strictObject({ vmap: z.strictObject({ key: leftSide, data: name }) })
    .transform(({ vmap: { key, data } }) => `${key} vmap ${data}`),
  z
    .strictObject({
      match: z.strictObject({ op: z.enum(['==', '!=', 'in']), left: leftSide, right: rightSide }),
    })
    .transform(({ match: { op, left, right } }) => matchForm(left, op === '!=', right)),
]);
const element = z.union([
  name,
  z
    .strictObject({ concat: z.tuple([name, z.number()]) })
    .transform(({ concat: [address, port] }) => `${address} . ${port}`),
]);

/** @returns null for a listing that holds anything we never make. */
export function parseTable(json: unknown): TableForm | null {
  const parsed = listing.safeParse(json);
  if (!parsed.success) return null;
  const form = new Map<string, string[]>();
  for (const one of parsed.data.nftables) {
    if ('set' in one) {
      const elements = z.array(element).safeParse(one.set.elem ?? []);
      if (!elements.success) return null;
      const type = [one.set.type].flat().join(' . ');
      form.set(`set ${one.set.name} ${type}`, elements.data.sort());
    } else if ('map' in one) {
      const elements = z.array(z.tuple([name, jump])).safeParse(one.map.elem ?? []);
      if (!elements.success) return null;
      const entries = elements.data.map(([address, verdict]) => `${address} : ${verdict}`);
      form.set(`map ${one.map.name} ${one.map.type}`, entries.sort());
    } else if ('chain' in one) {
      const { type, hook, prio, policy } = one.chain;
      form.set(`chain ${one.chain.name}`, [
        hook === undefined ? '' : `${type} ${hook} ${prio} ${policy}`,
      ]);
    } else if ('rule' in one) {
      const parts = z.array(expression).safeParse(one.rule.expr);
      const rules = form.get(`chain ${one.rule.chain}`);
      if (!parts.success || rules === undefined) return null;
      rules.push(ruleForm(parts.data));
    }
  }
  return form;
}

/** What `parseTable` gives once the kernel has that ruleset. */
export function formOf(ruleset: Ruleset): TableForm {
  const form = new Map<string, string[]>();
  for (const [set, { family, type, elements }] of ruleset.sets) {
    const port = type === 'endpoint' ? ' . inet_service' : '';
    form.set(`set ${set} ipv${family}_addr${port}`, [...elements].sort());
  }
  for (const { stem, family, entries: all } of mapsOf(ruleset)) {
    const entries = [...all]
      .filter(([address]) => isIpv6(address) === (family === 6))
      .map(([address, chain]) => `${address} : jump ${chain}`);
    form.set(`map ${stem}${family} ipv${family}_addr`, entries.sort());
  }
  for (const direction of ['egress', 'ingress'] as const) {
    const { priority, rules } = baseChain(direction, ruleset);
    form.set(`chain ${direction}`, [`filter forward ${priority} accept`, ...rules.map(textForm)]);
  }
  for (const [chain, body] of ruleset.chains) {
    form.set(`chain ${chain}`, ['', ...bodyOf(body).map(textForm)]);
  }
  return form;
}

/** @returns lines that name what differs; none if the kernel has what the ruleset says. */
export function differences(ruleset: Ruleset, json: unknown): string[] {
  const actual = parseTable(json);
  if (actual === null) return ['the table holds what this program never makes'];
  const expected = formOf(ruleset);
  const lines: string[] = [];
  for (const [key, body] of expected) {
    const other = actual.get(key);
    if (other === undefined) lines.push(`${key} is missing`);
    else if (other.join('\n') !== body.join('\n')) lines.push(`${key} differs`);
  }
  for (const key of actual.keys()) if (!expected.has(key)) lines.push(`${key} is foreign`);
  return lines.slice(0, MAX_DIFFERENCES);
}

const FIELD = [
  String.raw`ip6? [sd]addr(?: \. \w+ dport)?`,
  String.raw`\w+ dport`,
  String.raw`meta \w+`,
  'ct state',
  'icmpv6 type',
  'oifname',
].join('|');
const MATCH = new RegExp(String.raw`^(${FIELD}) (vmap |!= )?(\{[^}]*\}|\S+) ?`);

/** The form of a rule as render.ts writes it. */
function textForm(body: string): string {
  const parts: string[] = [];
  let rest = body;
  for (let match = MATCH.exec(rest); match !== null; match = MATCH.exec(rest)) {
    const [whole, field = '', operator = '', right = ''] = match;
    rest = rest.slice(whole.length);
    if (operator === 'vmap ') parts.push(`${field} vmap ${right}`);
    else {
      const left = field === 'oifname' ? 'meta oifname' : field;
      const values = right.replace(/[{}"\s]/g, '').split(',');
      parts.push(matchForm(left, operator !== '', values));
    }
  }
  return ruleForm(rest === '' ? parts : [...parts, rest]);
}

function ruleForm(parts: readonly string[]): string {
  // The tool leaves the family out where another part of the rule implies it.
  const implied = parts.some((part) => /^ip6? [sd]addr/.test(part));
  return parts.filter((part) => !implied || !part.startsWith('meta nfproto ')).join(' ');
}

function matchForm(left: string, negated: boolean, values: readonly string[]): string {
  const ranges = values.map(rangeOf);
  const known = ranges.filter((range) => range !== null);
  const right = known.length === ranges.length ? merge(known) : [...values].sort();
  return `${left} ${negated ? '!= ' : ''}{ ${right.join(', ')} }`;
}

type Range = readonly [first: bigint, last: bigint];

/** Of a port, an address or a range of either; null for other words. */
function rangeOf(text: string): Range | null {
  const [first = '', last = first] = text.split('-');
  if (/^\d+$/.test(first) && /^\d+$/.test(last)) return [BigInt(first), BigInt(last)];
  const [from, to] = [rangeOfPrefix(first), rangeOfPrefix(last)];
  return from === null || to === null ? null : [from[0], to[1]];
}

function rangeOfPrefix(text: string): Range | null {
  const [address = '', prefix] = text.split('/');
  const bytes = addressBytes(address);
  if (bytes === null) return null;
  const start = bytes.reduce((sum, byte) => (sum << 8n) | BigInt(byte), 0n);
  const free = BigInt(bytes.length * 8 - Number(prefix ?? bytes.length * 8));
  return [start, start + (1n << free) - 1n];
}

function merge(ranges: readonly Range[]): string[] {
  const sorted = [...ranges].sort((a, b) => (a[0] < b[0] ? -1 : 1));
  const merged: [bigint, bigint][] = [];
  for (const [first, last] of sorted) {
    const previous = merged.at(-1);
    if (previous === undefined || first > previous[1] + 1n) merged.push([first, last]);
    else if (last > previous[1]) previous[1] = last;
  }
  return merged.map(([first, last]) => `${first}-${last}`);
}
