/** Objects that are malformed end in a named reason; events out of order do no harm. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { Cluster } from '../../../../k8s/npc/cluster.js';
import { parseNamespace, parsePod, parsePolicy } from '../../../../k8s/npc/parse.js';

const policy = (spec: object) => parsePolicy({ metadata: { name: 'p', namespace: 'x' }, spec });
const from = (peer: object) => policy({ podSelector: {}, ingress: [{ from: [peer] }] });
const at = (port: object) => policy({ podSelector: {}, ingress: [{ ports: [port] }] });

test('a policy that cannot be enforced as written is refused by name and code', () => {
  const requirement = { key: 'a', operator: 'Near', values: ['b'] };
  const refusals: readonly (readonly [ReturnType<typeof policy>, string])[] = [
    [policy({ podSelector: { matchExpressions: [requirement] } }), 'selector-invalid'],
    [from({}), 'selector-invalid'],
    [from({ podSelector: {}, ipBlock: { cidr: '10.0.0.0/8' } }), 'block-invalid'],
    [from({ ipBlock: { cidr: '10.0.0.0/33' } }), 'block-invalid'],
    [at({ port: 80, endPort: 79 }), 'port-invalid'],
    [at({ port: 'web', endPort: 90 }), 'port-invalid'],
    [at({ protocol: 'ICMP' }), 'port-invalid'],
    [policy({ policyTypes: ['Sideways'] }), 'object-malformed'],
  ];
  for (const [parsed, code] of refusals) {
    assert.ok(!parsed.ok);
    assert.deepEqual([parsed.name, parsed.code], ['x/p', code]);
  }
});

test('bits beyond the prefix are cleared and told', () => {
  const parsed = from({ ipBlock: { cidr: '10.1.2.3/8', except: ['fd00::1/16'] } });
  assert.ok(parsed.ok);
  assert.equal(parsed.warnings.length, 2);
  assert.deepEqual(parsed.value.ingress?.[0]?.peers, [
    { kind: 'block', cidr: '10.0.0.0/8', except: ['fd00::/16'] },
  ]);
});

test('any value ends in an object or a reason', () => {
  const inputs = fc.oneof(
    fc.anything(),
    fc.record({ metadata: fc.anything(), spec: fc.anything() }),
  );
  fc.assert(
    fc.property(inputs, (raw) => {
      for (const parse of [parsePod, parseNamespace, parsePolicy]) {
        const parsed = parse(raw);
        assert.ok(parsed.ok || parsed.reason.length > 0);
      }
    }),
    { numRuns: 1000 },
  );
});

test('the deletion of an earlier pod does not remove its successor', () => {
  const cluster = new Cluster();
  const pod = (uid: string) => {
    const parsed = parsePod({ metadata: { name: 'p', namespace: 'x', uid } });
    assert.ok(parsed.ok);
    return parsed.value;
  };
  cluster.set('pods', pod('1'));
  cluster.set('pods', pod('2'));
  assert.equal(cluster.delete('pods', pod('1')), false);
  assert.equal(cluster.pods.get('x/p')?.uid, '2');
  assert.equal(cluster.delete('pods', pod('2')), true);
  assert.equal(cluster.delete('pods', pod('2')), false);
});
