/** A table that is told of every change of another one is equal to it. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import type { PeerName } from '../../../core/peer-name.js';
import type { NameEntry } from '../../../dns/name-entry.js';
import { NameTable, TOMBSTONE_LIFETIME_S } from '../../../dns/name-table.js';

const entry = fc.record({
  hostname: fc.constantFrom('a.weave.local.', 'b.weave.local.', 'x.b.weave.local.'),
  origin: fc.integer({ min: 1, max: 3 }).map((name) => name as unknown as PeerName),
  containerId: fc.constantFrom('one', 'two'),
  type: fc.constant('A' as const),
  data: fc.constantFrom('10.0.0.1', '10.0.0.2'),
  version: fc.integer({ min: 0, max: 3 }),
  tombstone: fc.constantFrom(0, 0, 1000, 5000),
});

type Step =
  | { readonly kind: 'merge'; readonly entries: readonly NameEntry[] }
  | { readonly kind: 'drop'; readonly origin: PeerName }
  | { readonly kind: 'expire'; readonly nowS: number };

const step: fc.Arbitrary<Step> = fc.oneof(
  fc.record({ kind: fc.constant('merge' as const), entries: fc.array(entry, { maxLength: 5 }) }),
  fc.record({ kind: fc.constant('drop' as const), origin: entry.map(({ origin }) => origin) }),
  fc.record({
    kind: fc.constant('expire' as const),
    nowS: fc.constantFrom(1000, 2000 + TOMBSTONE_LIFETIME_S),
  }),
);

const contents = (table: NameTable): string[] =>
  [...table.all()].map((one) => JSON.stringify(one)).sort();

describe('a copy of the name table', () => {
  it('is equal to the table after any steps, and told of changes only', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 30 }), (steps) => {
        const table = new NameTable();
        const copy = new NameTable();
        let told = 0;
        table.onChange = (change) => {
          told++;
          copy.apply(structuredClone(change));
        };
        for (const one of steps) {
          const before = contents(table);
          const toldBefore = told;
          table.apply(one);
          const isChanged = before.join() !== contents(table).join();
          assert.equal(told - toldBefore, isChanged ? 1 : 0);
        }
        assert.deepEqual(contents(copy), contents(table));
        for (const name of ['a.weave.local.', 'b.weave.local.']) {
          const live = (of: NameTable) => [...of.lookUp(name)].map((e) => JSON.stringify(e)).sort();
          assert.deepEqual(live(copy), live(table));
          assert.equal(copy.hasNamesBelow(name), table.hasNamesBelow(name));
        }
      }),
    );
  });
});
