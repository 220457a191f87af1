/** Counters of the mesh by stable name. Names made from codes are bounded in number. */

/** Beyond this, counts of new names go to `other`. Our codes number some fifty. */
const MAX_NAMES = 256;

export class MeshCounters {
  /** BOUNDED by MAX_NAMES. */
  readonly #counts = new Map<string, number>();

  add(name: string): void {
    const known = this.#counts.has(name) || this.#counts.size < MAX_NAMES;
    const key = known ? name : 'other';
    this.#counts.set(key, (this.#counts.get(key) ?? 0) + 1);
  }

  get(name: string): number {
    return this.#counts.get(name) ?? 0;
  }

  all(): Record<string, number> {
    return Object.fromEntries(this.#counts);
  }
}
