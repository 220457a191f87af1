/**
 * One JSON file that survives `kill -9` and power loss at any instant: written beside, flushed to
 * disk, renamed, directory flushed, so that its path always leads to a whole file. Schema version
 * and check sum stand in front; a file that cannot be read or whose check sum is wrong is set aside
 * under another name and said so, never silently overwritten.
 */
import { createHash } from 'node:crypto';
import {
  closeSync,
  existsSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { open, rename } from 'node:fs/promises';
import { dirname } from 'node:path';
import { z } from 'zod';
import { errorText, WeaveError } from '../../core/errors.js';
import type { Logger } from '../../core/log.js';

export interface DurableFileOptions<T> {
  readonly path: string;
  /** Raised when older programs would misread the content. */
  readonly schemaVersion: number;
  readonly content: z.ZodType<T>;
}

const fileSchema = z.object({
  schema: z.number().int(),
  /** SHA-256 in hex of the JSON text of `state`. */
  sha256: z.string(),
  state: z.unknown(),
});
const STATE_KEY = '"state":';

const checksum = (text: string): string => createHash('sha256').update(text).digest('hex');

export class DurableFile<T> {
  readonly path: string;
  readonly #options: DurableFileOptions<T>;
  readonly #log: Logger;

  constructor(options: DurableFileOptions<T>, modules: { log: Logger }) {
    this.path = options.path;
    this.#options = options;
    this.#log = modules.log;
  }

  /**
   * @returns null if there is no file, or a damaged one, which is set aside then.
   * @throws {WeaveError} `state-newer` if a later version of the program wrote it,
   * `state-unreadable`.
   */
  load(): T | null {
    let text: string;
    try {
      text = readFileSync(this.path, 'utf8');
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
      throw new WeaveError('state-unreadable', `${this.path}: ${errorText(error)}`);
    }
    try {
      return this.#parse(text);
    } catch (error) {
      if (error instanceof WeaveError && error.code === 'state-newer') throw error;
      this.#setAside(errorText(error));
      return null;
    }
  }

  /** @throws {WeaveError} `state-unwritable`; what was stored before is still whole. */
  replaceSync(content: T): void {
    const beside = `${this.path}.new`;
    try {
      this.#makeFolder();
      const file = openSync(beside, 'w', 0o600);
      try {
        writeFileSync(file, this.#format(content));
        fsyncSync(file);
      } finally {
        closeSync(file);
      }
      renameSync(beside, this.path);
      const directory = openSync(dirname(this.path), 'r');
      try {
        fsyncSync(directory);
      } finally {
        closeSync(directory);
      }
    } catch (error) {
      throw this.#unwritable(error);
    }
  }

  /**
   * The same while other work goes on; one call at a time.
   * @throws {WeaveError} `state-unwritable`
   */
  async replace(content: T): Promise<void> {
    const beside = `${this.path}.new`;
    try {
      this.#makeFolder();
      const file = await open(beside, 'w', 0o600);
      try {
        await file.writeFile(this.#format(content));
        await file.sync();
      } finally {
        await file.close();
      }
      await rename(beside, this.path);
      const directory = await open(dirname(this.path), 'r');
      try {
        await directory.sync();
      } finally {
        await directory.close();
      }
    } catch (error) {
      throw this.#unwritable(error);
    }
  }

  /**
   * What is there goes to a name that is free, so that a start from nothing loses nothing.
   * @returns that name.
   */
  moveAside(suffix: string): string {
    let count = 1;
    while (existsSync(`${this.path}.${suffix}-${count}`)) count += 1;
    const aside = `${this.path}.${suffix}-${count}`;
    renameSync(this.path, aside);
    return aside;
  }

  /** For `weave reset`. */
  remove(): void {
    rmSync(this.path, { force: true });
  }

  #makeFolder(): void {
    mkdirSync(dirname(this.path), { recursive: true, mode: 0o700 });
  }

  #format(content: T): string {
    const state = JSON.stringify(content);
    const { schemaVersion } = this.#options;
    return `{"schema":${schemaVersion},"sha256":"${checksum(state)}",\n${STATE_KEY}${state}}\n`;
  }

  #unwritable(error: unknown): WeaveError {
    return new WeaveError('state-unwritable', `${this.path}: ${errorText(error)}`);
  }

  #parse(text: string): T {
    const { schemaVersion, content } = this.#options;
    const file = fileSchema.parse(JSON.parse(text));
    if (file.schema > schemaVersion) {
      throw new WeaveError(
        'state-newer',
        `${this.path} was written by a newer version (schema ${file.schema}); ` +
          'run that version, or move the file away to start afresh',
      );
    }
    // As written: parsing and printing again would reorder keys that look like numbers.
    const state = text.slice(text.indexOf(STATE_KEY) + STATE_KEY.length, text.lastIndexOf('}'));
    const sums = [checksum(state), checksum(JSON.stringify(file.state))];
    // The second is how alpha versions counted, which printed the file in another form.
    if (!sums.includes(file.sha256)) throw new Error('check sum does not match');
    return content.parse(file.state);
  }

  #setAside(why: string): void {
    this.#log.error('stored state is damaged; starting without it', {
      code: 'state-damaged',
      file: this.path,
      kept: this.moveAside('damaged'),
      why: why.replaceAll('\n', ' '),
    });
  }
}
