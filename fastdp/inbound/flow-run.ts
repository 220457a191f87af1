/**
 * Frames come in runs of one flow. What was found out about the first of a run (who its peers are,
 * that it is for this router's bridge alone, where its MAC addresses live) holds for all that follow
 * with the same peers, addresses and type over the same link, until an address moves, the run is
 * ended, or a moment has passed.
 */

import { ViewCache } from '../checksum.js';
import type { Link } from '../link.js';
import { RECORD_HEADER_BYTES } from '../wire.js';

/** Source and destination name; a length follows, which may differ. */
const NAMES_BYTES = 12;
/** Both MAC addresses; the type follows. */
const MACS_BYTES = 12;
/**
 * How long a run goes on without looking anything up. The table then believes an address silent
 * that is not, but for a small part of the time that it waits for before it lets an address move.
 */
export const RUN_MS = 250;

export class FlowRun {
  readonly #views = new ViewCache();
  /** Names and MAC addresses of the run. */
  readonly #words = new Int32Array((NAMES_BYTES + MACS_BYTES) / 4);
  #type = 0;
  #sourceIp = 0;
  #link: Link | null = null;
  #untilMs = 0;
  #changes = 0;

  /**
   * @param offset of a frame that has its record's header before it.
   * @param changes of the MAC table by now.
   */
  begin(
    buffer: Uint8Array,
    offset: number,
    link: Link,
    sourceIp: number,
    nowMs: number,
    changes: number,
  ): void {
    const view = this.#views.of(buffer);
    const words = this.#words;
    const record = offset - RECORD_HEADER_BYTES;
    for (let i = 0; i < 3; i++) words[i] = view.getInt32(record + i * 4);
    for (let i = 0; i < 3; i++) words[i + 3] = view.getInt32(offset + i * 4);
    this.#type = view.getUint16(offset + MACS_BYTES);
    this.#sourceIp = sourceIp;
    this.#link = link;
    this.#untilMs = nowMs + RUN_MS;
    this.#changes = changes;
  }

  /** What was found out may no longer hold. */
  end(): void {
    this.#link = null;
  }

  continues(
    buffer: Uint8Array,
    offset: number,
    frameBytes: number,
    link: Link,
    sourceIp: number,
    nowMs: number,
    changes: number,
  ): boolean {
    if (link !== this.#link || sourceIp !== this.#sourceIp) return false;
    if (changes !== this.#changes || nowMs >= this.#untilMs) return false;
    if (frameBytes < MACS_BYTES + 2) return false;
    const view = this.#views.of(buffer);
    const words = this.#words;
    const record = offset - RECORD_HEADER_BYTES;
    return (
      view.getInt32(record) === words[0] &&
      view.getInt32(record + 4) === words[1] &&
      view.getInt32(record + 8) === words[2] &&
      view.getInt32(offset) === words[3] &&
      view.getInt32(offset + 4) === words[4] &&
      view.getInt32(offset + 8) === words[5] &&
      view.getUint16(offset + MACS_BYTES) === this.#type
    );
  }
}
