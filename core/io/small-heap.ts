/**
 * To be imported before anything else: keeps V8's heaps small. Young generations would grow from
 * 1 MB to 16 MB and more while our libraries load and while many peers join, and old ones would be
 * let grow further before they are collected; only a long rest gives that back. A router with one
 * peer weighs 12 MB less by it. Options that are read at each growth can still be set in a running
 * process, `--max-semi-space-size` can't. They are the process's, but V8 corrects the growth factor
 * to at least 2 whenever it makes a heap, so it has to be set again after each new thread.
 * Source: V8 flag-definitions.h, semi_space_growth_factor, optimize_for_size; heap.cc,
 * ConfigureHeap, ShouldOptimizeForMemoryUsage.
 */
import { setFlagsFromString } from 'node:v8';

/** @param small true: memory matters more than the cost of collections; false: V8's own values. */
export function keepHeapsSmall(small: boolean): void {
  setFlagsFromString(`--semi-space-growth-factor=${small ? 1 : 2}`);
  setFlagsFromString(small ? '--optimize-for-size' : '--no-optimize-for-size');
}

keepHeapsSmall(true);
// A thread that is online has made its heap.
process.on('worker', (worker) => worker.once('online', () => keepHeapsSmall(true)));
