/**
 * Captured frames come in runs, too: what was found out about the first one's addresses (learnt,
 * allowed, which link) holds for those that follow with the same addresses and type, until an
 * address moves, the run is ended, or a moment has passed.
 */
import { ETHERNET_HEADER_BYTES } from '../../core/limits.js';
import { ViewCache } from '../checksum.js';
import { RUN_MS } from '../inbound/flow-run.js';
import { MAX_FRAME_BYTES } from '../wire.js';

export class AddressRun {
  readonly #views = new ViewCache();
  #active = false;
  /** Both MAC addresses, then the type. */
  #word0 = 0;
  #word1 = 0;
  #word2 = 0;
  #type = 0;
  #untilMs = 0;
  #changes = 0;

  /** @param changes of the MAC table by now. */
  begin(buffer: Uint8Array, offset: number, nowMs: number, changes: number): void {
    const view = this.#views.of(buffer);
    this.#word0 = view.getInt32(offset);
    this.#word1 = view.getInt32(offset + 4);
    this.#word2 = view.getInt32(offset + 8);
    this.#type = view.getUint16(offset + 12);
    this.#active = true;
    this.#untilMs = nowMs + RUN_MS;
    this.#changes = changes;
  }

  end(): void {
    this.#active = false;
  }

  continues(
    buffer: Uint8Array,
    offset: number,
    frameBytes: number,
    nowMs: number,
    changes: number,
  ): boolean {
    if (!this.#active || changes !== this.#changes || nowMs >= this.#untilMs) return false;
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
