/**
 * One router at a time may work on the stored state and the host's network. The lock lies in the
 * folder of the state, so that it also holds between containers that share it; the kernel gives it
 * back when the process ends. Nothing is ever written to the file.
 */
import { closeSync, mkdirSync, openSync } from 'node:fs';
import { dirname } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Clock } from '../../core/clock.js';
import { errorText, WeaveError } from '../../core/errors.js';
import { tryLock } from '../../sys/file-lock.js';

/** The pause of an upgrade grows by half of it. */
const POLL_MS = 10;

export class StateLock {
  readonly path: string;
  readonly #clock: Clock;
  #fd: number | null = null;

  /** @param dbPrefix `--db-prefix`; the file is this plus `lock`. */
  constructor(options: { readonly dbPrefix: string }, modules: { readonly clock: Clock }) {
    this.path = `${options.dbPrefix}lock`;
    this.#clock = modules.clock;
  }

  /** @returns whether the lock is ours. @throws {WeaveError} `state-unwritable` */
  tryAcquire(): boolean {
    if (this.#fd !== null) return true;
    let fd: number | null = null;
    try {
      mkdirSync(dirname(this.path), { recursive: true, mode: 0o700 });
      fd = openSync(this.path, 'a', 0o600);
      if (tryLock(fd)) this.#fd = fd;
      else closeSync(fd);
    } catch (error) {
      if (fd !== null) closeSync(fd);
      throw new WeaveError('state-unwritable', `${this.path}: ${errorText(error)}`);
    }
    return this.#fd !== null;
  }

  /**
   * Waits until whoever has the lock is gone.
   * @throws {WeaveError} `state-in-use` after `limitMs`, `state-unwritable`.
   */
  async acquire(limitMs: number): Promise<void> {
    const endMs = this.#clock.nowMs() + limitMs;
    while (!this.tryAcquire()) {
      if (this.#clock.nowMs() >= endMs) {
        const text = `another router works on the state beside ${this.path}`;
        throw new WeaveError('state-in-use', text);
      }
      await sleep(POLL_MS);
    }
  }

  release(): void {
    if (this.#fd !== null) closeSync(this.#fd);
    this.#fd = null;
  }
}
