/**
 * Destinations to which grouped datagrams (UDP_SEGMENT) do not go, though single ones do: the
 * route or its network card cannot cut them. Such a destination is served singly for a while, and
 * then tried again, since routes change. Others are not affected.
 */

/** Refusals in a row, each of a group that then went out singly. */
const LIMIT = 4;
const RETRY_MS = 60_000;
/** Destinations remembered; of more the oldest is forgotten, and tried again that much earlier. */
const MAX_DESTINATIONS = 64;

interface Refusals {
  count: number;
  lastMs: number;
}

export class RefusedGroups {
  /** BOUNDED by MAX_DESTINATIONS. */
  readonly #destinations = new Map<number, Refusals>();

  /** Whether any destination is remembered: most never need to ask more. */
  get any(): boolean {
    return this.#destinations.size > 0;
  }

  /** @param destIp 32-bit, always signed or never. */
  note(destIp: number, nowMs: number): void {
    const known = this.#destinations.get(destIp);
    const count = known === undefined || nowMs - known.lastMs >= RETRY_MS ? 0 : known.count;
    // Put at the end: the map keeps the order of the last refusals.
    this.#destinations.delete(destIp);
    this.#destinations.set(destIp, { count: count + 1, lastMs: nowMs });
    if (this.#destinations.size <= MAX_DESTINATIONS) return;
    for (const oldest of this.#destinations.keys()) {
      this.#destinations.delete(oldest);
      return;
    }
  }

  /** Whether datagrams to it are to be sent singly for now. */
  has(destIp: number, nowMs: number): boolean {
    const known = this.#destinations.get(destIp);
    if (known === undefined) return false;
    if (nowMs - known.lastMs < RETRY_MS) return known.count >= LIMIT;
    this.#destinations.delete(destIp);
    return false;
  }
}
