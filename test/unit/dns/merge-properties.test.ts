/** Merging names: the order, grouping and repetition of messages make no difference. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { PeerName } from '../../../core/peer-name.js';
import { addressCodec } from '../../../dns/gossip-codec.js';
import { NamesNews } from '../../../dns/name-channel.js';
import { identityOf, isLive, type NameEntry } from '../../../dns/name-entry.js';
import { NameTable } from '../../../dns/name-table.js';

/** Few values each, so that entries meet. */
const entries = fc.array(
  fc.record({
    hostname: fc.constantFrom('web.weave.local.', 'Web.weave.local.', 'a.b.'),
    origin: fc.constantFrom(1, 2).map((name) => name as PeerName),
    containerId: fc.constantFrom('c1', ''),
    type: fc.constant('A' as const),
    data: fc.constantFrom('10.0.0.1', '10.0.0.2'),
    version: fc.integer({ min: -1, max: 3 }),
    tombstone: fc.constantFrom(0, 0, 5, 7),
  }),
  { maxLength: 12 },
);

const textOf = (entry: NameEntry): string =>
  `${identityOf(entry)} ${entry.version} ${entry.tombstone}`;

function stateOf(table: NameTable): string[] {
  return [...table.all()].map(textOf).sort();
}

function merged(...messages: readonly (readonly NameEntry[])[]): NameTable {
  const table = new NameTable();
  for (const message of messages) table.merge(message);
  return table;
}

test('merging commutes', () => {
  fc.assert(
    fc.property(entries, entries, (a, b) => {
      assert.deepEqual(stateOf(merged(a, b)), stateOf(merged(b, a)));
    }),
  );
});

test('merging is associative: what accumulates on its way gives the same', () => {
  fc.assert(
    fc.property(entries, entries, entries, (a, b, c) => {
      const news = [a, b, c].map((list) => new NamesNews(addressCodec, list, 1));
      const [first, second, third] = news as [NamesNews, NamesNews, NamesNews];
      const payloads = [...first.merge(second).merge(third).encode()];
      const together = payloads.flatMap((payload) => [...addressCodec.decode(payload).entries]);
      assert.deepEqual(stateOf(merged(together)), stateOf(merged(a, b, c)));
    }),
  );
});

test('merging is idempotent, and what it calls changed is exactly that', () => {
  fc.assert(
    fc.property(entries, entries, (a, b) => {
      const table = merged(a);
      const before = new Set(stateOf(table));
      const { changed } = table.merge(b);
      const fresh = stateOf(table).filter((text) => !before.has(text));
      assert.deepEqual(changed.map(textOf).sort(), fresh);
      assert.deepEqual(table.merge(b).changed, []);
      assert.deepEqual(table.merge(a).changed, []);
    }),
  );
});

test('the highest version wins, among equals the latest removal', () => {
  fc.assert(
    fc.property(entries, (list) => {
      for (const entry of merged(list).all()) {
        const rivals = list.filter((other) => identityOf(other) === identityOf(entry));
        const version = Math.max(...rivals.map((rival) => rival.version));
        const equals = rivals.filter((rival) => rival.version === version);
        assert.equal(entry.version, version);
        assert.equal(entry.tombstone, Math.max(...equals.map((rival) => rival.tombstone)));
      }
    }),
  );
});

test('the indexes hold what is alive and nothing else', () => {
  fc.assert(
    fc.property(entries, entries, fc.boolean(), (a, b, drop) => {
      const table = merged(a, b);
      if (drop) table.dropPeer(1 as PeerName);
      table.expire(1_000_000);
      const live = [...table.all()].filter(isLive);
      for (const name of ['web.weave.local.', 'a.b.', 'weave.local.']) {
        const wanted = live.filter(({ hostname }) => hostname.toLowerCase() === name);
        assert.equal([...table.lookUp(name)].length, wanted.length);
        const below = live.some(({ hostname }) => hostname.toLowerCase().endsWith(`.${name}`));
        assert.equal(table.hasNamesBelow(name), below);
      }
      const reverse = [...table.lookUpReverse('1.0.0.10.in-addr.arpa.')];
      assert.equal(reverse.length, live.filter(({ data }) => data === '10.0.0.1').length);
      assert.equal(table.tombstoneCount, 0);
    }),
  );
});
