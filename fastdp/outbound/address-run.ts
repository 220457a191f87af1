/**
 * Captured frames come in runs, too: what was found out about the first one's addresses (learnt,
 * allowed, which link) holds for those that follow with the same addresses and type, until
 * something else happens or the batch ends.
 */
import { ETHERNET_HEADER_BYTES } from '../../core/limits.js';
import { ViewCache } from '../checksum.js';
import { MAX_FRAME_BYTES } from '../wire.js';

export class AddressRun {
  readonly #views = new ViewCache();
  #active = false;
  /** Both MAC addresses, then the type. */
  #word0 = 0;
  #word1 = 0;
  #word2 = 0;
  #type = 0;

  begin(buffer: Uint8Array, offset: number): void {
    const view = this.#views.of(buffer);
    this.#word0 = view.getInt32(offset);
    this.#word1 = view.getInt32(offset + 4);
    this.#word2 = view.getInt32(offset + 8);
    this.#type = view.getUint16(offset + 12);
    this.#active = true;
  }

  end(): void {
    this.#active = false;
  }

  continues(buffer: Uint8Array, offset: number, frameBytes: number): boolean {
    if (!this.#active) return false;
    if (frameBytes < ETHERNET_HEADER_BYTES || frameBytes > MAX_FRAME_BYTES) return false;
    const view = this.#views.of(buffer);
    return (
      view.getInt32(offset) === this.#word0 &&
      view.getInt32(offset + 4) === this.#word1 &&
      view.getInt32(offset + 8) === this.#word2 &&
      view.getUint16(offset + 12) === this.#type
    );
  }
}
