/** Where the log of a daemon goes. */
import { writeSync } from 'node:fs';

/** Lines about failures leave before the process does, so they are written synchronously. */
export function writeToStandardError(line: string): void {
  try {
    writeSync(process.stderr.fd, line);
  } catch {
    // Nobody reads: a log that is full or gone must not stop the daemon.
  }
}
