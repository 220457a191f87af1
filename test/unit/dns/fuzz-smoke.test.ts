/** A short run of the fuzz targets of names; `npm run fuzz` runs a million. */
import { test } from 'node:test';
import { Mutator } from '../../fuzz/mutator.js';
import { targets } from '../../fuzz/targets-dns.js';

const INPUTS = 5_000;

for (const target of targets) {
  test(`fuzz target ${target.name}`, () => {
    for (const seed of target.seeds) target.run(seed);
    const mutator = new Mutator(target.seeds);
    for (let seed = 1; seed <= INPUTS; seed++) target.run(mutator.make(seed).slice());
  });
}
