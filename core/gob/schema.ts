/**
 * Schemas say what a caller sends or wants to receive; gob's own type definitions on the wire are
 * matched against them. A schema is an immutable constant: make it once, at module level, because
 * encoder and decoder recognise types by the identity of the schema object.
 * Source: reference/wire-protocol.md 2.
 */

export interface IntegerNode {
  readonly kind: 'uint' | 'int';
  readonly min: bigint;
  readonly max: bigint;
  /** The value is a bigint; otherwise a number, which the range keeps exact. */
  readonly big: boolean;
}

export interface ScalarNode {
  readonly kind: 'bool' | 'float' | 'string' | 'bytes';
}

export interface StructNode {
  readonly kind: 'struct';
  /** Go's type name; sent, but never checked by anybody. */
  readonly name: string;
  /** In the order in which they are sent. */
  readonly fields: readonly (readonly [name: string, node: SchemaNode])[];
}

export interface ListNode {
  readonly kind: 'slice' | 'array';
  readonly name: string;
  readonly element: SchemaNode;
  /** Elements of an array; 0 for a slice. */
  readonly length: number;
}

export interface MapNode {
  readonly kind: 'map';
  readonly name: string;
  readonly key: SchemaNode;
  readonly value: SchemaNode;
  /** Represent it as an array of pairs: for keys that a JavaScript Map cannot compare. */
  readonly asPairs: boolean;
}

export interface OptionalNode {
  readonly kind: 'optional';
  readonly inner: SchemaNode;
}

export type SchemaNode = IntegerNode | ScalarNode | StructNode | ListNode | MapNode | OptionalNode;

declare const valueType: unique symbol;
/** A schema whose values have the type T. */
export interface Schema<out T> {
  readonly node: SchemaNode;
  /** Exists for the type checker only. */
  readonly [valueType]?: T;
}

/** The type of a schema's values: `type PeerSummary = ValueOf<typeof peerSummary>`. */
export type ValueOf<S> = S extends Schema<infer T> ? T : never;

function integer<T extends number | bigint>(
  kind: 'uint' | 'int',
  min: bigint,
  max: bigint,
  big: boolean,
): Schema<T> {
  return { node: { kind, min, max, big } };
}

export const bool: Schema<boolean> = { node: { kind: 'bool' } };
/** A double; gob has no other. */
export const float: Schema<number> = { node: { kind: 'float' } };
/** UTF-8; invalid sequences read as U+FFFD. */
export const string: Schema<string> = { node: { kind: 'string' } };
/** Decodes to a view of the input, not a copy. */
export const bytes: Schema<Uint8Array> = { node: { kind: 'bytes' } };
export const uint8 = integer<number>('uint', 0n, 0xffn, false);
export const uint16 = integer<number>('uint', 0n, 0xffffn, false);
export const uint32 = integer<number>('uint', 0n, 0xffff_ffffn, false);
/** For peer names. */
export const uint48 = integer<number>('uint', 0n, 0xffff_ffff_ffffn, false);
export const uint64 = integer<bigint>('uint', 0n, 0xffff_ffff_ffff_ffffn, true);
export const int32 = integer<number>('int', -(1n << 31n), (1n << 31n) - 1n, false);
/** A signed integer that a JavaScript number holds exactly; others are out of range. */
export const int53 = integer<number>('int', -(1n << 53n) + 1n, (1n << 53n) - 1n, false);
export const int64 = integer<bigint>('int', -(1n << 63n), (1n << 63n) - 1n, true);

/** Field names are wire names and significant; fields that are missing decode to their zero. */
export function struct<F extends Readonly<Record<string, Schema<unknown>>>>(
  name: string,
  fields: F,
): Schema<{ readonly [K in keyof F]: ValueOf<F[K]> }> {
  const list = Object.entries(fields).map(([field, schema]) => [field, schema.node] as const);
  return { node: { kind: 'struct', name, fields: list } };
}

/**
 * @param name Go spells out the type of an unnamed slice inside a struct (`[]string`) and leaves it
 *   empty at top level. Nobody checks it; it matters only for byte equality with the original.
 */
export function slice<T>(element: Schema<T>, name = ''): Schema<readonly T[]> {
  return { node: { kind: 'slice', name, element: element.node, length: 0 } };
}

/** A list of fixed length; unlike a slice it is never left out of a struct. */
export function array<T>(element: Schema<T>, length: number, name = ''): Schema<readonly T[]> {
  return { node: { kind: 'array', name, element: element.node, length } };
}

/** Left out of a struct never; use `optional(map(…))` where Go's nil map has a meaning. */
export function map<K extends string | number | bigint | boolean, V>(
  key: Schema<K>,
  value: Schema<V>,
  name = '',
): Schema<ReadonlyMap<K, V>> {
  return { node: { kind: 'map', name, key: key.node, value: value.node, asPairs: false } };
}

/** The same on the wire as `map`, for structs as keys. Repeated keys are kept as they came. */
export function pairs<K, V>(
  key: Schema<K>,
  value: Schema<V>,
  name = '',
): Schema<readonly (readonly [K, V])[]> {
  return { node: { kind: 'map', name, key: key.node, value: value.node, asPairs: true } };
}

/** A pointer or a map that may be nil: `null` is left out of its struct. Only for struct fields. */
export function optional<T>(inner: Schema<T>): Schema<T | null> {
  return { node: { kind: 'optional', inner: inner.node } };
}

const NO_BYTES = new Uint8Array(0);

/** What a field that was not sent decodes to. */
export function zeroValue(node: SchemaNode): unknown {
  switch (node.kind) {
    case 'bool':
      return false;
    case 'float':
      return 0;
    case 'string':
      return '';
    case 'bytes':
      return NO_BYTES;
    case 'uint':
    case 'int':
      return node.big ? 0n : 0;
    case 'slice':
      return [];
    case 'array':
      return Array.from({ length: node.length }, () => zeroValue(node.element));
    case 'map':
      return node.asPairs ? [] : new Map();
    case 'optional':
      return null;
    case 'struct':
      return zeroStruct(node);
  }
}

export function zeroStruct(node: StructNode): Record<string, unknown> {
  const value: Record<string, unknown> = {};
  for (const [name, child] of node.fields) value[name] = zeroValue(child);
  return value;
}
