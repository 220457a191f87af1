/** Whether the device can have a queue for each of several threads; asked once, at start. */
import type { Logger } from '../../core/log.js';
import { Tap } from '../../sys/tap.js';
import type { SleeveOptions } from './messages.js';
import type { Offloads } from './offloads.js';

/** @returns how many threads the router gets. @throws {SysError} see Tap.open. */
export function grantQueues(options: SleeveOptions, offloads: Offloads, log: Logger): number {
  const { queues = 1, tapName: name } = options;
  if (queues === 1) return 1;
  const tap = Tap.open({ name, offloads: offloads.enabled('tap-checksum'), multiQueue: true });
  const { multiQueue } = tap;
  tap.close();
  if (!multiQueue) {
    log.warn('one queue instead of several: delete the device, or make it with multi_queue', {
      device: name,
      wanted: queues,
    });
    return 1;
  }
  // Joining looks at addresses alone, so that datagrams of several lanes would come as one message
  // to the thread of the first.
  offloads.withdraw(
    'udp-gro',
    '--fastdp-queues: the kernel would join what is for several threads',
  );
  return queues;
}
