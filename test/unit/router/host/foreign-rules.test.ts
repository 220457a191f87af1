/** Accept rules in chains of other programs: which chains need them, and what the scripts say. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  allowanceScript,
  type ForwardChain,
  forwardChains,
  ownRules,
  refusesByDefault,
} from '../../../../router/host/foreign-rules.js';

const chain = (family: string, table: string, name: string, more: object = {}) => ({
  chain: { family, table, name, type: 'filter', hook: 'forward', policy: 'accept', ...more },
});
const rule = (...expr: unknown[]) => ({ rule: { expr } });
const own = (bridge: string, handle: number) => ({
  rule: { comment: `weave-net ${bridge}`, handle, expr: [{ accept: null }] },
});

function only(listing: unknown): ForwardChain {
  const [found] = forwardChains([listing]);
  assert.ok(found !== undefined);
  return found;
}

test('chains at the forward hook are found, but ours and oddly named ones are not', () => {
  const found = forwardChains([
    { metainfo: {} },
    chain('ip', 'filter', 'FORWARD', { policy: 'drop' }),
    chain('inet', 'firewalld', 'filter_FORWARD'),
    chain('ip6', 'filter', 'FORWARD'),
    chain('ip', 'weave', 'forward'),
    chain('inet', 'weave', 'forward'),
    chain('ip', 'filter', 'INPUT', { hook: 'input' }),
    chain('ip', 'mangle', 'FORWARD', { type: 'route' }),
    chain('bridge', 'filter', 'FORWARD'),
    chain('ip', 'filter', 'a; flush ruleset'),
    { chain: { family: 'ip', table: 'filter', name: 'DOCKER-USER' } },
  ]);
  assert.deepEqual(
    found.map(({ key }) => key),
    [
      'ip filter FORWARD',
      'inet firewalld filter_FORWARD',
      'ip6 filter FORWARD',
      'inet weave forward',
    ],
  );
});

test('a chain refuses by its policy or by a last rule without a condition', () => {
  const dropping = only(chain('ip', 'filter', 'FORWARD', { policy: 'drop' }));
  const accepting = only(chain('inet', 'firewalld', 'filter_FORWARD'));
  const match = { match: { op: '==', left: { meta: { key: 'iifname' } }, right: 'eth0' } };
  const counter = { counter: { packets: 0, bytes: 0 } };
  assert.equal(refusesByDefault(dropping, []), true);
  assert.equal(refusesByDefault(accepting, []), false);
  for (const [rules, refuses] of [
    [[rule({ reject: { type: 'icmpx' } })], true],
    [[rule(counter, { log: null }, { drop: null })], true],
    [[rule(counter, { xt: { type: 'target', name: 'REJECT' } })], true],
    [[rule(match, { drop: null })], false],
    [[rule({ drop: null }), rule(match, { accept: null })], false],
    [[rule(counter, { xt: { type: 'target', name: 'LOG' } })], false],
    [[rule({ jump: { target: 'X' } })], false],
    [[rule()], false],
  ] as const) {
    assert.equal(refusesByDefault(accepting, rules), refuses, JSON.stringify(rules));
  }
});

test('the script replaces our rules and no others, in the documented order', () => {
  const listing = [own('weave', 7), own('weave2', 8), rule({ drop: null }), own('weave', 9)];
  const found = ownRules(listing, 'weave');
  const firewalld = only(chain('inet', 'firewalld', 'filter_FORWARD'));
  const wanted = { bridge: 'weave', networks: ['10.2.1.0/24'] };
  const insert = 'insert rule inet firewalld filter_FORWARD';
  assert.deepEqual(allowanceScript(firewalld, found, wanted).trimEnd().split('\n'), [
    'delete rule inet firewalld filter_FORWARD handle 7',
    'delete rule inet firewalld filter_FORWARD handle 9',
    // Inserted at the top one by one, so the kernel has them the other way round.
    `${insert} oifname "weave" ct state established,related accept comment "weave-net weave"`,
    `${insert} iifname "weave" accept comment "weave-net weave"`,
    `${insert} oifname "weave" ip daddr 10.2.1.0/24 accept comment "weave-net weave"`,
    `${insert} iifname "weave" oifname "weave" accept comment "weave-net weave"`,
  ]);
  assert.doesNotMatch(allowanceScript(firewalld, found, null), /insert/);
});

test('chains of iptables get only what iptables can list, IPv6 ones only the switched frames', () => {
  const wanted = { bridge: 'weave', networks: ['10.2.1.0/24'] };
  const forward = only(chain('ip', 'filter', 'FORWARD'));
  const script = allowanceScript(forward, [], wanted);
  assert.doesNotMatch(script, /ct state/);
  assert.equal(script.trimEnd().split('\n').length, 3);
  const forward6 = only(chain('ip6', 'filter', 'FORWARD'));
  assert.equal(
    allowanceScript(forward6, [], wanted),
    'insert rule ip6 filter FORWARD iifname "weave" oifname "weave" accept ' +
      'comment "weave-net weave"\n',
  );
});
