/**
 * Memory that the kernel reads and writes by address. A `Memory` has an ArrayBuffer of its own,
 * outside Buffer's pool and the garbage-collected heap, so its address holds as long as the object
 * is referenced: whoever passes `address` to the kernel keeps the Memory in a field.
 */
import koffi from 'koffi';
import { declare } from './libc.js';

export const mmap = declare<
  (address: number, bytes: number, prot: number, flags: number, fd: number, at: number) => number
>('uintptr_t mmap(uintptr_t, size_t, int, int, int, intptr_t)');
export const munmap = declare<(address: number, bytes: number) => number>(
  'int munmap(uintptr_t, size_t)',
);
const PROT_READ_WRITE = 3;
const MAP_PRIVATE_ANONYMOUS = 0x22;
/** Numbers from here on are objects in V8. Below the start lies the heap of the C library. */
const LOW_END = 0x7fff_0000;
const LOW_START = 0x4000_0000;
/** Of any architecture we run on. */
const PAGE_BYTES = 65536;

const TWO_32 = 0x1_0000_0000;
const AF_INET = 2;
export const SOCKADDR_IN_BYTES = 16;

/**
 * Where the bytes lie. Valid while the array is referenced; arrays that live inside the
 * JavaScript heap are moved out of it for good by this call.
 */
export function addressOf(bytes: Uint8Array): number {
  return Number(koffi.address(bytes));
}

let nextLow = LOW_START;
const unmap = new FinalizationRegistry(({ address, bytes }: { address: number; bytes: number }) =>
  munmap(address, bytes),
);

/** @returns null if the kernel would put it elsewhere. Given back when it is collected. */
function mapLow(byteLength: number): ArrayBuffer | null {
  const bytes = Math.ceil(byteLength / PAGE_BYTES) * PAGE_BYTES;
  if (nextLow + bytes > LOW_END) nextLow = LOW_START;
  const address = mmap(nextLow, bytes, PROT_READ_WRITE, MAP_PRIVATE_ANONYMOUS, -1, 0);
  nextLow += bytes;
  // MAP_FAILED is all ones, which no address can be.
  if (address > Number.MAX_SAFE_INTEGER) return null;
  if (address + bytes > LOW_END) {
    munmap(address, bytes);
    return null;
  }
  const buffer = koffi.view(address, byteLength);
  unmap.register(buffer, { address, bytes });
  return buffer;
}

export class Memory {
  readonly bytes: Uint8Array;
  readonly view: DataView;
  readonly address: number;

  /**
   * Zero-filled.
   * @param whole makes this a part of another Memory, from `offset` on, or all of a buffer, instead
   *   of one of its own.
   */
  constructor(byteLength: number, whole?: Memory | ArrayBuffer, offset = 0) {
    if (whole instanceof ArrayBuffer) {
      this.bytes = new Uint8Array(whole);
      this.view = new DataView(whole);
      this.address = addressOf(this.bytes);
      return;
    }
    const buffer = whole?.bytes.buffer ?? new ArrayBuffer(byteLength);
    const from = whole === undefined ? 0 : whole.bytes.byteOffset + offset;
    this.bytes = new Uint8Array(buffer, from, byteLength);
    this.view = new DataView(buffer, from, byteLength);
    this.address = whole === undefined ? addressOf(this.bytes) : whole.address + offset;
  }

  /**
   * At an address below 2^31 if there is room: such an address, and every place in the memory, is a
   * small integer, which calls are given without making an object of it.
   */
  static low(byteLength: number): Memory {
    const buffer = mapLow(byteLength);
    return buffer === null ? new Memory(byteLength) : new Memory(byteLength, buffer);
  }

  /** A pointer or `size_t` in the machine's order. Numbers up to 2^53 are exact. */
  setWord(offset: number, value: number): void {
    this.view.setUint32(offset, value >>> 0, true);
    this.view.setUint32(offset + 4, Math.floor(value / TWO_32), true);
  }

  setInt(offset: number, value: number): void {
    this.view.setInt32(offset, value, true);
  }

  getInt(offset: number): number {
    return this.view.getInt32(offset, true);
  }

  setShort(offset: number, value: number): void {
    this.view.setUint16(offset, value, true);
  }

  getShort(offset: number): number {
    return this.view.getUint16(offset, true);
  }

  /** Bytes of the text; no terminator, the memory behind it is expected to be zero. */
  setText(offset: number, text: string): void {
    this.bytes.set(Buffer.from(text, 'utf8'), offset);
  }

  /** Text up to the first zero byte or `limit` bytes. */
  getText(offset: number, limit: number): string {
    const slice = this.bytes.subarray(offset, offset + limit);
    const end = slice.indexOf(0);
    return Buffer.from(end < 0 ? slice : slice.subarray(0, end)).toString('utf8');
  }

  /** `struct sockaddr_in`, 16 bytes. @param ip 32-bit, signed or not. */
  setSocketAddress(offset: number, ip: number, port: number): void {
    this.setShort(offset, AF_INET);
    this.view.setUint16(offset + 2, port);
    this.view.setUint32(offset + 4, ip);
  }
}

/** Remembers where buffers lie; the few in use come again and again. */
export class AddressCache {
  readonly #addresses = new WeakMap<Uint8Array, number>();
  #last: Uint8Array | null = null;
  #lastAddress = 0;

  of(bytes: Uint8Array): number {
    if (bytes === this.#last) return this.#lastAddress;
    let address = this.#addresses.get(bytes);
    if (address === undefined) {
      address = addressOf(bytes);
      this.#addresses.set(bytes, address);
    }
    this.#last = bytes;
    this.#lastAddress = address;
    return address;
  }
}
