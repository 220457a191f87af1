/**
 * The control thread answers heartbeats, API calls and DNS queries: little work, but somebody
 * waits for each. Beside a data plane that uses all processors it would wait behind bulk traffic.
 */
import { setPriority } from 'node:os';
import { errorCode } from '../../core/errors.js';
import type { Logger } from '../../core/log.js';

/** Nine times the weight of an ordinary thread; see sched(7). */
const NICE = -10;

/**
 * Linux counts by thread: this concerns the caller alone, and threads that it starts afterwards.
 * Without the right to do so all goes on as before.
 */
export function preferThisThread(log: Logger): void {
  try {
    setPriority(NICE);
  } catch (error) {
    log.debug('the control thread keeps its priority', { code: errorCode(error) });
  }
}
