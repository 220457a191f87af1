/**
 * The new router's side of an upgrade without a pause to speak of: it starts beside the running
 * one, loads everything, and only then asks it to hand over. The old one writes its state and stops;
 * the lock on the state tells when it is gone.
 */
import { request } from 'node:http';
import { errorCode, WeaveError } from '../../core/errors.js';
import type { Logger } from '../../core/log.js';
import type { StateLock } from './state-lock.js';

/** A router that ended a moment ago may still be closing its files. */
const ORDINARY_WAIT_MS = 2_000;
/** Longer than a stop may take before it is ended by force. */
const TAKE_OVER_WAIT_MS = 15_000;
const REQUEST_TIMEOUT_MS = 10_000;

export interface TakeOverOptions {
  /** `--take-over` */
  readonly enabled: boolean;
  /** Of the running router; null: none is asked. */
  readonly socketPath: string | null;
}

/**
 * Resolves when the state and the host's network are ours.
 * @throws {WeaveError} `state-in-use`, `state-unwritable`, `hand-over-refused`.
 */
export async function takeOver(
  { enabled, socketPath }: TakeOverOptions,
  { lock, log }: { readonly lock: StateLock; readonly log: Logger },
): Promise<void> {
  if (lock.tryAcquire()) return;
  if (!enabled || socketPath === null) return lock.acquire(ORDINARY_WAIT_MS);
  log.info('taking over from the running router');
  if (!(await askHandOver(socketPath))) log.warn('the running router could not be asked');
  await lock.acquire(TAKE_OVER_WAIT_MS);
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
