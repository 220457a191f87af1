/**
 * Targets whose names could not be looked up when the router started: at boot the resolver is
 * often later than we are. They are tried again until they resolve, are forgotten or replaced.
 */
import { errorText } from '../../core/errors.js';
import type { Logger } from '../../core/log.js';
import { resolveTarget } from '../../mesh/io/resolve-target.js';
import type { ConnectItem } from '../../mesh/peer/dial.js';

const FIRST_RETRY_MS = 5_000;
const MAX_RETRY_MS = 60_000;

export interface UnresolvedTargetsModules {
  readonly log: Logger;
  readonly onResolved: (item: ConnectItem) => void;
  /** Another look-up, for tests. */
  readonly resolve?: (text: string) => Promise<ConnectItem>;
}

export class UnresolvedTargets {
  readonly #modules: UnresolvedTargetsModules;
  readonly #resolve: (text: string) => Promise<ConnectItem>;
  /** Text → why it did not resolve. BOUNDED by the peer list the router was given. */
  readonly #waiting = new Map<string, string>();
  #timer: NodeJS.Timeout | null = null;
  #retryMs = FIRST_RETRY_MS;

  constructor(modules: UnresolvedTargetsModules) {
    this.#modules = modules;
    this.#resolve = modules.resolve ?? resolveTarget;
  }

  get texts(): readonly string[] {
    return [...this.#waiting.keys()];
  }

  /** Sentences for the status. */
  warnings(): readonly string[] {
    return [...this.#waiting].map(([text, why]) => `target ${text}: ${why}; trying again`);
  }

  /** Looks all of them up now. @returns those that resolved. The others are kept and retried. */
  async add(texts: readonly string[]): Promise<readonly ConnectItem[]> {
    for (const text of texts) this.#waiting.set(text, 'not looked up yet');
    return this.#attempt(texts);
  }

  /** @param texts null: all. */
  forget(texts: readonly string[] | null): void {
    if (texts === null) this.#waiting.clear();
    else for (const text of texts) this.#waiting.delete(text);
  }

  stop(): void {
    this.#waiting.clear();
    if (this.#timer !== null) clearTimeout(this.#timer);
  }

  async #attempt(texts: readonly string[]): Promise<readonly ConnectItem[]> {
    const items: ConnectItem[] = [];
    for (const text of texts) {
      try {
        const item = await this.#resolve(text);
        // It may have been forgotten meanwhile.
        if (this.#waiting.delete(text)) items.push(item);
      } catch (error) {
        const why = errorText(error);
        const before = this.#waiting.get(text);
        if (before === undefined || before === why) continue;
        this.#waiting.set(text, why);
        this.#modules.log.warn('target could not be looked up', { target: text, why });
      }
    }
    this.#schedule();
    return items;
  }

  #schedule(): void {
    if (this.#timer !== null || this.#waiting.size === 0) return;
    this.#timer = setTimeout(async () => {
      this.#timer = null;
      this.#retryMs = Math.min(this.#retryMs * 2, MAX_RETRY_MS);
      for (const item of await this.#attempt(this.texts)) this.#modules.onResolved(item);
    }, this.#retryMs);
    this.#timer.unref();
  }
}
