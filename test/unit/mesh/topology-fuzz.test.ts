/** A short run of the topology's fuzz targets with damaged seeds. */
import { test } from 'node:test';
import fc from 'fast-check';
import { targets } from '../../fuzz/targets-topology.js';

for (const target of targets) {
  test(`${target.name} survives damaged input`, () => {
    const damaged = fc
      .tuple(
        fc.constantFrom(...target.seeds),
        fc.array(fc.tuple(fc.nat(4095), fc.nat(255)), { maxLength: 6 }),
        fc.nat(4095),
      )
      .map(([seed, changes, cutAt]) => {
        const bytes = seed.slice();
        for (const [at, value] of changes) bytes[at % bytes.length] = value;
        return cutAt % 3 === 0 ? bytes.subarray(0, cutAt % bytes.length) : bytes;
      });
    fc.assert(
      fc.property(damaged, (input) => target.run(input)),
      { numRuns: 1500 },
    );
    fc.assert(fc.property(fc.uint8Array({ maxLength: 300 }), (input) => target.run(input)));
  });
}
