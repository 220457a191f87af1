/**
 * An underlay cable that loses and reorders, for kernels without netem: a process that holds a TAP
 * device in each of two namespaces and passes frames between them. Ends when it is killed.
 *
 *   node bad-cable.js NETNS_A NETNS_B DEVICE SEED LOSS_PERCENT REORDER_PERCENT
 */
import { Memory } from '../../sys/memory.js';
import { resolveNetns, withNetns } from '../../sys/netns.js';
import { PollSet } from '../../sys/poll.js';
import { Tap } from '../../sys/tap.js';
import { SeededNumbers } from './garbage.js';

const FRAME_BYTES = 2048;
/** Frames of one direction that may be late at a time. */
const MAX_LATE = 8;
/** A late frame waits for this many others at most, and this long if none come. */
const LATE_BY = 12;
const LATE_MS = 3;
const BURST = 64;

interface Late {
  readonly bytes: Uint8Array;
  /** Frames that still go first. */
  left: number;
}

const [netnsA, netnsB, device, seed, loss, reorder] = process.argv.slice(2) as [
  string,
  string,
  string,
  ...string[],
];
const numbers = new SeededNumbers(Number(seed));
const taps = [netnsA, netnsB].map((netns) =>
  withNetns(resolveNetns(netns), () => Tap.open({ name: device })),
);
/** By direction. BOUNDED by MAX_LATE each. */
const late: Late[][] = [[], []];
const frame = new Memory(FRAME_BYTES);
const spare = new Memory(FRAME_BYTES);

function happens(percent: number): boolean {
  return numbers.below(10_000) < percent * 100;
}

/** Sends late frames whose time has come. @param all those of the direction, come what may. */
function release(direction: number, all: boolean): void {
  const waiting = late[direction] as Late[];
  for (let i = 0; i < waiting.length; ) {
    const item = waiting[i] as Late;
    item.left--;
    if (!all && item.left > 0) {
      i++;
      continue;
    }
    waiting.splice(i, 1);
    spare.bytes.set(item.bytes);
    taps[1 - direction]?.write(spare.address, item.bytes.length);
  }
}

/** Passes what waits, a burst at most. */
function pass(direction: number): void {
  const waiting = late[direction] as Late[];
  for (let count = 0; count < BURST; count++) {
    const bytes = taps[direction]?.read(frame.address, FRAME_BYTES) ?? 0;
    if (bytes <= 0) return;
    if (happens(Number(loss))) continue;
    if (waiting.length < MAX_LATE && happens(Number(reorder))) {
      waiting.push({ bytes: frame.bytes.slice(0, bytes), left: 1 + numbers.below(LATE_BY) });
      continue;
    }
    taps[1 - direction]?.write(frame.address, bytes);
    release(direction, false);
  }
}

const poll = new PollSet(taps.map((tap) => tap.fd));
for (;;) {
  const ready = poll.wait(late.some((waiting) => waiting.length > 0) ? LATE_MS : 1000);
  for (const direction of [0, 1]) {
    if (ready === 0) release(direction, true);
    else if (poll.ready(direction) !== 0) pass(direction);
  }
}
