/** Whether the device can have a queue for each of several threads; asked once, at start. */
import type { Logger } from '../../core/log.js';
import { Tap } from '../../sys/tap.js';
import type { SleeveOptions } from './messages.js';
import type { Offloads } from './offloads.js';

/** @returns how many threads the router gets. @throws {SysError} see Tap.open. */
export function grantQueues(options: SleeveOptions, offloads: Offloads, log: Logger): number {
  const { queues = 1, tapName: name } = options;
  if (queues === 1) return 1;
  // The device of an earlier run with one queue is of the other kind: it is made anew.
  if (!isMultiQueue(name, offloads) && !isMultiQueue(name, offloads)) {
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

/** A device that stays without a process but can have one queue only is deleted. */
function isMultiQueue(name: string, offloads: Offloads): boolean {
  const tap = Tap.open({ name, offloads: offloads.enabled('tap-checksum'), multiQueue: true });
  try {
    if (!tap.multiQueue) tap.setPersist(false);
    return tap.multiQueue;
  } finally {
    tap.close();
  }
}
