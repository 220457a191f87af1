/** Runs of one flow: what continues one, and what a change in between does to it. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FlowRun, RUN_MS } from '../../../../fastdp/inbound/flow-run.js';
import type { Link } from '../../../../fastdp/link.js';
import { MAC_A, MAC_B, MAC_C } from '../frames.js';
import { setRoutes } from '../network.js';
import { ALL_CIPHERS, greet, pair, udp } from '../pair.js';

const [LINK, OTHER] = [{}, {}] as [Link, Link];
const NOW = 1000;

test('a run goes on with the same names, addresses and type over the same link', () => {
  const run = new FlowRun();
  const first = Uint8Array.from({ length: 80 }, (_, i) => i);
  const again = (change = -1): Uint8Array => {
    const record = first.slice();
    if (change >= 0) record[change] = 0xff;
    return record;
  };
  const at = 14;
  assert.equal(run.continues(again(), at, 66, LINK, 1, NOW, 7), false);
  run.begin(first, at, LINK, 1, NOW, 7);
  assert.ok(run.continues(again(), at, 66, LINK, 1, NOW, 7));
  for (let i = 0; i < 28; i++) {
    const isLength = i === 12 || i === 13;
    assert.equal(run.continues(again(i), at, 66, LINK, 1, NOW, 7), isLength, `byte ${i}`);
  }
  assert.equal(run.continues(again(), at, 13, LINK, 1, NOW, 7), false);
  assert.equal(run.continues(again(), at, 66, OTHER, 1, NOW, 7), false);
  assert.equal(run.continues(again(), at, 66, LINK, 2, NOW, 7), false);
  assert.ok(run.continues(again(), at, 66, LINK, 1, NOW + RUN_MS - 1, 7));
  assert.equal(run.continues(again(), at, 66, LINK, 1, NOW + RUN_MS, 7), false);
  assert.equal(run.continues(again(), at, 66, LINK, 1, NOW, 8), false);
  run.end();
  assert.equal(run.continues(again(), at, 66, LINK, 1, NOW, 7), false);
});

test('frames of a run count like others, and a change of the topology ends it', () => {
  for (const cipher of ALL_CIPHERS) {
    const here = pair(cipher);
    greet(here);
    const { network, a, b } = here;
    const frames = [MAC_A, MAC_A, MAC_C, MAC_A].map((source) => udp(300, true, source, MAC_B));
    network.capture(a, ...frames);
    network.run(5);
    assert.deepEqual(b.tap.frames, frames);
    const before = b.plane.status(network.nowMs);
    assert.ok(before.macs.some(({ mac }) => mac === MAC_C));
    assert.equal(before.traffic[0]?.framesReceived, 1 + frames.length);
    assert.equal(before.framesInjected, 1 + frames.length);
    // The source leaves b's topology between two datagrams of one flow.
    network.capture(a, frames[0] as Uint8Array);
    network.run(5);
    setRoutes(network, []);
    b.plane.setForwarding({ peers: new Set(), unicast: new Map(), broadcast: new Map() });
    network.inject(b, a.datagrams.sent.at(-1)?.bytes.slice() as Uint8Array, a.ip);
    const { drops } = b.plane.status(network.nowMs);
    assert.equal(drops[cipher === 'none' ? 'unknown-peer' : 'replayed'], 1);
  }
});
