/** The fuzz targets survive their own seeds and a little noise, so that the runner starts clean. */
import { test } from 'node:test';
import fc from 'fast-check';
import { targets } from '../../fuzz/targets-sleeve.js';

for (const target of targets) {
  test(`${target.name} takes its seeds, cuts of them and random bytes`, () => {
    for (const seed of target.seeds) {
      target.run(seed);
      for (let cut = 0; cut < Math.min(seed.length, 64); cut++) target.run(seed.slice(0, cut));
    }
    const edits = fc.array(fc.tuple(fc.nat({ max: 120 }), fc.nat({ max: 255 })), { maxLength: 6 });
    fc.assert(
      fc.property(fc.constantFrom(...target.seeds), edits, (seed, changes) => {
        const input = seed.slice();
        for (const [at, value] of changes) if (at < input.length) input[at] = value;
        target.run(input);
      }),
      { numRuns: 500 },
    );
    fc.assert(fc.property(fc.uint8Array({ maxLength: 300 }), (input) => target.run(input)));
  });
}
