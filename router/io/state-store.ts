/**
 * What the router remembers between starts: its name, the targets given by `connect`, and which
 * exposed addresses go without masquerade. One small JSON file, replaced atomically: written
 * beside, flushed to disk, renamed, directory flushed. A file that cannot be read or whose check
 * sum is wrong is set aside under another name and said so; it is never silently overwritten.
 */
import { createHash } from 'node:crypto';
import {
  closeSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  writeSync,
} from 'node:fs';
import { dirname } from 'node:path';
import { z } from 'zod';
import { errorText, WeaveError } from '../../core/errors.js';
import type { Logger } from '../../core/log.js';

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

const fileSchema = z.object({
  schema: z.number().int(),
  /** SHA-256 in hex of the JSON text of `state`. */
  sha256: z.string(),
  state: z.unknown(),
});

const checksum = (state: unknown): string =>
  createHash('sha256').update(JSON.stringify(state)).digest('hex');

export class StateStore {
  readonly path: string;
  readonly #log: Logger;
  #state: RouterState = EMPTY;

  /** @param dbPrefix `--db-prefix`; the file is this plus `state.json`. */
  constructor(options: { dbPrefix: string }, modules: { log: Logger }) {
    this.path = `${options.dbPrefix}state.json`;
    this.#log = modules.log;
  }

  get state(): RouterState {
    return this.#state;
  }

  /**
   * Reads the file, or starts empty if there is none.
   * @throws {WeaveError} `state-newer` if a later version of the program wrote it.
   */
  load(): RouterState {
    let text: string;
    try {
      text = readFileSync(this.path, 'utf8');
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return this.#state;
      throw new WeaveError('state-unreadable', `${this.path}: ${errorText(error)}`);
    }
    try {
      this.#state = this.#parse(text);
    } catch (error) {
      if (error instanceof WeaveError && error.code === 'state-newer') throw error;
      this.#setAside(errorText(error));
    }
    return this.#state;
  }

  /** @throws {WeaveError} `state-unwritable`; what was stored before is still whole. */
  update(change: Partial<RouterState>): void {
    this.#state = { ...this.#state, ...change };
    const file = { schema: SCHEMA_VERSION, sha256: checksum(this.#state), state: this.#state };
    try {
      mkdirSync(dirname(this.path), { recursive: true, mode: 0o700 });
      replaceFile(this.path, `${JSON.stringify(file, null, 2)}\n`);
    } catch (error) {
      throw new WeaveError('state-unwritable', `${this.path}: ${errorText(error)}`);
    }
  }

  /** For `weave reset`. */
  remove(): void {
    this.#state = EMPTY;
    rmSync(this.path, { force: true });
  }

  #parse(text: string): RouterState {
    const file = fileSchema.parse(JSON.parse(text));
    if (file.schema > SCHEMA_VERSION) {
      throw new WeaveError(
        'state-newer',
        `${this.path} was written by a newer version (schema ${file.schema}); ` +
          'run that version, or move the file away to start afresh',
      );
    }
    if (file.sha256 !== checksum(file.state)) throw new Error('check sum does not match');
    return stateSchema.parse(file.state);
  }

  #setAside(why: string): void {
    const aside = `${this.path}.damaged-${process.pid}`;
    renameSync(this.path, aside);
    this.#log.error('stored state is damaged; starting without it', {
      code: 'state-damaged',
      file: this.path,
      kept: aside,
      why: why.replaceAll('\n', ' '),
    });
  }
}

function replaceFile(path: string, text: string): void {
  const beside = `${path}.new`;
  const file = openSync(beside, 'w', 0o600);
  try {
    writeSync(file, text);
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
  renameSync(beside, path);
  const directory = openSync(dirname(path), 'r');
  try {
    fsyncSync(directory);
  } finally {
    closeSync(directory);
  }
}
