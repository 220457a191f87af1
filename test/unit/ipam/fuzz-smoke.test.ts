/** A short run of the allocator's fuzz targets: seeds as they are, cut, and mutated. */
import { test } from 'node:test';
import fc from 'fast-check';
import { targets } from '../../fuzz/targets-ipam.js';

for (const target of targets) {
  test(`fuzz target ${target.name}`, () => {
    for (const seed of target.seeds) target.run(seed);
    const mutation = fc.tuple(fc.nat(), fc.nat({ max: 255 }));
    const input = fc
      .tuple(fc.constantFrom(...target.seeds), fc.array(mutation, { maxLength: 6 }), fc.nat())
      .map(([seed, mutations, cut]) => {
        const bytes = seed.slice();
        for (const [at, byte] of mutations) if (bytes.length > 0) bytes[at % bytes.length] = byte;
        return cut % 3 === 0 ? bytes.subarray(0, cut % (bytes.length + 1)) : bytes;
      });
    fc.assert(
      fc.property(fc.oneof(input, fc.uint8Array({ maxLength: 300 })), (bytes) => {
        target.run(bytes);
      }),
      { numRuns: 100 },
    );
  });
}
