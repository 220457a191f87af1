/** The list of nodes, and whom to call by it. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { NodeList } from '../../../../k8s/node/node-list.js';

const address = (type: string, text: string) => ({ type, address: text });
const node = (name: string, ...addresses: object[]) => ({
  metadata: { name },
  status: { addresses },
});

function nodeList(): { readonly list: NodeList; readonly seen: { changes: number } } {
  const seen = { changes: 0 };
  const changed = (): void => {
    seen.changes += 1;
  };
  return { list: new NodeList({ changed, failing: () => {} }), seen };
}

test('peers of nodes: internal before external, IPv4 only, not this one', () => {
  const { list } = nodeList();
  assert.equal(list.isComplete, false);
  list.replaceAll([
    node('a', address('InternalIP', '198.51.100.11')),
    node('b', address('ExternalIP', '203.0.113.5'), address('InternalIP', '198.51.100.12')),
    node('c', address('ExternalIP', '203.0.113.6'), address('Hostname', 'c')),
    node('d', address('InternalIP', 'fd00::1')),
    { metadata: { name: 'e' } },
  ]);
  assert.equal(list.isComplete, true);
  assert.deepEqual(list.peers('a'), ['198.51.100.12', '203.0.113.6']);
  assert.deepEqual([...list.names], ['a', 'b', 'c', 'd', 'e']);
});

test('only names and addresses are changes', () => {
  const { list, seen } = nodeList();
  list.replaceAll([]);
  assert.equal(seen.changes, 1);
  list.set(node('a', address('InternalIP', '198.51.100.11')));
  assert.equal(seen.changes, 2);
  list.set(node('a', address('InternalIP', '198.51.100.11')));
  list.replaceAll([node('a', address('InternalIP', '198.51.100.11'))]);
  assert.equal(seen.changes, 2);
  list.set(node('a', address('InternalIP', '198.51.100.99')));
  list.remove(node('a'));
  list.remove(node('a'));
  assert.equal(seen.changes, 4);
});

test('whatever the API server sends is taken or counted', () => {
  fc.assert(
    fc.property(fc.array(fc.jsonValue()), (values) => {
      const { list } = nodeList();
      list.replaceAll(values);
      for (const value of values) list.set(value);
      for (const value of values) list.remove(value);
      assert.equal(list.names.size, 0);
      assert.ok(list.skipped <= values.length * 3);
    }),
  );
});
