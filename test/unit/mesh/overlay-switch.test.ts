/** Several overlays on one connection: numbering, control messages, choice, failure. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { PeerName } from '../../../core/peer-name.js';
import type { Overlay, OverlayEvent, OverlayPeering } from '../../../mesh/overlay.js';
import {
  CONTROL_BURST,
  commonOverlays,
  OverlaySwitch,
  type OverlaySwitchAction,
} from '../../../mesh/overlay-switch.js';

class Recorder implements Overlay {
  onEvent: (event: OverlayEvent) => void = () => {};
  readonly name: string;
  readonly calls: string[] = [];
  key: Uint8Array | null = null;

  constructor(name: string) {
    this.name = name;
  }

  prepare(peering: OverlayPeering): void {
    this.key = peering.sessionKey;
    this.calls.push(`prepare ${peering.connId}`);
  }

  confirm(connId: number): void {
    this.calls.push(`confirm ${connId}`);
  }

  handleControl(connId: number, subTag: number, data: Uint8Array): void {
    this.calls.push(`control ${connId} ${subTag} ${[...data]}`);
  }

  stop(connId: number): void {
    this.calls.push(`stop ${connId}`);
  }

  setForwarding(): void {
    this.calls.push('forwarding');
  }

  forgetPeer(peer: PeerName): void {
    this.calls.push(`forget ${peer}`);
  }
}

function rig(names: readonly string[], theirs: readonly string[] | null) {
  const overlays = names.map((name) => new Recorder(name));
  const overlaySwitch = new OverlaySwitch({ overlays, onPending: () => {} });
  const peering: OverlayPeering = {
    connId: 7,
    localPeer: 1 as PeerName,
    remotePeer: 2 as PeerName,
    connectionUid: 3n,
    outbound: true,
    localIp: '192.0.2.1',
    remoteIp: '192.0.2.2',
    remotePort: 6783,
    cipher: 'nacl',
    sessionKey: new Uint8Array(32).fill(9),
  };
  overlaySwitch.prepare(peering, theirs);
  const poll = (): OverlaySwitchAction[] => {
    const actions: OverlaySwitchAction[] = [];
    for (let next = overlaySwitch.pollAction(); next !== null; next = overlaySwitch.pollAction()) {
      actions.push(next);
    }
    return actions;
  };
  return { overlays: overlays as [Recorder, Recorder], overlaySwitch, poll };
}

test('common overlays are numbered in our own order', () => {
  assert.deepEqual(commonOverlays(['fastdp', 'sleeve'], ['sleeve', 'fastdp']), [
    'fastdp',
    'sleeve',
  ]);
  assert.deepEqual(commonOverlays(['fastdp', 'sleeve'], ['sleeve', 'x']), ['sleeve']);
  assert.deepEqual(commonOverlays(['fastdp', 'sleeve'], null), ['sleeve']);
  assert.deepEqual(commonOverlays(['fastdp'], null), []);
  assert.deepEqual(commonOverlays(['sleeve'], []), []);
});

test('control messages carry the index, whatever tag they come with', () => {
  const { overlays, overlaySwitch, poll } = rig(['fastdp', 'sleeve'], ['fastdp', 'sleeve']);
  const [fastdp, sleeve] = overlays;
  overlaySwitch.confirm(7);
  overlaySwitch.handleControl(7, 7, Uint8Array.of(1, 3, 5, 6), 0);
  overlaySwitch.handleControl(7, 2, Uint8Array.of(0, 1), 0);
  assert.deepEqual(fastdp.calls, ['prepare 7', 'confirm 7', 'control 7 1 ']);
  assert.deepEqual(sleeve.calls, ['prepare 7', 'confirm 7', 'control 7 3 5,6']);
  sleeve.onEvent({ type: 'control', connId: 7, subTag: 3, data: Uint8Array.of(4, 0) });
  assert.deepEqual(poll(), [
    { type: 'send', connId: 7, tag: 7, payload: Uint8Array.of(1, 3, 4, 0) },
  ]);
});

test('what crashes the original is counted and ignored', () => {
  const { overlays, overlaySwitch } = rig(['sleeve'], ['sleeve']);
  overlaySwitch.handleControl(7, 7, new Uint8Array(0), 0);
  overlaySwitch.handleControl(7, 7, Uint8Array.of(0), 0);
  overlaySwitch.handleControl(7, 7, Uint8Array.of(1, 1), 0);
  overlaySwitch.handleControl(99, 7, Uint8Array.of(0, 1), 0);
  assert.deepEqual(overlays[0].calls, ['prepare 7']);
  assert.equal(overlaySwitch.counters['overlay-control-unreadable'], 2);
  assert.equal(overlaySwitch.counters['overlay-control-bad-index'], 1);
});

test('a flood of control messages does not reach the data plane', () => {
  const { overlays, overlaySwitch } = rig(['sleeve'], ['sleeve']);
  for (let i = 0; i < 10 * CONTROL_BURST; i++) {
    overlaySwitch.handleControl(7, 7, Uint8Array.of(0, 3, 5, 6), 1000);
  }
  assert.equal(overlays[0].calls.length, 1 + CONTROL_BURST);
  assert.equal(overlaySwitch.counters['overlay-control-too-often'], 9 * CONTROL_BURST);
  overlaySwitch.handleControl(7, 7, Uint8Array.of(0, 3, 5, 6), 2000);
  assert.equal(overlays[0].calls.length, 2 + CONTROL_BURST, 'later ones do again');
});

test('a peer without announced overlays gets and sends bare sleeve messages', () => {
  const { overlays, overlaySwitch, poll } = rig(['fastdp', 'sleeve'], null);
  const [fastdp, sleeve] = overlays;
  overlaySwitch.handleControl(7, 1, new Uint8Array(0), 0);
  overlaySwitch.handleControl(7, 7, Uint8Array.of(0, 1), 0);
  assert.deepEqual(fastdp.calls, []);
  assert.deepEqual(sleeve.calls, ['prepare 7', 'control 7 1 ']);
  sleeve.onEvent({ type: 'control', connId: 7, subTag: 3, data: Uint8Array.of(4, 0) });
  sleeve.onEvent({ type: 'control', connId: 7, subTag: 9, data: Uint8Array.of(4, 0) });
  assert.deepEqual(poll(), [{ type: 'send', connId: 7, tag: 3, payload: Uint8Array.of(4, 0) }]);
  assert.equal(overlaySwitch.counters['overlay-control-not-sendable'], 1);
});

test('established once, by whichever comes first; the first of the list is used', () => {
  const { overlays, overlaySwitch, poll } = rig(['fastdp', 'sleeve'], ['fastdp', 'sleeve']);
  const [fastdp, sleeve] = overlays;
  const used = () => overlaySwitch.choice(7)?.overlay;
  assert.equal(used(), 'fastdp');
  sleeve.onEvent({ type: 'attributes', connId: 7, attributes: { mtu: 1410 } });
  sleeve.onEvent({ type: 'established', connId: 7 });
  assert.equal(used(), 'sleeve');
  assert.deepEqual(overlaySwitch.choice(7)?.attributes, { mtu: 1410 });
  assert.match(overlaySwitch.choice(7)?.reason ?? '', /fastdp is preferred but not confirmed/);
  fastdp.onEvent({ type: 'established', connId: 7 });
  assert.equal(used(), 'fastdp');
  assert.deepEqual(poll(), [{ type: 'established', connId: 7, overlay: 'sleeve' }]);
});

test('failed overlays are left out; the last failure ends the connection once', () => {
  const { overlays, overlaySwitch, poll } = rig(['fastdp', 'sleeve'], ['fastdp', 'sleeve']);
  const [fastdp, sleeve] = overlays;
  fastdp.onEvent({ type: 'failed', connId: 7, code: 'a', reason: 'no device' });
  fastdp.onEvent({ type: 'established', connId: 7 });
  assert.deepEqual(poll(), []);
  assert.equal(overlaySwitch.choice(7)?.overlay, 'sleeve');
  assert.match(overlaySwitch.choice(7)?.reason ?? '', /fastdp failed: no device/);
  overlaySwitch.handleControl(7, 7, Uint8Array.of(0, 1), 0);
  assert.equal(overlaySwitch.counters['overlay-control-after-failure'], 1);
  sleeve.onEvent({ type: 'failed', connId: 7, code: 'b', reason: 'silence' });
  sleeve.onEvent({ type: 'failed', connId: 7, code: 'b', reason: 'silence' });
  assert.deepEqual(poll(), [{ type: 'exhausted', connId: 7, code: 'b', reason: 'silence' }]);
  assert.equal(overlaySwitch.choice(7), null);
});

test('after the end events are ignored; each overlay has a key of its own', () => {
  const { overlays, overlaySwitch, poll } = rig(['fastdp', 'sleeve'], ['fastdp', 'sleeve']);
  const [fastdp, sleeve] = overlays;
  fastdp.key?.fill(0);
  assert.equal(sleeve.key?.[0], 9);
  overlaySwitch.stop(7);
  overlaySwitch.stop(7);
  sleeve.onEvent({ type: 'established', connId: 7 });
  assert.deepEqual(poll(), []);
  assert.deepEqual(sleeve.calls, ['prepare 7', 'stop 7']);
});
