/** Whole allocators against recorded runs of the original, event by event. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { loadVectors } from '../../support/vectors.js';
import { Replay, type ScenarioText } from './allocator-replay.js';

const { scenarios } = loadVectors<{ scenarios: ScenarioText[] }>('ipam-allocator.json');

interface Deviation {
  readonly step: number;
  /** What may differ, e.g. `completed`. Absent: all; nothing is compared from there on. */
  readonly only?: readonly string[];
  readonly why: string;
}

const PRIMED = 'a request for a ring completes at once, not at the next tick';
const DROPPED = 'a nickname that nobody has any more is dropped at once';
const KEPT = 'a conflict does not end the connection; it is shown and nothing is handed out';

/** Where ours does something else on purpose. */
const DEVIATIONS: Readonly<Record<string, readonly Deviation[]>> = {
  'late joiner: its proposal is answered with the ring, then it asks for space': [
    { step: 6, why: 'a newcomer gets a half, not a quarter, after the first allocation' },
  ],
  'late joiner hears the ring by periodic gossip first': [
    { step: 1, only: ['completed'], why: PRIMED },
  ],
  'two islands formed independently refuse each other': [
    { step: 2, only: ['completed'], why: PRIMED },
    { step: 3, only: ['completed'], why: PRIMED },
    { step: 4, only: ['error'], why: KEPT },
    { step: 5, only: ['error'], why: KEPT },
  ],
  'different ranges refuse each other (seeds equal or absent)': [
    { step: 2, only: ['error'], why: KEPT },
    { step: 3, only: ['error'], why: KEPT },
  ],
  'peer runs out, the other donates, then has nothing left': [
    { step: 17, why: 'a released address goes to who waits for it at once, not at the next tick' },
  ],
  claims: [{ step: 37, why: 'a claim that succeeded in advance holds its address from then on' }],
  'claims and pre-claims before there is a ring': [
    { step: 0, why: 'addresses found in use are held at once, not waiting claims' },
  ],
  'rmpeer of a dead peer, by nickname': [{ step: 5, only: ['sent'], why: DROPPED }],
  'rmpeer of a live peer without addresses in use: the removed peer crashes': [
    { step: 2, why: 'the ranges of a peer that can be seen are not taken over' },
  ],
  'rmpeer of a live peer with addresses in use: it refuses every ring of the other': [
    { step: 3, why: 'the ranges of a peer that can be seen are not taken over' },
  ],
  'rejoin with stale persisted data after being removed while down, addresses in use': [
    { step: 5, only: ['sent'], why: DROPPED },
    { step: 8, why: 'a range that was taken over is given up; what is in use is asked for' },
  ],
  'shutdown of a lone peer': [
    { step: 2, why: 'without an heir the ring stays as it is, also in memory' },
  ],
};

for (const { name, steps } of scenarios) {
  test(name, () => {
    const replay = new Replay();
    const deviations = DEVIATIONS[name] ?? [];
    for (const [i, step] of steps.entries()) {
      const wrong = replay.step(step);
      const deviation = deviations.find((other) => other.step === i);
      if (deviation !== undefined) {
        assert.notDeepEqual(wrong, [], `step ${i} goes as recorded: ${deviation.why}`);
        if (deviation.only === undefined) return;
      }
      const unexpected = wrong.filter(
        (line) => !deviation?.only?.some((what) => line.startsWith(`${what}:`)),
      );
      assert.deepEqual(unexpected, [], `step ${i} ${step.event} ${step.peer}`);
    }
  });
}
