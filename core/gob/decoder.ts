/**
 * Decodes gob streams against schemas. What a Go decoder tolerates is tolerated (unknown fields,
 * missing fields, bytes behind a value); what it reports as a plain end of input while data is
 * missing is an error here.
 * Source: reference/wire-protocol.md 2.2 to 2.4.
 */
import { fromUtf8 } from '../bytes.js';
import { DecodeError } from '../errors.js';
import { BUILTIN, GobReader, outOfRange } from './primitives.js';
import {
  type IntegerNode,
  type ListNode,
  type MapNode,
  type Schema,
  type SchemaNode,
  type StructNode,
  zeroStruct,
} from './schema.js';
import { MAX_ELEMENTS, readStruct, WireTypes } from './wire-types.js';

type Read = (reader: GobReader) => unknown;

/**
 * Decodes messages that somebody else cut out of a stream (without their length). Keeps the type
 * definitions for the life of the stream. Unusable after an error.
 */
export class GobMessageDecoder {
  readonly #types = new WireTypes();
  /** How to read a wire type into a schema. BOUNDED by the schemas in use times the types. */
  readonly #readers = new Map<SchemaNode, Map<number, Read>>();

  /**
   * @returns the value, or undefined if the message was a type definition.
   * @throws {DecodeError} codes `gob-…` and `truncated`
   */
  decode<T>(message: Uint8Array, schema: Schema<T>): T | undefined {
    if (message.length === 0) throw new DecodeError('gob-message-empty', 'gob message of length 0');
    const reader = new GobReader(message);
    const id = reader.smallInt();
    if (id < 0) {
      this.#types.define(-id, reader);
      return undefined;
    }
    const read = this.#readerFor(schema.node, id);
    // A value that is no struct has a 0 where a struct has its first field delta.
    if (schema.node.kind !== 'struct' && reader.uint() !== 0) {
      throw new DecodeError('gob-top-level', 'a value other than a struct must follow a 0');
    }
    return read(reader) as T;
  }

  #readerFor(node: SchemaNode, id: number): Read {
    let byId = this.#readers.get(node);
    if (byId === undefined) {
      byId = new Map();
      this.#readers.set(node, byId);
    }
    const known = byId.get(id);
    if (known !== undefined) return known;
    const read = this.#compile(node, id);
    byId.set(id, read);
    return read;
  }

  #compile(node: SchemaNode, id: number): Read {
    switch (node.kind) {
      case 'bool':
        return scalar(id, BUILTIN.bool, (reader) => reader.bool());
      case 'float':
        return scalar(id, BUILTIN.float, (reader) => reader.float());
      case 'string':
        return scalar(id, BUILTIN.string, (reader) => fromUtf8(reader.bytes()));
      case 'bytes':
        return scalar(id, BUILTIN.bytes, (reader) => reader.bytes());
      case 'uint':
        return scalar(id, BUILTIN.uint, uintReader(node));
      case 'int':
        return scalar(id, BUILTIN.int, intReader(node));
      case 'optional':
        return this.#readerFor(node.inner, id);
      case 'struct':
        return this.#compileStruct(node, id);
      case 'map':
        return this.#compileMap(node, id);
      default:
        return this.#compileList(node, id);
    }
  }

  #compileStruct(node: StructNode, id: number): Read {
    const type = this.#types.get(id);
    if (type?.kind !== 'struct') throw mismatch(node.kind, id, type?.kind);
    const known = new Map(node.fields);
    const fields = type.fields.map((field) => {
      const child = known.get(field.name);
      if (child !== undefined) {
        return { name: field.name, read: this.#readerFor(child, field.typeId), typeId: 0 };
      }
      this.#types.requireDefined(field.typeId);
      return { name: field.name, read: null, typeId: field.typeId };
    });
    if (fields.length > 0 && fields.every((field) => field.read === null)) {
      throw new DecodeError('gob-type-mismatch', `no field in common with ${node.name}`);
    }
    return (reader) => {
      const value = zeroStruct(node);
      readStruct(reader, fields.length, (number) => {
        const field = fields[number] as (typeof fields)[number];
        if (field.read === null) this.#types.skip(field.typeId, reader);
        else value[field.name] = field.read(reader);
      });
      return value;
    };
  }

  #compileMap(node: MapNode, id: number): Read {
    const type = this.#types.get(id);
    if (type?.kind !== 'map') throw mismatch(node.kind, id, type?.kind);
    const readKey = this.#readerFor(node.key, type.key);
    const readValue = this.#readerFor(node.value, type.value);
    if (node.asPairs) {
      return (reader) => {
        const list: (readonly [unknown, unknown])[] = [];
        for (let left = reader.count(MAX_ELEMENTS); left > 0; left--) {
          const key = readKey(reader);
          list.push([key, readValue(reader)]);
        }
        return list;
      };
    }
    return (reader) => {
      const map = new Map<unknown, unknown>();
      for (let left = reader.count(MAX_ELEMENTS); left > 0; left--) {
        const key = readKey(reader);
        map.set(key, readValue(reader));
      }
      return map;
    };
  }

  #compileList(node: ListNode, id: number): Read {
    const type = this.#types.get(id);
    if (type?.kind !== node.kind) throw mismatch(node.kind, id, type?.kind);
    if (type.kind === 'array' && type.length !== node.length) {
      throw new DecodeError(
        'gob-type-mismatch',
        `array of ${type.length}, expected ${node.length}`,
      );
    }
    const readElement = this.#readerFor(node.element, (type as { element: number }).element);
    return (reader) => {
      const count = reader.count(MAX_ELEMENTS);
      if (node.kind === 'array' && count !== node.length) {
        throw new DecodeError('gob-count', `${count} elements in an array of ${node.length}`);
      }
      const list: unknown[] = [];
      for (let left = count; left > 0; left--) list.push(readElement(reader));
      return list;
    };
  }
}

/** Decodes a complete stream, such as a gossip payload. Unusable after an error. */
export class GobDecoder {
  readonly #messages = new GobMessageDecoder();
  readonly #bytes: Uint8Array;
  #offset = 0;

  /** @param bytes the whole stream; kept, and byte slices decode to views of it. */
  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  /** No further message follows. */
  get atEnd(): boolean {
    return this.#offset >= this.#bytes.length;
  }

  /**
   * The next value of the stream.
   * @throws {DecodeError} `gob-end` if there is none; other `gob-…` codes and `truncated`
   */
  next<T>(schema: Schema<T>): T {
    while (!this.atEnd) {
      const value = this.#messages.decode(this.#nextMessage(), schema);
      if (value !== undefined) return value;
    }
    throw new DecodeError('gob-end', 'gob stream ends where a value is expected');
  }

  #nextMessage(): Uint8Array {
    const reader = new GobReader(this.#bytes.subarray(this.#offset));
    const message = reader.bytes();
    this.#offset += reader.offset;
    return message;
  }
}

function scalar(id: number, expected: number, read: Read): Read {
  if (id !== expected) {
    throw new DecodeError('gob-type-mismatch', `type id ${id} received, ${expected} expected`);
  }
  return read;
}

function uintReader(node: IntegerNode): Read {
  const { max } = node;
  if (node.big) return (reader) => checkRange(reader.uintBig(), node);
  const limit = Number(max);
  return (reader) => {
    const value = reader.uint();
    if (value > limit) throw outOfRange();
    return value;
  };
}

function intReader(node: IntegerNode): Read {
  return (reader) => {
    const value = checkRange(reader.int(), node);
    return node.big ? value : Number(value);
  };
}

function checkRange(value: bigint, node: IntegerNode): bigint {
  if (value < node.min || value > node.max) throw outOfRange();
  return value;
}

function mismatch(wanted: string, id: number, found: string | undefined): DecodeError {
  return found === undefined && id >= 64
    ? new DecodeError('gob-type-undefined', `type id ${id} was never defined`)
    : new DecodeError('gob-type-mismatch', `${wanted} expected, type id ${id} is ${found}`);
}
