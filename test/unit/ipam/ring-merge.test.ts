/** Merging rings against the original, and the laws that merging among peers of ours obeys. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseIpv4 } from '../../../core/ip.js';
import { contains } from '../../../ipam/range.js';
import { Ring } from '../../../ipam/ring.js';
import { breakTieByFree, checkMergeable, mergeRings } from '../../../ipam/ring-merge.js';
import { loadVectors } from '../../support/vectors.js';
import { type RingText, ringFrom, showEntries } from './ring-vectors.js';

interface MergeCase {
  readonly name: string;
  readonly ours: RingText;
  readonly theirs: RingText;
  readonly in_use: readonly string[];
  readonly result: { readonly error?: string; readonly updated: boolean; readonly ring: RingText };
}

const { cases } = loadVectors<{ cases: MergeCase[] }>('ipam-ring-merge.json');

/** Where the outcome differs on purpose, and why. */
const DEVIATIONS: Readonly<Record<string, string>> = {
  'same with addresses in use in the part given away: still accepted, the addresses are lost':
    'a newer word of ours does not switch the check off',
  'third peer split received with an old version of the split range: too much free':
    'the stale free count of the third peer is cut to what is left of its range',
  'foreign token inserted in the wrapped part of our last range: no check at all':
    'the part in front of the first token is checked like any other',
  'random 15 0d<-0b': 'an unused part of the last range is given up like one in the middle',
  'random 27 0b<-0a': 'the stale free count of the third peer is cut to what is left',
  'random 27 0a<-0b': 'an unused part of the last range is given up like one in the middle',
};

function merge({ ours, theirs, in_use }: MergeCase): { updated: boolean; entries: string[] } {
  const state = ringFrom(ours);
  const received = ringFrom(theirs);
  const ring = new Ring({ start: state.start, end: state.end }, state.peer);
  ring.install(state.entries, state.seeds);
  const owned = ring.rangesOf(state.peer);
  const used = new Set(in_use.map(parseIpv4));
  const isFree = (address: number): boolean =>
    owned.some((range) => contains(range, address)) && !used.has(parseIpv4Number(address));
  checkMergeable(state, received);
  const result = mergeRings(state.peer, state, received, {
    isInUse: ({ start, end }) => {
      for (let a = start; a < end; a++) if (!isFree(a)) return true;
      return false;
    },
    resolve: ({ text }) => {
      throw new Error(text);
    },
    breakTie: breakTieByFree,
  });
  ring.install(result.entries, result.seeds);
  return { updated: result.changed, entries: showEntries(ring.entries) };
}

const parseIpv4Number = (address: number) => address as ReturnType<typeof parseIpv4>;

test('rings merge as in the original, but where it loses addresses', () => {
  const wrong: string[] = [];
  for (const vector of cases) {
    const { error, updated, ring } = vector.result;
    const expected = error || { updated, entries: showEntries(ringFrom(ring).entries) };
    let actual: ReturnType<typeof merge> | string;
    try {
      actual = merge(vector);
    } catch (failure) {
      actual = (failure as Error).message;
    }
    const same = JSON.stringify(actual) === JSON.stringify(expected);
    if (same === (DEVIATIONS[vector.name] === undefined)) continue;
    wrong.push(`${vector.name}: ${JSON.stringify(actual)} instead of ${JSON.stringify(expected)}`);
  }
  assert.deepEqual(wrong, []);
});
