/**
 * Names registered on this host, kept over restarts: workloads go on while the router is away, and
 * so should their names. Saved a moment after a change, so that many changes are one write.
 */
import { z } from 'zod';
import { errorText } from '../../core/errors.js';
import type { Logger } from '../../core/log.js';
import { RECORD_TYPES } from '../../dns/record-data.js';
import { DurableFile } from './durable-file.js';

const SCHEMA_VERSION = 1;
/** At once for few names; where writing takes long, a tenth of the time is spent on it at most. */
const MIN_SAVE_DELAY_MS = 5;
const SAVE_DELAY_FACTOR = 9;

const storedName = z.object({
  hostname: z.string(),
  containerId: z.string(),
  type: z.enum(RECORD_TYPES),
  data: z.string(),
  /** The name of a workload on the bridge: worth nothing once it is gone. */
  attached: z.boolean(),
});
const content = z.object({ peer: z.number(), names: z.array(storedName) });

export type StoredName = Readonly<z.infer<typeof storedName>>;

export interface NamesStoreOptions {
  readonly dbPrefix: string;
  /** Names of another peer are not ours to register. */
  readonly localPeer: number;
}

export interface NamesStoreModules {
  readonly log: Logger;
  /** What is to be kept, asked when it is about to be written. */
  readonly names: () => readonly StoredName[];
}

export class NamesStore {
  readonly #options: NamesStoreOptions;
  readonly #modules: NamesStoreModules;
  readonly #file: DurableFile<z.infer<typeof content>>;
  #timer: NodeJS.Timeout | null = null;
  #lastError = '';
  #lastSaveMs = 0;

  constructor(options: NamesStoreOptions, modules: NamesStoreModules) {
    this.#options = options;
    this.#modules = modules;
    this.#file = new DurableFile(
      { path: `${options.dbPrefix}names.json`, schemaVersion: SCHEMA_VERSION, content },
      { log: modules.log },
    );
  }

  /** @throws {WeaveError} `state-newer`, `state-unreadable` */
  load(): readonly StoredName[] {
    const stored = this.#file.load();
    return stored !== null && stored.peer === this.#options.localPeer ? stored.names : [];
  }

  /** Something changed. */
  touch(): void {
    const delayMs = Math.max(MIN_SAVE_DELAY_MS, SAVE_DELAY_FACTOR * this.#lastSaveMs);
    this.#timer ??= setTimeout(() => this.flush(), delayMs);
  }

  /** Writes now what waits. A failure is logged, and the names live on in memory. */
  flush(): void {
    if (this.#timer === null) return;
    clearTimeout(this.#timer);
    this.#timer = null;
    const startedMs = performance.now();
    try {
      const names = [...this.#modules.names()];
      this.#file.replaceSync({ peer: this.#options.localPeer, names });
      this.#lastError = '';
    } catch (error) {
      const text = errorText(error);
      if (text !== this.#lastError) {
        this.#modules.log.error('names could not be saved', {
          code: 'state-unwritable',
          error: text,
        });
      }
      this.#lastError = text;
    }
    this.#lastSaveMs = performance.now() - startedMs;
  }

  /** For `weave reset`. */
  remove(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
    this.#file.remove();
  }
}
