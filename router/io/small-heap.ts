/**
 * To be imported before anything else: keeps V8's young generations at their first size, 1 MB.
 * They would grow to 16 MB and more while our libraries load and while many peers join, and only
 * a long rest gives that back. An option that is read at each growth can still be set in a running
 * process, `--max-semi-space-size` can't. The option is the process's, but V8 corrects it to at
 * least 2 whenever it makes a heap, so it has to be set again after each new thread.
 * Source: V8 flag-definitions.h, semi_space_growth_factor; heap.cc, ConfigureHeap.
 */
import { setFlagsFromString } from 'node:v8';

function keepYoungGenerationsSmall(): void {
  setFlagsFromString('--semi-space-growth-factor=1');
}

keepYoungGenerationsSmall();
// A thread that is online has made its heap.
process.on('worker', (worker) => worker.once('online', keepYoungGenerationsSmall));
