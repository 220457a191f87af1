/**
 * The new router's side of an upgrade without a pause to speak of: it starts beside the running
 * one, loads everything, and only then asks it to hand over. The old one writes its state and
 * stops; the lock on the state tells when it is gone.
 */
import { request } from 'node:http';
import type { Clock } from '../../core/clock.js';
import { errorCode, WeaveError } from '../../core/errors.js';
import type { Logger } from '../../core/log.js';
import { StateLock } from './state-lock.js';

/** A router that ended a moment ago may still be closing its files. */
const ORDINARY_WAIT_MS = 2_000;
/** Longer than a stop may take before it is ended by force. */
const TAKE_OVER_WAIT_MS = 15_000;
const REQUEST_TIMEOUT_MS = 10_000;

export interface TakeOverOptions {
  /** `--take-over` */
  readonly takeOver: boolean;
  /** Of the running router; null: none is asked. */
  readonly socketPath: string | null;
  readonly dbPrefix: string;
}

export class TakeOver {
  readonly #options: TakeOverOptions;
  readonly #log: Logger;
  readonly #lock: StateLock;

  constructor(
    options: TakeOverOptions,
    { clock, log }: { readonly clock: Clock; readonly log: Logger },
  ) {
    this.#options = options;
    this.#log = log;
    this.#lock = new StateLock(options, { clock });
  }

  /**
   * Before anything is read. With `--take-over` the state may still be another router's then.
   * @throws {WeaveError} `state-in-use`, `state-unwritable`
   */
  async begin(): Promise<void> {
    if (this.#lock.tryAcquire() || this.#asks) return;
    await this.#lock.acquire(ORDINARY_WAIT_MS);
  }

  /**
   * When all is loaded. Resolves when the state and the host's network are ours.
   * @throws {WeaveError} `state-in-use`, `state-unwritable`, `hand-over-refused`
   */
  async finish(): Promise<void> {
    const { socketPath } = this.#options;
    if (this.#lock.tryAcquire() || socketPath === null) return;
    this.#log.info('taking over from the running router');
    if (!(await askHandOver(socketPath))) this.#log.warn('the running router cannot be asked');
    await this.#lock.acquire(TAKE_OVER_WAIT_MS);
  }

  release(): void {
    this.#lock.release();
  }

  get #asks(): boolean {
    return this.#options.takeOver && this.#options.socketPath !== null;
  }
}

/** @returns false if nobody listens, e.g. since the other one is stopping already. */
function askHandOver(socketPath: string): Promise<boolean> {
  return new Promise((resolve, reject) => {
    const options = { socketPath, method: 'POST', path: '/hand-over', timeout: REQUEST_TIMEOUT_MS };
    const call = request({ ...options, headers: { Host: 'localhost' } }, (response) => {
      response.resume();
      const status = response.statusCode ?? 0;
      if (status === 202) return resolve(true);
      const text = `the running router does not hand over (status ${status}); stop it first`;
      reject(new WeaveError('hand-over-refused', text));
    });
    call.on('timeout', () => call.destroy(new Error('no answer')));
    call.on('error', (error) => {
      const isGone = ['ENOENT', 'ECONNREFUSED', 'ECONNRESET'].includes(errorCode(error));
      if (isGone) resolve(false);
      else reject(new WeaveError('hand-over-refused', `the running router: ${error.message}`));
    });
    call.end();
  });
}
