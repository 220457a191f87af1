/** Functions of templates and how their values print. */
import { isMap, reportJson } from '../report-json.js';
import { formatText } from './format.js';

/** Plain data: null and undefined are nil. */
export type Value = unknown;

/** A template that parses but does not fit the data; its text is not shown by the original. */
export class TemplateFailure extends Error {}

export const isNil = (value: Value): value is null | undefined => value == null;

/** Zero values are false, as are empty texts, lists and maps; a struct is always true. */
export function truth(value: Value): boolean {
  if (isNil(value)) return false;
  if (Array.isArray(value)) return value.length > 0;
  if (typeof value === 'object') return !isMap(value) || Object.keys(value).length > 0;
  return Boolean(value);
}

/** @throws {TemplateFailure} if a struct has no such field or there is nothing to look into. */
export function fieldOf(value: Value, name: string): Value {
  if (isNil(value) || typeof value !== 'object' || Array.isArray(value)) {
    throw new TemplateFailure(`can't evaluate field ${name}`);
  }
  if (Object.hasOwn(value, name)) return (value as Record<string, Value>)[name];
  if (isMap(value)) return undefined;
  throw new TemplateFailure(`can't evaluate field ${name}`);
}

/** -1, 0 or 1. Numbers of any width compare with each other, text with text. */
function compare(a: Value, b: Value): number {
  const numeric = (v: Value): v is number | bigint =>
    typeof v === 'number' || typeof v === 'bigint';
  if ((numeric(a) && numeric(b)) || (typeof a === 'string' && typeof b === 'string')) {
    return a < b ? -1 : a > b ? 1 : 0;
  }
  throw new TemplateFailure('incompatible types for comparison');
}

function equal(a: Value, b: Value): boolean {
  if (isNil(a) || isNil(b)) return isNil(a) && isNil(b);
  if (typeof a === 'boolean' && typeof b === 'boolean') return a === b;
  return compare(a, b) === 0;
}

function length(value: Value): number {
  if (typeof value === 'string') return Buffer.byteLength(value);
  if (Array.isArray(value)) return value.length;
  // A list that is nil has no type here; its length is what the caller asked for.
  if (isNil(value)) return 0;
  if (typeof value === 'object' && isMap(value)) return Object.keys(value).length;
  throw new TemplateFailure('len of a value without length');
}

function index(value: Value, ...keys: Value[]): Value {
  let current = value;
  for (const key of keys) {
    if (Array.isArray(current) && typeof key === 'number' && Number.isInteger(key)) {
      if (key < 0 || key >= current.length) throw new TemplateFailure('index out of range');
      current = current[key];
    } else if (typeof key === 'string' && typeof current === 'object' && !isNil(current)) {
      if (!isMap(current)) throw new TemplateFailure("can't index item of type struct");
      current = (current as Record<string, Value>)[key];
    } else {
      throw new TemplateFailure("can't index item");
    }
  }
  return current;
}

interface TemplateFunction {
  readonly min: number;
  readonly call: (...args: Value[]) => Value;
}

const order = (test: (result: number) => boolean): TemplateFunction => ({
  min: 2,
  call: (a, b) => test(compare(a, b)),
});

export const functions: ReadonlyMap<string, TemplateFunction> = new Map<string, TemplateFunction>([
  ['and', { min: 1, call: (...args) => args.at(args.findIndex((arg) => !truth(arg))) }],
  ['or', { min: 1, call: (...args) => args.at(args.findIndex(truth)) }],
  ['not', { min: 1, call: (arg) => !truth(arg) }],
  ['eq', { min: 2, call: (first, ...rest) => rest.some((arg) => equal(first, arg)) }],
  ['ne', { min: 2, call: (a, b) => !equal(a, b) }],
  ['lt', order((result) => result < 0)],
  ['le', order((result) => result <= 0)],
  ['gt', order((result) => result > 0)],
  ['ge', order((result) => result >= 0)],
  ['len', { min: 1, call: length }],
  ['index', { min: 1, call: index }],
  ['json', { min: 1, call: (arg) => reportJson(arg) }],
  ['print', { min: 0, call: (...args) => formatText('%v'.repeat(args.length), args) }],
  [
    'println',
    { min: 0, call: (...args) => `${formatText(args.map(() => '%v').join(' '), args)}\n` },
  ],
  [
    'printf',
    {
      min: 1,
      call: (format, ...args) => {
        if (typeof format !== 'string') throw new TemplateFailure('printf needs a format');
        return formatText(format, args);
      },
    },
  ],
]);
