/** What the parsers share: results, refusals, and the parts that objects have alike. */
import { z } from 'zod';
import { parseBlock } from './address.js';
import type { Requirement, Selector } from './objects.js';

export type Parsed<T> =
  | {
      readonly ok: true;
      readonly value: T;
      /** What was corrected, in words. */
      readonly warnings: readonly string[];
    }
  | {
      readonly ok: false;
      /** `namespace/name` as far as they can be read. */
      readonly name: string;
      readonly reason: string;
      readonly code: ParseCode;
    };

export type ParseCode =
  | 'object-malformed'
  | 'selector-invalid'
  | 'peer-invalid'
  | 'port-invalid'
  | 'block-invalid';

export class Refusal extends Error {
  readonly code: ParseCode;

  constructor(code: ParseCode, message: string) {
    super(message);
    this.code = code;
  }
}

/** Items of each list in one object; the API server allows far fewer in 1.5 MB. */
const MAX_ITEMS = 100_000;

export const text = z.string().max(512);
export const labels = z.record(text, text).nullish();
export const list = <T extends z.ZodType>(item: T) => z.array(item).max(MAX_ITEMS).nullish();
export const metadata = z.object({
  name: text,
  namespace: text.nullish(),
  uid: text.nullish(),
  labels,
});
const namesOnly = z.object({
  metadata: z.object({ name: text, namespace: text.nullish() }),
});

export const selectorSchema = z.object({
  matchLabels: labels,
  matchExpressions: list(z.object({ key: text, operator: text, values: list(text) })),
});

export function parsing<T>(raw: unknown, parse: (warnings: string[]) => T): Parsed<T> {
  const warnings: string[] = [];
  try {
    return { ok: true, value: parse(warnings), warnings };
  } catch (error) {
    const { code, text: reason } = reasonOf(error);
    return { ok: false, name: nameOf(raw), reason, code };
  }
}

/** @throws what is neither a refusal nor a finding of a schema. */
export function reasonOf(error: unknown): { readonly code: ParseCode; readonly text: string } {
  if (error instanceof Refusal) return { code: error.code, text: error.message };
  if (!(error instanceof z.ZodError)) throw error;
  const issue = error.issues[0];
  const reason = `${issue?.path.join('.') ?? ''}: ${issue?.message ?? 'is malformed'}`;
  return { code: 'object-malformed', text: reason.slice(0, 300) };
}

function nameOf(raw: unknown): string {
  const named = namesOnly.safeParse(raw).data?.metadata;
  if (named === undefined) return '(without a name)';
  return `${named.namespace ?? ''}/${named.name}`;
}

export function block(cidr: string, warnings: string[]): string {
  const parsed = parseBlock(cidr);
  if (parsed === null) {
    throw new Refusal('block-invalid', `"${cidr.slice(0, 64)}" is no range of addresses`);
  }
  if (parsed.masked) warnings.push(`"${cidr}" has bits beyond its prefix: ${parsed.text} is used`);
  return parsed.text;
}

export function portNumber(value: number): number {
  if (Number.isInteger(value) && value >= 1 && value <= 65535) return value;
  throw new Refusal('port-invalid', `${value} is no port`);
}

export function selector(raw: z.infer<typeof selectorSchema>): Selector {
  const requirements: Requirement[] = Object.entries(raw.matchLabels ?? {}).map(([key, value]) => ({
    key,
    operator: 'In',
    values: [value],
  }));
  for (const { key, operator, values } of raw.matchExpressions ?? []) {
    requirements.push({ key, ...expression(operator, values ?? []) });
  }
  const sorted = requirements.map((r) => ({ ...r, values: [...r.values].sort() }));
  const parts = sorted.map((r) => JSON.stringify([r.key, r.operator, ...r.values])).sort();
  return { requirements: sorted, key: parts.join(' ') };
}

function expression(operator: string, values: readonly string[]): Omit<Requirement, 'key'> {
  switch (operator) {
    case 'In':
    case 'NotIn':
      if (values.length > 0) return { operator, values };
      throw new Refusal('selector-invalid', `${operator} has no values`);
    case 'Exists':
    case 'DoesNotExist':
      if (values.length === 0) return { operator, values: [] };
      throw new Refusal('selector-invalid', `${operator} has values`);
    default:
      throw new Refusal('selector-invalid', `the operator "${operator.slice(0, 32)}" is unknown`);
  }
}
