/**
 * Callers that did not get in, for some minutes: so that a wrong password shows in the status of
 * the end that was called, too. Outbound attempts need no such memory, they have targets.
 */

/** Addresses remembered; the oldest goes first. */
export const MAX_REFUSALS = 64;
export const REFUSAL_MEMORY_MS = 5 * 60_000;

export interface Refusal {
  /** `ip:port` of the last attempt. */
  readonly address: string;
  readonly code: string;
  readonly text: string;
}

export class RecentRefusals {
  /** By IP address: every attempt has another port. Oldest first. BOUNDED by MAX_REFUSALS. */
  readonly #byIp = new Map<string, Refusal & { readonly atMs: number }>();

  note(ip: string, refusal: Refusal, nowMs: number): void {
    this.#byIp.delete(ip);
    this.#byIp.set(ip, { ...refusal, atMs: nowMs });
    if (this.#byIp.size > MAX_REFUSALS) this.#byIp.delete(this.#byIp.keys().next().value as string);
  }

  /** Somebody at this address got in: the trouble is over. */
  forget(ip: string): void {
    this.#byIp.delete(ip);
  }

  /** Oldest first. */
  list(nowMs: number): Refusal[] {
    for (const [ip, { atMs }] of this.#byIp) {
      if (nowMs - atMs > REFUSAL_MEMORY_MS) this.#byIp.delete(ip);
    }
    return [...this.#byIp.values()].map(({ address, code, text }) => ({ address, code, text }));
  }
}
