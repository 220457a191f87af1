/** The C library's memory, which the runtime and its libraries take from. Source: mallopt(3). */
import { declare } from './libc.js';

const M_ARENA_MAX = -8;

const mallopt = declare<(parameter: number, value: number) => number>('int mallopt(int, int)');

/**
 * Threads share this many arenas instead of having one each, which keep what was freed. To be
 * called before threads start; ours allocate little while they work. Without effect under a C
 * library that knows no arenas.
 */
export function limitArenas(count: number): void {
  mallopt(M_ARENA_MAX, count);
}
