/** The session machine: deadlines, heartbeats, limits, holding, and every way to end. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { concatBytes, equalBytes, fromHex, toHex, utf8 } from '../../../../core/bytes.js';
import { MAX_CONTROL_FRAME_BYTES } from '../../../../core/limits.js';
import { parsePeerName } from '../../../../core/peer-name.js';
import { encodeFeatures } from '../../../../mesh/peer/features.js';
import { leaveLater } from '../../../../mesh/peer/leave.js';
import { TAG } from '../../../../mesh/protocol.js';
import { ConnectionRig, exchange, type RigOptions } from '../../../support/connection-rig.js';

function pair(outbound: RigOptions = {}, inbound: RigOptions = {}): [ConnectionRig, ConnectionRig] {
  const a = new ConnectionRig(outbound).start();
  const b = new ConnectionRig({
    outbound: false,
    localAddr: '192.0.2.2:6783',
    remoteAddr: '192.0.2.1:40000',
    connectionId: 0xffff_ffff_ffff_fffen,
    privateKey: '22'.repeat(32),
    identity: {
      name: parsePeerName('82:00:00:00:00:02'),
      nickname: 'beta',
      uid: 22n,
      shortId: null,
    },
    ...inbound,
  }).start();
  return [a, b];
}

const THEIR_FEATURES = new Map([
  ['PeerNameFlavour', 'mac'],
  ['Name', '82:00:00:00:00:02'],
  ['NickName', 'beta'],
  ['UID', '22'],
  ['ConnID', '3'],
]);

/** Two ends, the first of which waits for its owner's decision. */
function holdingPair(): [ConnectionRig, ConnectionRig] {
  const [a, b] = pair({ autoAdmit: false });
  exchange(a, b);
  assert.ok(a.connection.holding);
  assert.equal(b.connection.state, 'running');
  return [a, b];
}

const password = utf8('open sesame');
const modes: { name: string; options: RigOptions }[] = [
  { name: 'plain', options: {} },
  { name: 'with password', options: { password } },
  { name: 'protocol 1', options: { maxVersion: 1 } },
  { name: 'protocol 1 with password', options: { maxVersion: 1, password } },
  { name: 'empty password', options: { password: new Uint8Array(0) } },
];

for (const { name, options } of modes) {
  test(`two ends talk: ${name}`, () => {
    const [a, b] = pair({ ...options, extraFeatures: { Zebra: '1' } }, options);
    exchange(a, b);
    assert.deepEqual([a.connection.state, b.connection.state], ['running', 'running']);
    assert.equal(a.introduction!.connectionUid, 0xffff_ffff_ffff_ffffn);
    assert.equal(b.introduction!.connectionUid, 0xffff_ffff_ffff_ffffn);
    assert.equal(b.introduction!.features.get('Zebra'), options.maxVersion ? undefined : '1');
    assert.equal(a.introduction!.shortId, null);
    const large = new Uint8Array(300_000).fill(7);
    assert.ok(a.connection.send(TAG.gossip, large));
    assert.ok(b.connection.send(TAG.overlayControl, Uint8Array.of(0, 1)));
    a.collect();
    b.collect();
    exchange(a, b);
    assert.equal(b.messages.length, 1);
    assert.ok(equalBytes(b.messages[0]!.payload, large));
    assert.deepEqual(a.messages, [
      { type: 'message', tag: TAG.overlayControl, payload: Uint8Array.of(0, 1) },
    ]);
  });
}

test('passwords that differ are named, by both ends', () => {
  const [a, b] = pair({ password }, { password: utf8('other') });
  exchange(a, b);
  for (const rig of [a, b]) {
    assert.equal(rig.reason?.code, 'wrong-password');
    assert.match(rig.reason.text, /^Unable to decrypt TCP msg/);
    assert.equal(rig.reason.retry, 'later');
  }
});

for (const version of [1, 2] as const) {
  test(`a password on one end only is named, by both ends, protocol ${version}`, () => {
    const [a, b] = pair({ password, maxVersion: version });
    exchange(a, b);
    assert.equal(a.reason?.code, 'password-only-ours');
    assert.equal(b.reason?.code, 'password-only-theirs');
  });
}

test('weak and short public keys are refused', () => {
  const weak = new ConnectionRig({ password }).start();
  weak.feed(concatBytes(utf8('weave'), Uint8Array.of(1, 2, 1), new Uint8Array(32)));
  assert.equal(weak.reason?.code, 'public-key-invalid');

  for (const publicKey of ['', 'ab'.repeat(31), 'ab'.repeat(33), '00'.repeat(32), 'x'.repeat(64)]) {
    const rig = new ConnectionRig({ password }).start().feed(utf8('weave\x01\x01'));
    const features = new Map(THEIR_FEATURES).set('PublicKey', publicKey);
    rig.feed(encodeFeatures(features));
    const code = publicKey.startsWith('x') ? 'hex-invalid' : 'public-key-invalid';
    assert.equal(rig.reason?.code, code);
  }
});

test('an unknown encryption flag ends the session', () => {
  const rig = new ConnectionRig().start().feed(fromHex('7765617665010202'));
  assert.equal(rig.reason?.code, 'encryption-flag');
});

test('protocol 1: a stream of nothing but type definitions ends the session', () => {
  const rig = new ConnectionRig({ maxVersion: 1 }).start().feed(utf8('weave\x01\x02'));
  for (let id = 65; id < 74; id++) {
    const definition = fromHex('0eff81040102ff8200010c010c0000');
    definition[2] = 0x81 + 2 * (id - 65);
    rig.feed(definition);
  }
  assert.equal(rig.reason?.code, 'too-many-definitions');

  const [a, b] = pair({ maxVersion: 1 });
  exchange(a, b);
  b.feed(fromHex('0eff91040102ff9200010c010c0000'));
  assert.equal(b.reason?.code, 'unexpected-definition');
});

test('what is not a Weave router is refused by its header', () => {
  const rig = new ConnectionRig().start().feed(utf8('GET / HTTP/1.1\r\n'));
  assert.equal(rig.reason?.code, 'not-weave');
});

test('the header must come within 10 s, whatever trickles in', () => {
  const rig = new ConnectionRig().start();
  rig.advanceTo(9_000).feed(utf8('wea')).advanceTo(9_999);
  assert.notEqual(rig.connection.state, 'closed');
  rig.advanceTo(10_000);
  assert.equal(rig.reason?.code, 'protocol-header-timeout');
  assert.match(rig.reason.text, /^read tcp 192.0.2.1:40000->192.0.2.2:6783: i\/o timeout/);
  assert.equal(rig.connection.nextTimeout(), null);
});

test('the rest of the introduction must come within 60 s of the header', () => {
  const rig = new ConnectionRig().start();
  rig.advanceTo(5_000).feed(utf8('weave\x01\x02')).advanceTo(60_000).feed(Uint8Array.of(0));
  rig.advanceTo(64_999);
  assert.notEqual(rig.connection.state, 'closed');
  rig.advanceTo(65_000);
  assert.equal(rig.reason?.code, 'introduction-timeout');
});

test('heartbeats go out every 30 s and silence of 60 s ends the session', () => {
  const [a, b] = pair();
  exchange(a, b);
  a.advanceTo(29_999);
  assert.equal(a.writes.length, 0);
  a.advanceTo(30_000);
  assert.equal(toHex(a.written), '0000000100');
  a.advanceTo(59_999);
  assert.notEqual(a.connection.state, 'closed');
  a.advanceTo(60_000);
  assert.equal(a.reason?.code, 'message-timeout');
});

test('two ends that only send heartbeats live on', () => {
  const [a, b] = pair();
  exchange(a, b);
  for (let nowMs = 10_000; nowMs <= 600_000; nowMs += 10_000) {
    a.advanceTo(nowMs);
    b.advanceTo(nowMs);
    exchange(a, b);
  }
  assert.equal(a.connection.state, 'running');
  assert.equal(a.connection.counters.heartbeatsIn, 20);
});

test('a large message on a slow link may take longer than 60 s, but not for ever', () => {
  const [a, b] = pair();
  exchange(a, b);
  a.feed(fromHex('000fffff'));
  let nowMs = 0;
  while (a.connection.state === 'running' && nowMs < 1_000_000) {
    nowMs += 25_000;
    a.advanceTo(nowMs);
    a.feed(Uint8Array.of(0));
  }
  assert.equal(nowMs, 600_000);
  assert.equal(a.reason?.code, 'message-timeout');
});

test('after a pause of the process one heartbeat is enough', () => {
  const [a, b] = pair();
  exchange(a, b);
  a.feed(fromHex('000fffff'));
  a.nowMs = 50_000;
  a.feed(Uint8Array.of(0));
  a.nowMs = 100_000;
  a.connection.handleTimeout(a.nowMs);
  a.collect();
  assert.equal(a.writes.length, 1);
  assert.ok(a.connection.nextTimeout()!.atMs > 100_000);
});

test('blank messages and unknown tags are counted, not delivered', () => {
  const [a, b] = pair();
  exchange(a, b);
  a.feed(fromHex('00000000' + '0000000108' + '00000002ff01' + '0000000200aa'));
  assert.equal(a.messages.length, 0);
  const { blankMessages, unknownTags, heartbeatsIn } = a.connection.counters;
  assert.deepEqual(
    { blankMessages, unknownTags, heartbeatsIn },
    {
      blankMessages: 1,
      unknownTags: 2,
      heartbeatsIn: 1,
    },
  );
});

test('frames above 10 MiB end the session, in both directions', () => {
  const [a, b] = pair();
  exchange(a, b);
  assert.ok(a.connection.send(TAG.gossip, new Uint8Array(MAX_CONTROL_FRAME_BYTES - 1)));
  a.collect();
  exchange(a, b);
  assert.equal(b.messages.length, 1);
  assert.ok(!a.connection.send(TAG.gossip, new Uint8Array(MAX_CONTROL_FRAME_BYTES)));
  a.collect();
  assert.equal(a.reason?.code, 'message-too-large');
  b.feed(fromHex('00a00001'));
  assert.equal(b.reason?.code, 'frame-too-large');
});

test('a stranger may not announce a large feature map', () => {
  const rig = new ConnectionRig().start().feed(fromHex('7765617665010200' + '00010001'));
  assert.equal(rig.reason?.code, 'frame-too-large');
});

test('a sealed message that was altered or repeated ends the session', () => {
  const [a, b] = pair({ password }, { password });
  exchange(a, b);
  a.connection.send(TAG.gossip, Uint8Array.of(1));
  a.collect();
  const frame = a.writes[0]!;
  b.feed(frame);
  assert.equal(b.messages.length, 1);
  b.feed(frame);
  assert.equal(b.reason?.code, 'decrypt-failed');
});

test('nothing is heard before admission', () => {
  const [a, b] = holdingPair();
  b.connection.send(TAG.gossip, Uint8Array.of(9));
  b.collect();
  exchange(a, b);
  assert.equal(a.messages.length, 0);
  assert.ok(!a.connection.send(TAG.gossip, Uint8Array.of(1)));
  a.connection.admit(0);
  a.collect();
  assert.deepEqual(a.messages, [{ type: 'message', tag: TAG.gossip, payload: Uint8Array.of(9) }]);
});

test('without a decision the session ends, and so it does if held bytes pile up', () => {
  for (const flood of [false, true]) {
    const [a] = holdingPair();
    if (flood) {
      for (let i = 0; i < 11; i++) a.connection.handleBytes(new Uint8Array(1 << 20), 0);
      a.collect();
    } else {
      a.advanceTo(60_000);
    }
    assert.equal(a.reason?.code, flood ? 'input-overflow' : 'admission-timeout');
  }
});

test('a refused connection closes with the reason given', () => {
  const [a] = holdingPair();
  const reason = {
    code: 'self',
    text: 'cannot connect to ourself',
    retry: 'never',
    byUs: true,
  } as const;
  a.connection.refuse(reason, 0);
  a.collect();
  assert.equal(a.reason, reason);
  a.connection.admit(0);
  assert.equal(a.connection.pollAction(), null);
});

test('closing keeps writes and drops what was not heard yet', () => {
  const [a, b] = pair();
  exchange(a, b);
  a.connection.handleBytes(fromHex('0000000204aa'), 0);
  a.connection.send(TAG.gossip, Uint8Array.of(1));
  a.connection.close(leaveLater('test', 'test'), 0);
  a.connection.close(leaveLater('again', 'again'), 0);
  a.collect();
  assert.equal(a.messages.length, 0);
  assert.equal(a.writes.length, 1);
  assert.equal(a.reason?.code, 'test');
  a.feed(fromHex('0000000204aa')).advanceTo(1_000_000);
  assert.equal(a.messages.length, 0);
});

test('messages ahead of a fault are heard', () => {
  const [a, b] = pair();
  exchange(a, b);
  a.feed(fromHex('0000000204aa' + 'ffffffff'));
  assert.equal(a.messages.length, 1);
  assert.equal(a.reason?.code, 'frame-too-large');
});

test('a socket that closes is explained by how far the session was', () => {
  const reset = Object.assign(new Error('read ECONNRESET'), { code: 'ECONNRESET' });
  const early = new ConnectionRig().start();
  early.connection.handleSocketClosed(reset, 0);
  assert.match(early.collect().reason!.text, /read: connection reset by peer \(closed before/);

  const middle = new ConnectionRig().start().feed(utf8('weave\x01\x02'));
  middle.connection.handleSocketClosed(null, 0);
  assert.match(middle.collect().reason!.text, /EOF \(refused while introducing/);

  const [a, b] = pair();
  exchange(a, b);
  a.connection.handleSocketClosed(new Error('strange'), 0);
  assert.equal(a.collect().reason!.code, 'socket-internal-error');
  b.feed(fromHex('0000000100'));
  b.connection.handleSocketClosed(reset, 0);
  assert.equal(b.collect().reason!.code, 'socket-econnreset');
  assert.equal(b.reason!.byUs, false);
});
