/**
 * Encodes values as gob streams: type definitions once, before the first value that needs them.
 * Given the same values it writes the bytes that a fresh Go process writes, down to type ids.
 * Source: reference/wire-protocol.md 2.1 to 2.3.
 */
import { ByteWriter, utf8 } from '../bytes.js';
import { unreachable } from '../errors.js';
import {
  BUILTIN,
  FIRST_USER_ID,
  writeFloat,
  writeInt,
  writeSmallInt,
  writeUint,
  writeUintBig,
} from './primitives.js';
import type { IntegerNode, MapNode, Schema, SchemaNode, StructNode } from './schema.js';

type DefinedNode = Exclude<SchemaNode, { kind: 'optional' } | IntegerNode | { kind: ScalarKind }>;
type ScalarKind = 'bool' | 'float' | 'string' | 'bytes';

/** What every stream that begins with a value of this type begins with. */
interface Prologue {
  readonly ids: ReadonlyMap<SchemaNode, number>;
  readonly defined: ReadonlySet<SchemaNode>;
  readonly nextId: number;
  readonly definitions: Uint8Array;
}

/** Most messages are streams of their own; their definitions are written out once. */
const prologues = new WeakMap<SchemaNode, Prologue>();

/** Values are trusted: a number outside its schema's range is a bug and throws RangeError. */
export class GobEncoder {
  /** BOUNDED by the schemas of the program. */
  #ids = new Map<SchemaNode, number>();
  #defined = new Set<SchemaNode>();
  #nextId = FIRST_USER_ID;
  #hasBegun = false;
  #out = new ByteWriter();

  /** Appends one value to the stream. */
  encode<T>(schema: Schema<T>, value: T): this {
    if (!this.#hasBegun) this.#begin(schema.node);
    const id = this.#idOf(schema.node);
    this.#define(schema.node);
    const body = new ByteWriter();
    writeSmallInt(body, id);
    if (schema.node.kind !== 'struct') body.u8(0);
    writeValue(body, schema.node, value);
    this.#message(body);
    return this;
  }

  /**
   * The bytes since the start or the last call. The stream may go on: types stay defined, as a
   * protocol 1 session needs.
   */
  finish(): Uint8Array {
    const bytes = this.#out.finish();
    this.#out = new ByteWriter();
    return bytes;
  }

  /** Only before the first value: what stands in `#out` becomes part of what is kept. */
  #begin(node: SchemaNode): void {
    this.#hasBegun = true;
    let prologue = prologues.get(node);
    if (prologue === undefined) {
      this.#idOf(node);
      this.#define(node);
      const definitions = this.#out.finish();
      prologue = { ids: this.#ids, defined: this.#defined, nextId: this.#nextId, definitions };
      prologues.set(node, prologue);
      this.#out = new ByteWriter();
    }
    this.#ids = new Map(prologue.ids);
    this.#defined = new Set(prologue.defined);
    this.#nextId = prologue.nextId;
    this.#out.bytes(prologue.definitions);
  }

  #message(body: ByteWriter): void {
    writeUint(this.#out, body.length);
    this.#out.bytes(body.finish());
  }

  /** Go numbers a struct before its fields, but lists and maps after what they are made of. */
  #idOf(node: SchemaNode): number {
    if (node.kind === 'optional') return this.#idOf(node.inner);
    if (!isDefined(node)) return BUILTIN[node.kind];
    const known = this.#ids.get(node);
    if (known !== undefined) return known;
    if (node.kind === 'struct') {
      const id = this.#takeId(node);
      for (const child of parts(node)) this.#idOf(child);
      return id;
    }
    for (const child of parts(node)) this.#idOf(child);
    return this.#takeId(node);
  }

  #takeId(node: SchemaNode): number {
    const id = this.#nextId++;
    this.#ids.set(node, id);
    return id;
  }

  /** Sends the definitions of a type and its parts, the outer one first, each once. */
  #define(node: SchemaNode): void {
    if (node.kind === 'optional') {
      this.#define(node.inner);
      return;
    }
    if (!isDefined(node) || this.#defined.has(node)) return;
    this.#defined.add(node);
    const id = this.#idOf(node);
    const body = new ByteWriter();
    writeSmallInt(body, -id);
    this.#writeDefinition(body, node, id);
    this.#message(body);
    for (const child of parts(node)) this.#define(child);
  }

  /** The value of Go's wireType; its field numbers are spelt out as deltas. */
  #writeDefinition(body: ByteWriter, node: DefinedNode, id: number): void {
    // Field of wireType: 0 array, 1 slice, 2 struct, 3 map; the first delta counts from -1.
    const kind = { array: 0, slice: 1, struct: 2, map: 3 }[node.kind];
    body.u8(kind + 1).u8(1);
    if (node.name === '') {
      body.u8(2);
    } else {
      body.u8(1);
      writeBytes(body, utf8(node.name));
      body.u8(1);
    }
    writeSmallInt(body, id);
    body.u8(0);
    switch (node.kind) {
      case 'struct':
        this.#writeFields(body, node);
        break;
      case 'map':
        writeSmallInt(body.u8(1), this.#idOf(node.key));
        writeSmallInt(body.u8(1), this.#idOf(node.value));
        break;
      default:
        writeSmallInt(body.u8(1), this.#idOf(node.element));
        if (node.length > 0) writeSmallInt(body.u8(1), node.length);
    }
    body.u8(0).u8(0);
  }

  #writeFields(body: ByteWriter, node: StructNode): void {
    if (node.fields.length === 0) return;
    writeUint(body.u8(1), node.fields.length);
    for (const [name, child] of node.fields) {
      writeBytes(body.u8(1), utf8(name));
      writeSmallInt(body.u8(1), this.#idOf(child));
      body.u8(0);
    }
  }
}

function isDefined(node: Exclude<SchemaNode, { kind: 'optional' }>): node is DefinedNode {
  return 'name' in node;
}

function parts(node: DefinedNode): SchemaNode[] {
  if (node.kind === 'struct') return node.fields.map(([, child]) => child);
  return node.kind === 'map' ? [node.key, node.value] : [node.element];
}

function writeBytes(body: ByteWriter, bytes: Uint8Array): void {
  writeUint(body, bytes.length);
  body.bytes(bytes);
}

function writeValue(body: ByteWriter, node: SchemaNode, value: unknown): void {
  switch (node.kind) {
    case 'bool':
      body.u8(value === true ? 1 : 0);
      break;
    case 'float':
      writeFloat(body, value as number);
      break;
    case 'string':
      writeBytes(body, utf8(value as string));
      break;
    case 'bytes':
      writeBytes(body, value as Uint8Array);
      break;
    case 'uint':
    case 'int':
      writeInteger(body, node, value as number | bigint);
      break;
    case 'optional':
      writeValue(body, node.inner, value);
      break;
    case 'struct':
      writeStruct(body, node, value as Readonly<Record<string, unknown>>);
      break;
    case 'map':
      writeMap(body, node, value as Iterable<readonly [unknown, unknown]>);
      break;
    case 'slice':
    case 'array':
      writeUint(body, (value as readonly unknown[]).length);
      for (const element of value as readonly unknown[]) writeValue(body, node.element, element);
      break;
    default:
      unreachable(node);
  }
}

function writeInteger(body: ByteWriter, node: IntegerNode, value: number | bigint): void {
  const big = BigInt(value);
  if (big < node.min || big > node.max) {
    throw new RangeError(`${value} lies outside ${node.min} … ${node.max}`);
  }
  if (node.kind === 'int') writeInt(body, big);
  else if (typeof value === 'number') writeUint(body, value);
  else writeUintBig(body, value);
}

function writeMap(body: ByteWriter, node: MapNode, value: Iterable<readonly [unknown, unknown]>) {
  const entries = [...value];
  writeUint(body, entries.length);
  for (const [key, element] of entries) {
    writeValue(body, node.key, key);
    writeValue(body, node.value, element);
  }
}

function writeStruct(
  body: ByteWriter,
  node: StructNode,
  value: Readonly<Record<string, unknown>>,
): void {
  let last = -1;
  node.fields.forEach(([name, child], number) => {
    const field = value[name];
    if (isLeftOut(child, field)) return;
    writeUint(body, number - last);
    last = number;
    writeValue(body, child, field);
  });
  body.u8(0);
}

/** Structs leave out fields that are zero, but for structs, arrays and maps that are not nil. */
function isLeftOut(node: SchemaNode, value: unknown): boolean {
  switch (node.kind) {
    case 'struct':
    case 'array':
    case 'map':
      return false;
    case 'optional':
      return value === null;
    case 'string':
    case 'bytes':
    case 'slice':
      return (value as { length: number }).length === 0;
    case 'bool':
      return value === false;
    default:
      return value === 0 || value === 0n;
  }
}
