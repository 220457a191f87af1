/**
 * Waiting that looks again and again for a short while before the thread goes to sleep. Waking a
 * sleeping thread on a sleeping processor takes the kernel some 30 µs, in virtual machines more,
 * and a round trip has several of them. Whoever else wants the processor gets it at each look.
 *
 *   sleeping ──what was waited for came within SPIN_MS──▶ looking
 *        ▲──────────MAX_MISSES looks in vain, in a row───────┘
 *
 * So a router without traffic sleeps, and one whose packets come far apart does too.
 */
/** Milliseconds. About the round trip through two routers, so that ping-pong finds us awake. */
export const SPIN_MS = 0.2;
/** In a row. */
const MAX_MISSES = 3;

export interface BusyWaitModules {
  /** @param timeoutMs whole; 0 looks only. @returns how much is ready. */
  readonly poll: (timeoutMs: number) => number;
  /** Lets other threads have the processor. */
  readonly yield: () => void;
  /** With fractions. */
  readonly preciseMs: () => number;
}

export class BusyWait {
  /** Waits that needed no sleep. */
  hits = 0;
  readonly #modules: BusyWaitModules;
  #looking = false;
  #misses = 0;

  constructor(modules: BusyWaitModules) {
    this.#modules = modules;
  }

  /** @param timeoutMs whole milliseconds, above 0. */
  wait(timeoutMs: number): void {
    if (this.#looking && this.#look()) return;
    const { poll, preciseMs } = this.#modules;
    const beganMs = preciseMs();
    if (poll(timeoutMs) === 0 || preciseMs() - beganMs >= SPIN_MS) return;
    this.#looking = true;
    this.#misses = 0;
  }

  /** @returns false if nothing came. */
  #look(): boolean {
    const { poll, preciseMs, yield: letOthers } = this.#modules;
    const endMs = preciseMs() + SPIN_MS;
    do {
      if (poll(0) > 0) {
        this.#misses = 0;
        this.hits++;
        return true;
      }
      letOthers();
    } while (preciseMs() < endMs);
    this.#misses++;
    if (this.#misses >= MAX_MISSES) this.#looking = false;
    return false;
  }
}
