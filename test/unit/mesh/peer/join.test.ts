/** Admission: each check, and that both ends of a duplicate decide alike. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { parseCidr } from '../../../../core/ip.js';
import type { PeerName } from '../../../../core/peer-name.js';
import {
  decideJoin,
  isTrustedAddress,
  type JoinRequest,
  type JoinView,
} from '../../../../mesh/peer/join.js';

const request: JoinRequest = {
  name: 2 as PeerName,
  nickname: 'two',
  uid: 20n,
  connectionUid: 500n,
  overlays: ['fastdp', 'sleeve'],
  ciphers: ['aes-256-gcm', 'nacl'],
  inTheClear: false,
  remoteAddr: '10.0.0.2:6783',
  localAddr: '10.0.0.1:40000',
  mayBeUnknown: true,
};
const view: JoinView = {
  self: { name: 1 as PeerName, nickname: 'one', uid: 10n },
  known: false,
  topologyFull: false,
  existing: null,
  connectionCount: 0,
  connLimit: 200,
  overlays: ['sleeve'],
  ciphers: ['aes-256-gcm', 'nacl'],
};

function refusal(asked: Partial<JoinRequest>, state: Partial<JoinView> = {}) {
  const decision = decideJoin({ ...request, ...asked }, { ...view, ...state });
  assert.equal(decision.type, 'refuse');
  return decision.type === 'refuse' ? { ...decision.reason, closes: decision.closes } : null;
}

test('a new peer with a common overlay is admitted', () => {
  assert.deepEqual(decideJoin(request, view), {
    type: 'admit',
    replaces: null,
    cipher: 'aes-256-gcm',
  });
  assert.equal(decideJoin({ ...request, overlays: null }, view).type, 'admit');
});

test('the best cipher that both accept is taken; none is refused, naming both lists', () => {
  const ciphers = (
    theirs: readonly string[] | null,
    ours: JoinView['ciphers'],
    inTheClear = false,
  ) => decideJoin({ ...request, ciphers: theirs, inTheClear }, { ...view, ciphers: ours });
  for (const [theirs, ours, expected] of [
    [['nacl', 'aes-256-gcm'], ['aes-256-gcm', 'nacl'], 'aes-256-gcm'],
    [['chacha-of-tomorrow', 'nacl'], ['aes-256-gcm', 'nacl'], 'nacl'],
    [null, ['aes-256-gcm', 'nacl'], 'nacl'],
    [['aes-256-gcm', 'nacl'], ['nacl'], 'nacl'],
  ] as const) {
    const decision = ciphers(theirs, ours);
    assert.equal(decision.type === 'admit' && decision.cipher, expected);
  }
  for (const [theirs, ours, lists] of [
    [null, ['aes-256-gcm'], '(theirs: nacl; ours: aes-256-gcm)'],
    [['aes-256-gcm'], ['nacl'], '(theirs: aes-256-gcm; ours: nacl)'],
    [[], ['nacl'], '(theirs: none; ours: nacl)'],
  ] as const) {
    const decision = ciphers(theirs, ours);
    const reason = decision.type === 'refuse' ? decision.reason : null;
    assert.equal(reason?.text, `no cipher in common with peer ${lists}`);
    assert.deepEqual([reason?.code, reason?.retry], ['no-common-cipher', 'later']);
    const clear = ciphers(theirs, ours, true);
    assert.equal(clear.type === 'admit' && clear.cipher, 'none');
  }
});

test('an address from gossip must lead to a peer we know', () => {
  const found = refusal({ mayBeUnknown: false });
  assert.equal(found?.text, 'Found unknown remote name: 00:00:00:00:00:02 at 10.0.0.2:6783');
  assert.equal(found?.retry, 'later');
  const known = decideJoin({ ...request, mayBeUnknown: false }, { ...view, known: true });
  assert.equal(known.type, 'admit');
});

test('our own name with another UID is a collision that names both hosts', () => {
  const found = refusal({ name: 1 as PeerName }, { known: true });
  assert.equal(found?.code, 'name-collision');
  assert.equal(found?.retry, 'never');
  const start =
    'local "00:00:00:00:00:01(one)" and remote "00:00:00:00:00:01(two)" peer names collision';
  assert.ok(found?.text.startsWith(start), found?.text);
  assert.match(found?.text ?? '', /10\.0\.0\.1:40000.*10\.0\.0\.2:6783/);
});

test('our own name with our UID is ourselves, by whatever address we got there', () => {
  for (const mayBeUnknown of [true, false]) {
    const found = refusal({ name: 1 as PeerName, uid: 10n, mayBeUnknown }, { known: true });
    assert.deepEqual([found?.text, found?.retry], ['cannot connect to ourself', 'never']);
  }
});

test('no overlay in common, also for peers that name none', () => {
  assert.match(refusal({ overlays: ['fastdp'] })?.text ?? '', /^no overlays in common with peer/);
  assert.equal(refusal({ overlays: [] })?.code, 'no-common-overlay');
  assert.equal(refusal({ overlays: null }, { overlays: ['fastdp'] })?.code, 'no-common-overlay');
  const long = refusal({ overlays: ['x'.repeat(100_000)] });
  assert.ok((long?.text.length ?? 0) < 300, 'what the peer says is cut');
});

test('of two connections the one with the lower UID stays', () => {
  const existing = { connId: 7, connectionUid: 500n };
  const decide = (connectionUid: bigint) =>
    decideJoin({ ...request, connectionUid }, { ...view, existing, connectionCount: 1 });
  assert.deepEqual(decide(499n), { type: 'admit', replaces: 7, cipher: 'aes-256-gcm' });
  assert.equal(refusal({ connectionUid: 501n }, { existing })?.code, 'duplicate-connection');
  assert.equal(refusal({ connectionUid: 501n }, { existing })?.closes, null);
  assert.equal(refusal({ connectionUid: 500n }, { existing })?.closes, 7);
});

test('both ends keep the same one of two crossing connections', () => {
  const uid = fc.bigInt({ min: 0n, max: 2n ** 64n - 1n });
  fc.assert(
    fc.property(uid, uid, (left, right) => {
      // The ends see the two connections in opposite order.
      const survivor = (first: bigint, second: bigint): bigint | null => {
        const existing = { connId: 1, connectionUid: first };
        const decision = decideJoin({ ...request, connectionUid: second }, { ...view, existing });
        if (decision.type === 'admit') return second;
        return decision.closes === null ? first : null;
      };
      assert.equal(survivor(left, right), survivor(right, left));
    }),
  );
});

test('the limit counts both polarities, and a replaced connection makes room', () => {
  const full = { connLimit: 3, connectionCount: 3 };
  assert.equal(refusal({}, full)?.code, 'connection-limit');
  const existing = { connId: 7, connectionUid: 501n };
  const decision = decideJoin(request, { ...view, ...full, existing });
  assert.deepEqual(decision, { type: 'admit', replaces: 7, cipher: 'aes-256-gcm' });
  assert.equal(decideJoin(request, { ...view, ...full, connLimit: 0 }).type, 'admit');
});

test('a full topology takes no new peers but lets known ones in', () => {
  assert.equal(refusal({}, { topologyFull: true })?.code, 'too-many-peers');
  assert.equal(decideJoin(request, { ...view, topologyFull: true, known: true }).type, 'admit');
});

test('trusted subnets match the address of the other end', () => {
  const subnets = [parseCidr('10.0.0.0/8'), parseCidr('192.168.1.7/24')];
  const trusted = ['10.2.3.4:6783', '10.255.255.255', '192.168.1.200:1', '[::ffff:10.1.1.1]:6783'];
  for (const address of trusted) assert.equal(isTrustedAddress(subnets, address), true, address);
  const others = ['11.0.0.1:6783', '192.168.2.1:1', '[2001:db8::1]:6783', 'nonsense', ''];
  for (const address of others) assert.equal(isTrustedAddress(subnets, address), false, address);
  assert.equal(isTrustedAddress([], '10.2.3.4:6783'), false);
});
