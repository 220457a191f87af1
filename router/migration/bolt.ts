/**
 * Reads one bucket of a BoltDB file, the original's database. Read only; every offset is checked,
 * so that a damaged file gives an error and never a wrong value or an endless walk.
 *
 *   file    pages of one size; pages 0 and 1 hold the two meta records, the newer valid one counts
 *   page    0 id u64 | 8 flags u16 | 10 count u16 | 12 overflow u32 (pages that follow) | 16 body
 *   meta    0 magic | 4 version | 8 page size | 12 flags | 16 root bucket | 32 free list u64
 *           40 pages u64 | 48 transaction u64 | 56 FNV-1a of the 56 bytes before, u64
 *   branch  element: 0 pos | 4 key size | 8 page u64        pos counts from the element
 *   leaf    element: 0 flags | 4 pos | 8 key size | 12 value size; flag 1: the value is a bucket
 *   bucket  0 page of its root u64 | 8 sequence u64; root 0: its only page follows
 *
 * All in the writer's byte order, which is little endian on every machine the original runs on.
 * Source: boltdb/bolt, page.go, db.go, bucket.go (layout only).
 */
import { fromUtf8 } from '../../core/bytes.js';
import { DecodeError } from '../../core/errors.js';

const MAGIC = 0xed0cdaed;
const VERSION = 2;
const META_BYTES = 64;
const HEADER_BYTES = 16;
const ELEMENT_BYTES = 16;
const BUCKET_BYTES = 16;
const FLAG = { branch: 1, leaf: 2, meta: 4 } as const;
const BUCKET_ELEMENT = 1;
/** A tree of this depth is larger than any file that is read here. */
const MAX_DEPTH = 16;
const MIN_PAGE_BYTES = 1024;
const MAX_PAGE_BYTES = 65_536;

/** A file that is no database, of another version, or damaged. */
const damaged = (what: string): DecodeError => new DecodeError('bolt-damaged', what);

interface Meta {
  readonly pageBytes: number;
  readonly rootPage: number;
  readonly pages: number;
  readonly transaction: bigint;
}

interface Leaf {
  readonly isBucket: boolean;
  readonly value: Uint8Array;
}

/**
 * @param file the whole file, as of one moment
 * @returns its values by key, views of `file`; empty if there is no such bucket. Buckets inside it
 *   are left out.
 * @throws {DecodeError} `bolt-damaged`, with what is wrong
 */
export function readBoltBucket(file: Uint8Array, name: string): Map<string, Uint8Array> {
  const reader = new BoltReader(file);
  const found = reader.elements(reader.meta.rootPage).get(name);
  const values = new Map<string, Uint8Array>();
  if (found === undefined || !found.isBucket) return values;
  for (const [key, { isBucket, value }] of reader.bucket(found.value)) {
    if (!isBucket) values.set(key, value);
  }
  return values;
}

class BoltReader {
  readonly meta: Meta;
  readonly #file: Uint8Array;
  /** Pages walked so far: one that comes twice is a loop. BOUNDED by the file's pages. */
  readonly #seen = new Set<number>();

  constructor(file: Uint8Array) {
    this.#file = file;
    this.meta = newestMeta(file);
  }

  bucket(header: Uint8Array): Map<string, Leaf> {
    if (header.length < BUCKET_BYTES) throw damaged('a bucket is cut off');
    const root = toIndex(viewOf(header).getBigUint64(0, true));
    if (root !== 0) return this.elements(root);
    const leaves = new Map<string, Leaf>();
    this.#readPage(header.subarray(BUCKET_BYTES), leaves, 0);
    return leaves;
  }

  /** All leaves below a page. */
  elements(page: number): Map<string, Leaf> {
    const leaves = new Map<string, Leaf>();
    this.#walk(page, leaves, 0);
    return leaves;
  }

  #walk(page: number, leaves: Map<string, Leaf>, depth: number): void {
    const { pageBytes, pages } = this.meta;
    const start = page * pageBytes;
    if (page < 2 || page >= pages || start + pageBytes > this.#file.length) {
      throw damaged(`page ${page} is outside`);
    }
    if (depth > MAX_DEPTH || this.#seen.has(page)) throw damaged(`page ${page} comes twice`);
    this.#seen.add(page);
    const view = viewOf(this.#file);
    if (toIndex(view.getBigUint64(start, true)) !== page) throw damaged(`page ${page} is another`);
    const end = start + (view.getUint32(start + 12, true) + 1) * pageBytes;
    if (end > this.#file.length) throw damaged(`page ${page} is cut off`);
    this.#readPage(this.#file.subarray(start, end), leaves, depth);
  }

  #readPage(page: Uint8Array, leaves: Map<string, Leaf>, depth: number): void {
    if (page.length < HEADER_BYTES) throw damaged('a page is cut off');
    const view = viewOf(page);
    const flags = view.getUint16(8, true);
    const count = view.getUint16(10, true);
    if (HEADER_BYTES + count * ELEMENT_BYTES > page.length) throw damaged('too many elements');
    for (let index = 0; index < count; index++) {
      const at = HEADER_BYTES + index * ELEMENT_BYTES;
      if (flags === FLAG.branch) {
        this.#walk(toIndex(view.getBigUint64(at + 8, true)), leaves, depth + 1);
      } else if (flags === FLAG.leaf) {
        const keyAt = at + view.getUint32(at + 4, true);
        const valueAt = keyAt + view.getUint32(at + 8, true);
        const end = valueAt + view.getUint32(at + 12, true);
        if (end > page.length) throw damaged('an element is outside its page');
        const isBucket = (view.getUint32(at, true) & BUCKET_ELEMENT) !== 0;
        const value = page.subarray(valueAt, end);
        leaves.set(fromUtf8(page.subarray(keyAt, valueAt)), { isBucket, value });
      } else throw damaged(`a page of unknown kind ${flags}`);
    }
  }
}

/** A power loss while one meta record is written leaves the other. */
function newestMeta(file: Uint8Array): Meta {
  const first = readMeta(file, 0);
  const metas: Meta[] = first === null ? [] : [first];
  // Where the second one is depends on the page size, which a broken first one can not tell.
  for (let bytes = MIN_PAGE_BYTES; bytes <= MAX_PAGE_BYTES; bytes *= 2) {
    const meta = readMeta(file, bytes);
    if (meta !== null && meta.pageBytes === bytes) metas.push(meta);
  }
  const [newest] = metas.sort((a, b) => (a.transaction > b.transaction ? -1 : 1));
  if (newest === undefined) throw damaged('not a BoltDB file, or both of its heads are damaged');
  return newest;
}

function readMeta(file: Uint8Array, start: number): Meta | null {
  const at = start + HEADER_BYTES;
  if (at + META_BYTES > file.length) return null;
  const view = viewOf(file.subarray(at, at + META_BYTES));
  if (view.getUint32(0, true) !== MAGIC || view.getUint32(4, true) !== VERSION) return null;
  if (view.getBigUint64(56, true) !== fnv1a(file.subarray(at, at + 56))) return null;
  const pageBytes = view.getUint32(8, true);
  const isPowerOfTwo = (pageBytes & (pageBytes - 1)) === 0;
  if (pageBytes < MIN_PAGE_BYTES || pageBytes > MAX_PAGE_BYTES || !isPowerOfTwo) return null;
  return {
    pageBytes,
    rootPage: toIndex(view.getBigUint64(16, true)),
    pages: toIndex(view.getBigUint64(40, true)),
    transaction: view.getBigUint64(48, true),
  };
}

/** Source: draft-eastlake-fnv, 64 bits. */
function fnv1a(bytes: Uint8Array): bigint {
  let hash = 0xcbf29ce484222325n;
  for (const byte of bytes) hash = BigInt.asUintN(64, (hash ^ BigInt(byte)) * 0x100000001b3n);
  return hash;
}

const viewOf = (bytes: Uint8Array): DataView =>
  new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);

/** Page numbers beyond any file stay beyond: as numbers they need not be exact. */
const toIndex = (value: bigint): number => Number(value);
