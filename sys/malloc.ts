/** The C library's memory, which the runtime and its libraries take from. Source: mallopt(3). */
import { declare } from './libc.js';

const M_ARENA_MAX = -8;

/** null: another C library than glibc. */
const mallopt = find();

function find(): ((parameter: number, value: number) => number) | null {
  try {
    return declare('int mallopt(int, int)');
  } catch {
    return null;
  }
}

/**
 * Threads share this many arenas instead of having one each, which keep what was freed. To be
 * called before threads start; ours allocate little while they work. Without effect under
 * a C library that knows no arenas, like musl.
 */
export function limitArenas(count: number): void {
  mallopt?.(M_ARENA_MAX, count);
}
