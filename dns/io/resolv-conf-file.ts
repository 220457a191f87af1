/**
 * Reads the host's resolv.conf and notices when it changes. Polling by time of change and inode
 * works where the file is replaced, is a link, or does not exist yet; watching would not.
 */
import { readFileSync, statSync } from 'node:fs';
import { errorCode, errorText } from '../../core/errors.js';
import type { Logger } from '../../core/log.js';
import { nameServersOf } from '../resolv-conf.js';

/** At most this late a changed file is noticed. */
const CHECK_INTERVAL_MS = 2000;
const MAX_FILE_BYTES = 64 * 1024;

export class ResolvConfFile {
  readonly #path: string;
  readonly #log: Logger;
  readonly #onServers: (servers: readonly string[]) => void;
  #seen = '';
  #lastError = '';
  #timer: NodeJS.Timeout | null = null;

  /** @param onServers called with what stands in the file, at start and after each change. */
  constructor(
    options: { readonly path: string },
    modules: { readonly log: Logger; readonly onServers: (servers: readonly string[]) => void },
  ) {
    this.#path = options.path;
    this.#log = modules.log;
    this.#onServers = modules.onServers;
  }

  start(intervalMs = CHECK_INTERVAL_MS): void {
    this.check();
    this.#timer = setInterval(() => this.check(), intervalMs);
    this.#timer.unref();
  }

  stop(): void {
    if (this.#timer !== null) clearInterval(this.#timer);
    this.#timer = null;
  }

  /** A file that can't be read leaves the servers as they were; said once. */
  check(): void {
    try {
      const { mtimeMs, ino, size } = statSync(this.#path);
      const seen = `${mtimeMs} ${ino} ${size}`;
      if (seen === this.#seen) return;
      if (size > MAX_FILE_BYTES) throw new Error(`larger than ${MAX_FILE_BYTES} bytes`);
      const servers = nameServersOf(readFileSync(this.#path, 'utf8'));
      this.#seen = seen;
      this.#lastError = '';
      this.#onServers(servers);
    } catch (error) {
      const text = errorText(error);
      if (text === this.#lastError) return;
      this.#lastError = text;
      const fields = { code: errorCode(error), file: this.#path, error: text };
      this.#log.warn('unable to read upstream config', fields);
    }
  }
}
