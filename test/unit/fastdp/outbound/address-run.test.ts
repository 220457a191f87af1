/** Runs of captured frames: what continues one, and what ends it. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { DropReason } from '../../../../fastdp/drop-reason.js';
import { RUN_MS } from '../../../../fastdp/inbound/flow-run.js';
import { AddressRun } from '../../../../fastdp/outbound/address-run.js';
import { MAC_A, MAC_C } from '../frames.js';
import { greet, pair, udp } from '../pair.js';

const NOW = 1000;

test('a run goes on with the same addresses and type', () => {
  const run = new AddressRun();
  const frame = Uint8Array.from({ length: 60 }, (_, i) => i);
  assert.equal(run.continues(frame, 0, 60, NOW, 7), false);
  run.begin(frame, 0, NOW, 7);
  assert.ok(run.continues(frame, 0, 60, NOW, 7));
  assert.equal(run.continues(frame, 0, 13, NOW, 7), false);
  assert.equal(run.continues(frame, 0, 65536, NOW, 7), false);
  for (let i = 0; i < 20; i++) {
    const changed = frame.slice();
    changed[i] = 0xff;
    assert.equal(run.continues(changed, 0, 60, NOW, 7), i >= 14, `byte ${i}`);
  }
  assert.ok(run.continues(frame, 0, 60, NOW + RUN_MS - 1, 7));
  assert.equal(run.continues(frame, 0, 60, NOW + RUN_MS, 7), false);
  assert.equal(run.continues(frame, 0, 60, NOW, 8), false);
  run.end();
  assert.equal(run.continues(frame, 0, 60, NOW, 7), false);
});

test('what is received or said between two frames of a flow counts for the second', () => {
  const here = pair('none');
  greet(here);
  const { network, a, b } = here;
  const now = (): number => network.nowMs;
  const frame = udp(300, true);
  const take = (): number => a.plane.handleFrame(frame, 0, frame.length, now());
  assert.equal(take(), DropReason.none);
  assert.equal(take(), DropReason.none);
  network.capture(a);
  // The source shows up behind the neighbour: the next one is its reflection.
  network.run(3000);
  const moved = udp(100, true, MAC_A, MAC_C);
  network.capture(b, moved);
  network.run(2);
  assert.equal(take(), DropReason.macReflected);
  network.run(3000);
  assert.equal(take(), DropReason.none);
  a.plane.setForwarding({ peers: new Set([b.name]), unicast: new Map(), broadcast: new Map() });
  assert.equal(take(), DropReason.noRoute);
});
