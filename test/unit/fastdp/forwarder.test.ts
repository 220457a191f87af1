/** The machine of one neighbour: heartbeats, address, control messages, tests, time-outs. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Forwarder, type ForwarderAction } from '../../../fastdp/forwarder.js';
import type { DataCipher } from '../../../mesh/overlay.js';
import { UID } from './network.js';

const HIGH = Number(UID >> 32n);
const LOW = Number(UID & 0xffff_ffffn);
const IP = 0xc633_6402;

function make(remotePort: number, cipher: DataCipher = 'none'): Forwarder {
  return new Forwarder({ connectionUid: UID, cipher, remoteIp: IP, remotePort });
}

function actions(forwarder: Forwarder): ForwarderAction[] {
  const out: ForwarderAction[] = [];
  for (let next = forwarder.pollAction(); next !== null; next = forwarder.pollAction()) {
    out.push(next);
  }
  return out;
}

const types = (forwarder: Forwarder): string[] => actions(forwarder).map(({ type }) => type);

test('the outbound end speaks first, often until it was heard, then every 10 s', () => {
  const forwarder = make(6783);
  assert.deepEqual(types(forwarder), []);
  forwarder.confirm(-1280);
  assert.deepEqual(types(forwarder), ['send-heartbeat']);
  // Three quick ones, should the first have come too early, then one every 500 ms.
  for (const atMs of [-1240, -1160, -1000, -500, 0, 500]) {
    forwarder.handleTimeout(atMs - 1);
    assert.deepEqual(types(forwarder), []);
    forwarder.handleTimeout(atMs);
    assert.deepEqual(types(forwarder), ['send-heartbeat']);
  }
  forwarder.handleControl(1, new Uint8Array(0), 600);
  assert.equal(forwarder.state, 'established');
  assert.deepEqual(actions(forwarder), [
    { type: 'established' },
    { type: 'send-test', frameBytes: 60_001, df: false },
    { type: 'send-test', frameBytes: 60_000, df: true },
  ]);
  forwarder.handleControl(1, new Uint8Array(0), 601);
  assert.deepEqual(types(forwarder), []);
  forwarder.handleTooBig(1500, 602);
  forwarder.handleControl(3, new Uint8Array([0x05, 0x9e, 0xff]), 603);
  assert.deepEqual(actions(forwarder).at(-1), { type: 'attributes', attributes: { mtu: 1438 } });
  forwarder.handleTimeout(10_599);
  assert.deepEqual(types(forwarder), []);
  forwarder.handleTimeout(10_600);
  assert.deepEqual(types(forwarder), ['send-heartbeat']);
});

test('the inbound end waits for a heartbeat and answers once', () => {
  const forwarder = make(0);
  forwarder.confirm(0);
  assert.deepEqual(types(forwarder), []);
  assert.equal(forwarder.remotePort, 0);
  assert.equal(forwarder.handleHeartbeat(HIGH, LOW ^ 1, IP, 6783, 1), false);
  assert.equal(forwarder.remotePort, 0);
  assert.ok(forwarder.handleHeartbeat(HIGH, LOW, IP, 40_000, 2));
  assert.deepEqual(actions(forwarder), [
    { type: 'send-heartbeat' },
    { type: 'control', subTag: 1, data: new Uint8Array(0) },
  ]);
  forwarder.handleHeartbeat(HIGH, LOW, IP, 40_001, 3);
  assert.deepEqual(types(forwarder), []);
  assert.equal(forwarder.remotePort, 40_001);
});

test('without heartbeats it fails 60 s after the last one', () => {
  const forwarder = make(6783);
  forwarder.confirm(0);
  forwarder.handleHeartbeat(HIGH, LOW, IP, 6783, 30_000);
  actions(forwarder);
  forwarder.handleTimeout(89_999);
  assert.equal(forwarder.state, 'probing');
  actions(forwarder);
  forwarder.handleTimeout(90_000);
  const [failed] = actions(forwarder);
  assert.equal(failed?.type === 'failed' && failed.code, 'heartbeat-timeout');
  assert.equal(forwarder.nextTimeout(), null);
  forwarder.handleControl(1, new Uint8Array(0), 90_001);
  forwarder.handleHeartbeat(HIGH, LOW, IP, 6783, 90_001);
  assert.deepEqual(types(forwarder), []);
});

test('the stack is trusted from the answer of a fragmentation test to the next test', () => {
  const forwarder = make(6783);
  forwarder.confirm(0);
  forwarder.handleControl(2, new Uint8Array(0), 1);
  assert.equal(forwarder.stackFragmentationTrusted, false, 'no test was sent');
  forwarder.handleControl(1, new Uint8Array(0), 2);
  forwarder.handleControl(2, new Uint8Array(0), 3);
  assert.ok(forwarder.stackFragmentationTrusted);
  for (let ms = 10_000; ms < 300_002; ms += 10_000) {
    forwarder.handleHeartbeat(HIGH, LOW, IP, 6783, ms);
    forwarder.handleTimeout(ms);
  }
  actions(forwarder);
  forwarder.handleTimeout(300_002);
  assert.equal(forwarder.stackFragmentationTrusted, false);
  assert.ok(
    actions(forwarder).some((next) => next.type === 'send-test' && next.frameBytes === 60_001),
  );
});

test('a path that shrinks puts the stack to the test again', () => {
  const forwarder = make(6783);
  forwarder.confirm(0);
  forwarder.handleControl(1, new Uint8Array(0), 0);
  forwarder.handleControl(2, new Uint8Array(0), 1);
  forwarder.handleTooBig(1500, 2);
  forwarder.handleControl(3, new Uint8Array([0x05, 0x9e]), 3);
  assert.ok(forwarder.stackFragmentationTrusted, 'finding the first size changes nothing');
  actions(forwarder);
  forwarder.handleTooBig(1300, 4);
  forwarder.handleControl(3, new Uint8Array([0x04, 0xd6]), 5);
  assert.equal(forwarder.stackFragmentationTrusted, false);
  assert.ok((forwarder.nextTimeout()?.atMs ?? Number.POSITIVE_INFINITY) <= 5);
  forwarder.handleTimeout(5);
  const sent = actions(forwarder).filter((next) => next.type === 'send-test');
  assert.ok(sent.some(({ frameBytes, df }) => frameBytes === 60_001 && !df));
  forwarder.handleControl(2, new Uint8Array(0), 6);
  assert.ok(forwarder.stackFragmentationTrusted);
});

test('tests are answered with what they showed, within reason', () => {
  const forwarder = make(6783, 'nacl');
  assert.ok(forwarder.handleMtuTest(1414, 0));
  assert.deepEqual(types(forwarder), [], 'not before confirmation');
  forwarder.confirm(0);
  actions(forwarder);
  assert.ok(forwarder.handleMtuTest(1414, 0));
  assert.deepEqual(actions(forwarder), [
    { type: 'control', subTag: 3, data: new Uint8Array([0x05, 0x86]) },
  ]);
  assert.ok(forwarder.handleMtuTest(0, 0));
  assert.deepEqual(types(forwarder), [], '0 is never sent');
  assert.ok(forwarder.handleFragmentationTest(0));
  assert.deepEqual(actions(forwarder), [{ type: 'control', subTag: 2, data: new Uint8Array(0) }]);
  let answered = 0;
  for (let i = 0; i < 100; i++) if (forwarder.handleMtuTest(1000, 0)) answered += 1;
  assert.equal(answered, 62);
  assert.ok(forwarder.handleMtuTest(1000, 100));
});

test('control messages of any kind and length are survived', () => {
  const forwarder = make(6783);
  forwarder.handleControl(1, new Uint8Array(0), 0);
  assert.equal(forwarder.state, 'prepared');
  forwarder.confirm(0);
  forwarder.confirm(0);
  for (let subTag = 0; subTag < 256; subTag++) {
    for (const length of [0, 1, 2, 3, 100]) {
      forwarder.handleControl(subTag, new Uint8Array(length), 1);
    }
  }
  assert.equal(forwarder.state, 'established');
  assert.equal(forwarder.mtu, 65_535);
});
