/**
 * To be imported before anything else: keeps V8's young generation at its first size, 1 MB. Loading
 * our libraries would make it grow to 16 MB, which it then keeps, and an idle router would weigh
 * 10 MB more; in operation both threads leave too little behind for that to matter. An option that
 * is read at each growth can still be set in a running process, `--max-semi-space-size` can't.
 * Source: V8 flag-definitions.h, semi_space_growth_factor.
 */
import { setFlagsFromString } from 'node:v8';

setFlagsFromString('--semi-space-growth-factor=1');
