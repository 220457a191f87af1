/**
 * The type definitions a stream has sent so far. Definitions may name ids that later messages
 * define, so ids are resolved only when a value arrives.
 * Source: reference/wire-protocol.md 2.3.
 */
import { fromUtf8 } from '../bytes.js';
import { DecodeError } from '../errors.js';
import { BUILTIN, FIRST_DEFINABLE_ID, type GobReader } from './primitives.js';

export interface WireField {
  readonly name: string;
  readonly typeId: number;
}

export type WireType =
  | { readonly kind: 'struct'; readonly fields: readonly WireField[] }
  | { readonly kind: 'slice'; readonly element: number }
  | { readonly kind: 'array'; readonly element: number; readonly length: number }
  | { readonly kind: 'map'; readonly key: number; readonly value: number }
  /** Types with a marshaller of their own: a counted run of bytes. We can only skip them. */
  | { readonly kind: 'opaque' };

/** Far above the dozen that any payload defines; a protocol 1 stream keeps them for its life. */
const MAX_TYPES = 1024;
/** Far above the three levels of the deepest real payload. */
const MAX_SKIP_DEPTH = 64;

/** Elements in one message; a frame of 10 MiB holds fewer honest ones. */
export const MAX_ELEMENTS = 2 ** 20;

/**
 * Calls `onField` for each field that is present, with its number. Like Go's decoder it accepts a
 * struct whose terminator is cut off by the end of the message.
 */
export function readStruct(
  reader: GobReader,
  fieldCount: number,
  onField: (field: number) => void,
): void {
  let field = -1;
  while (reader.remaining > 0) {
    const delta = reader.uint();
    if (delta === 0) return;
    field += delta;
    if (field >= fieldCount) {
      throw new DecodeError('gob-field-number', `field ${field} of a struct of ${fieldCount}`);
    }
    onField(field);
  }
}

export class WireTypes {
  /** BOUNDED by MAX_TYPES. */
  readonly #types = new Map<number, WireType>();
  /**
   * Ids known to be defined with all they are made of: definitions never go away, and a struct of
   * many fields of one large type would otherwise be walked for each of them. BOUNDED by MAX_TYPES.
   */
  readonly #complete = new Set<number>();

  /** @returns undefined for ids that are built in or unknown. */
  get(id: number): WireType | undefined {
    return this.#types.get(id);
  }

  /**
   * Takes in the body of a definition message.
   * @throws {DecodeError} `gob-definition` and the codes of malformed values
   */
  define(id: number, reader: GobReader): void {
    if (id < FIRST_DEFINABLE_ID || this.#types.has(id)) {
      throw new DecodeError('gob-definition', `type id ${id} is defined already`);
    }
    if (this.#types.size >= MAX_TYPES) {
      throw new DecodeError('gob-definition', `more than ${MAX_TYPES} types in one stream`);
    }
    const type = readWireType(reader);
    if (reader.remaining > 0) {
      throw new DecodeError('gob-definition', 'bytes behind a type definition');
    }
    this.#types.set(id, type);
  }

  /** @throws {DecodeError} `gob-type-undefined` if the type, or one it is made of, is unknown. */
  requireDefined(id: number): void {
    const seen = new Set<number>();
    const open = [id];
    for (let next = open.pop(); next !== undefined; next = open.pop()) {
      if (seen.has(next) || isBuiltin(next) || this.#complete.has(next)) continue;
      seen.add(next);
      const type = this.#types.get(next);
      if (type === undefined) {
        throw new DecodeError('gob-type-undefined', `type id ${next} was never defined`);
      }
      if (type.kind === 'struct') for (const field of type.fields) open.push(field.typeId);
      else if (type.kind === 'map') open.push(type.key, type.value);
      else if (type.kind !== 'opaque') open.push(type.element);
    }
    for (const complete of seen) this.#complete.add(complete);
  }

  /** Steps over a value of a type that `requireDefined` has passed. */
  skip(id: number, reader: GobReader, depth = 0): void {
    // Types may contain themselves, so only the depth bounds the recursion.
    if (depth > MAX_SKIP_DEPTH)
      throw new DecodeError('gob-depth', 'gob value is nested too deeply');
    const type = this.#types.get(id);
    if (type === undefined) {
      skipBuiltin(id, reader);
      return;
    }
    switch (type.kind) {
      case 'struct':
        readStruct(reader, type.fields.length, (field) => {
          this.skip((type.fields[field] as WireField).typeId, reader, depth + 1);
        });
        break;
      case 'opaque':
        reader.bytes();
        break;
      case 'map':
        for (let left = reader.count(MAX_ELEMENTS); left > 0; left--) {
          this.skip(type.key, reader, depth + 1);
          this.skip(type.value, reader, depth + 1);
        }
        break;
      default:
        for (let left = reader.count(MAX_ELEMENTS); left > 0; left--) {
          this.skip(type.element, reader, depth + 1);
        }
    }
  }
}

function isBuiltin(id: number): boolean {
  return id >= BUILTIN.bool && id <= BUILTIN.complex;
}

function skipBuiltin(id: number, reader: GobReader): void {
  if (id === BUILTIN.bytes || id === BUILTIN.string) {
    reader.bytes();
    return;
  }
  reader.uintBig();
  if (id === BUILTIN.complex) reader.uintBig();
}

/** wireType: exactly one of its fields is present and says what kind of type it is. */
function readWireType(reader: GobReader): WireType {
  const found: WireType[] = [];
  readStruct(reader, 7, (field) => {
    if (field === 0) found.push(readArrayType(reader));
    else if (field === 1) found.push(readSliceType(reader));
    else if (field === 2) found.push(readStructType(reader));
    else if (field === 3) found.push(readMapType(reader));
    else {
      readStruct(reader, 1, () => skipCommon(reader));
      found.push({ kind: 'opaque' });
    }
  });
  const [type] = found;
  if (type === undefined || found.length > 1) {
    throw new DecodeError('gob-definition', `${found.length} kinds in a type definition`);
  }
  return type;
}

/** Name and id of the type; the id repeats the one in front of the definition. */
function skipCommon(reader: GobReader): void {
  readStruct(reader, 2, (field) => {
    if (field === 0) reader.bytes();
    else reader.smallInt();
  });
}

function readArrayType(reader: GobReader): WireType {
  let element = 0;
  let length = 0;
  readStruct(reader, 3, (field) => {
    if (field === 0) skipCommon(reader);
    else if (field === 1) element = reader.smallInt();
    else length = Number(reader.int());
  });
  return { kind: 'array', element, length };
}

function readSliceType(reader: GobReader): WireType {
  let element = 0;
  readStruct(reader, 2, (field) => {
    if (field === 0) skipCommon(reader);
    else element = reader.smallInt();
  });
  return { kind: 'slice', element };
}

function readMapType(reader: GobReader): WireType {
  let key = 0;
  let value = 0;
  readStruct(reader, 3, (field) => {
    if (field === 0) skipCommon(reader);
    else if (field === 1) key = reader.smallInt();
    else value = reader.smallInt();
  });
  return { kind: 'map', key, value };
}

function readStructType(reader: GobReader): WireType {
  const fields: WireField[] = [];
  readStruct(reader, 2, (field) => {
    if (field === 0) {
      skipCommon(reader);
      return;
    }
    for (let left = reader.count(MAX_ELEMENTS); left > 0; left--) fields.push(readField(reader));
  });
  return { kind: 'struct', fields };
}

function readField(reader: GobReader): WireField {
  let name = '';
  let typeId = 0;
  readStruct(reader, 2, (field) => {
    if (field === 0) name = fromUtf8(reader.bytes());
    else typeId = reader.smallInt();
  });
  return { name, typeId };
}
