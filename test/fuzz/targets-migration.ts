/** The original's database, damaged in all ways: what is read from it is bounded and checked. */
import { DecodeError } from '../../core/errors.js';
import { readOriginalState } from '../../router/migration/original-state.js';
import { originalDatabase } from '../support/original-database.js';
import type { FuzzTarget } from './target.js';

function readDatabase(input: Uint8Array): void {
  try {
    readOriginalState(input);
  } catch (error) {
    if (!(error instanceof DecodeError)) throw error;
  }
}

export const targets: FuzzTarget[] = [
  {
    name: 'original-database',
    seeds: [originalDatabase('small'), originalDatabase('wide')],
    run: readDatabase,
  },
];
