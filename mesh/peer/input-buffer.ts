/**
 * Collects the bytes of a TCP stream until a whole frame is there. Each byte is copied a constant
 * number of times, however the network cuts the stream, and memory follows what really arrived:
 * an announced length alone allocates nothing.
 */
import { MAX_CONTROL_FRAME_BYTES } from '../../core/limits.js';

const INITIAL_BYTES = 4096;
/** A buffer that grew beyond this for a large frame is given back with the next bytes. */
const KEEP_BYTES = 256 * 1024;

/** The largest frame, its length, and the chunk in which it ends. */
const LARGEST_BYTES = MAX_CONTROL_FRAME_BYTES + 256 * 1024;

export class InputBuffer {
  #bytes = new Uint8Array(INITIAL_BYTES);
  #start = 0;
  #end = 0;

  /** Bytes that were appended and not taken. */
  get length(): number {
    return this.#end - this.#start;
  }

  append(chunk: Uint8Array): void {
    // Empty: start over in front, so that room is not used up and large buffers can be given back.
    if (this.#start === this.#end) {
      this.#start = 0;
      this.#end = 0;
      if (this.#bytes.length > KEEP_BYTES) this.#bytes = new Uint8Array(INITIAL_BYTES);
    }
    if (this.#end + chunk.length > this.#bytes.length) this.#makeRoom(chunk.length);
    this.#bytes.set(chunk, this.#end);
    this.#end += chunk.length;
  }

  /** The next bytes without taking them: a view, valid until the next append or take. */
  peek(count: number): Uint8Array {
    return this.#bytes.subarray(this.#start, Math.min(this.#start + count, this.#end));
  }

  /** Takes bytes that must be there. The result is a view, valid until the next append. */
  take(count: number): Uint8Array {
    if (count > this.length) throw new RangeError(`${count} bytes wanted of ${this.length}`);
    const taken = this.#bytes.subarray(this.#start, this.#start + count);
    this.#start += count;
    return taken;
  }

  /** Forgets everything; the buffer stays usable. */
  clear(): void {
    this.#bytes = new Uint8Array(0);
    this.#start = 0;
    this.#end = 0;
  }

  #makeRoom(count: number): void {
    const held = this.peek(this.length);
    const needed = held.length + count;
    const oversized = this.#bytes.length > KEEP_BYTES && needed * 2 <= KEEP_BYTES;
    // Moving is worth it only if half the room comes free; otherwise small appends to an almost
    // full buffer would move it again and again.
    if (!oversized && needed * 2 <= this.#bytes.length) {
      this.#bytes.copyWithin(0, this.#start, this.#end);
    } else {
      // Doubling, but no further than the largest frame needs: many may be on their way at once.
      const wanted = Math.max(Math.min(needed * 2, LARGEST_BYTES), needed, INITIAL_BYTES);
      const bytes = new Uint8Array(wanted);
      bytes.set(held);
      this.#bytes = bytes;
    }
    this.#start = 0;
    this.#end = held.length;
  }
}
