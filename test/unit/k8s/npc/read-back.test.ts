/** A listing of the kernel's table is read completely or counts as different. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { differences, parseTable } from '../../../../k8s/npc/read-back.js';
import { startRuleset } from '../../../../k8s/npc/ruleset.js';

const ruleset = startRuleset({ bridge: 'weave', allowMulticast: true });

test('any other value than a listing of ours differs', () => {
  const rule = { family: 'inet', table: 'weave-npc', chain: 'ingress', handle: 1 };
  const listings = fc.oneof(
    fc.anything(),
    fc.record({ nftables: fc.array(fc.anything()) }),
    fc.record({ expr: fc.array(fc.anything()) }).map(({ expr }) => ({
      nftables: [{ rule: { ...rule, expr } }],
    })),
  );
  fc.assert(
    fc.property(listings, (json) => {
      assert.notDeepEqual(differences(ruleset, json), []);
    }),
  );
});

test('ranges of a rule are read in one form, and unknown operators are not', () => {
  const chain = { family: 'inet', table: 'weave-npc', name: 'c', handle: 1 };
  const rule = (op: string, right: unknown) => {
    const left = { payload: { protocol: 'ip', field: 'saddr' } };
    const expr = [{ match: { op, left, right } }, { accept: null }];
    return parseTable({
      nftables: [
        { chain },
        { rule: { family: 'inet', table: 'weave-npc', chain: 'c', handle: 2, expr } },
      ],
    })?.get('chain c');
  };
  const halves = [
    { prefix: { addr: '10.0.0.0', len: 25 } },
    { prefix: { addr: '10.0.0.128', len: 25 } },
  ];
  const whole = rule('==', { prefix: { addr: '10.0.0.0', len: 24 } });
  assert.deepEqual(whole, ['', 'ip saddr { 167772160-167772415 } accept']);
  assert.deepEqual(rule('==', { set: halves }), whole);
  assert.notDeepEqual(rule('!=', { set: halves }), whole);
  assert.equal(rule('<', '10.0.0.1'), undefined);
});
