/**
 * The control thread answers heartbeats and API calls: little work, but somebody waits for each.
 * Beside a data plane that uses all processors it would wait behind bulk traffic, which itself goes
 * before ordinary threads (fastdp/io/data-plane.worker.ts).
 */
import type { Logger } from '../../core/log.js';
import { preferThisThread } from '../../sys/scheduling.js';

/** Three times the weight of the data plane's. */
const CONTROL_NICE = -15;

/** Without the right to do so all goes on as before. */
export function preferControlThread(log: Logger): void {
  const code = preferThisThread(CONTROL_NICE);
  if (code !== null) log.debug('the control thread keeps its priority', { code });
}
