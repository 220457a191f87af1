/**
 * What the router remembers between starts: its name, the targets given by `connect`, and which
 * exposed addresses go without masquerade. One small JSON file, see durable-file.ts.
 */
import { z } from 'zod';
import type { Logger } from '../../core/log.js';
import { DurableFile } from './durable-file.js';

const SCHEMA_VERSION = 1;

const stateSchema = z.object({
  /** Peer name in text form. */
  peerName: z.string().nullable(),
  /** As the user wrote them. */
  targets: z.array(z.string()),
  /** The peer list of command line and configuration file at the last start. */
  givenTargets: z.array(z.string()),
  /** True while a run lasts and after it ended by itself; false after `weave stop`. */
  started: z.boolean(),
  /** CIDRs exposed with --without-masquerade. */
  withoutMasquerade: z.array(z.string()),
});

export type RouterState = Readonly<z.infer<typeof stateSchema>>;

const EMPTY: RouterState = {
  peerName: null,
  targets: [],
  givenTargets: [],
  started: false,
  withoutMasquerade: [],
};

export class StateStore {
  readonly #file: DurableFile<RouterState>;
  #state: RouterState = EMPTY;

  /** @param dbPrefix `--db-prefix`; the file is this plus `state.json`. */
  constructor(options: { dbPrefix: string }, modules: { log: Logger }) {
    this.#file = new DurableFile(
      {
        path: `${options.dbPrefix}state.json`,
        schemaVersion: SCHEMA_VERSION,
        content: stateSchema,
      },
      modules,
    );
  }

  get path(): string {
    return this.#file.path;
  }

  get state(): RouterState {
    return this.#state;
  }

  /**
   * Reads the file, or starts empty if there is none.
   * @throws {WeaveError} `state-newer` if a later version of the program wrote it.
   */
  load(): RouterState {
    this.#state = this.#file.load() ?? EMPTY;
    return this.#state;
  }

  /** @throws {WeaveError} `state-unwritable`; what was stored before is still whole. */
  update(change: Partial<RouterState>): void {
    this.#state = { ...this.#state, ...change };
    this.#file.replaceSync(this.#state);
  }

  /** For `weave reset`. */
  remove(): void {
    this.#state = EMPTY;
    this.#file.remove();
  }
}
