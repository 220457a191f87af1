/** Data planes over paths that are narrow, lossy, silent or change. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ethernet, ipv6Packet, MAC_A, MAC_ALL, MAC_B } from './frames.js';
import { Network, setRoutes } from './network.js';
import { arp, greet, KEY, NAME_A, NAME_B, type Pair, pair, udp } from './pair.js';

test('big packets: DF is answered, others are fragmented or left to the stack', () => {
  const here = pair('nacl', (network) => {
    network.underlay.dropsFragments = true;
  });
  const { network, a, b } = here;
  greet(here);
  network.capture(a, udp(3000, false));
  network.run(5);
  assert.equal(b.tap.frames.length, 3, 'fragmented by the router, as the stack is not trusted');
  network.underlay.dropsFragments = false;
  network.run(5 * 60_000 + 500);
  b.tap.frames.length = 0;
  greet(here);
  network.capture(a, udp(3000, false));
  network.run(5);
  assert.deepEqual(b.tap.frames, [udp(3000, false)]);
  network.capture(a, udp(1415, true));
  assert.equal(a.tap.frames.length, 1);
  network.capture(a, ethernet(0x86dd, ipv6Packet(1400)));
  assert.equal(a.tap.frames[1]?.[54], 2);
  assert.equal(network.drops(a)['too-big-answered'], 2);
  const broadcast = udp(1415, true, MAC_A, MAC_ALL);
  network.capture(a, broadcast);
  assert.equal(network.drops(a)['too-big-broadcast'], 1);
  const jumbo = ethernet(0x0806, new Uint8Array(65_500), MAC_A, MAC_B);
  network.capture(a, jumbo);
  assert.equal(network.drops(a)['exceeds-datagram'], 1);
});

test('loss delays but does not break; silence fails after 60 s', () => {
  const network = new Network();
  const a = network.addNode(NAME_A);
  const b = network.addNode(NAME_B);
  setRoutes(network, [[a, b]]);
  network.underlay.loss = 0.2;
  const [aId, bId] = network.connect(a, b, KEY);
  network.run(20_000);
  assert.ok(a.established.has(aId) && b.established.has(bId));
  assert.equal(a.attributes.get(aId)?.['mtu'], 1414);
  network.run(10 * 60_000);
  assert.equal(a.failed.size + b.failed.size, 0);
  network.underlay.loss = 0;
  network.run(11_000);
  network.underlay.loss = 1;
  network.run(49_000);
  assert.equal(a.failed.size, 0);
  network.run(12_000);
  assert.equal(a.failed.get(aId), 'heartbeat-timeout');
  assert.equal(network.capture(a, arp(MAC_A))[0] !== 0, true);
});

/** TCP-like: a large DF frame every 20 ms, as small as the last ICMP asks for. */
function bulk({ network, a, b }: Pair, forMs: number): number {
  let size = 1414;
  let silentMs = 0;
  let longestMs = 0;
  for (let ms = 0; ms < forMs; ms += 20) {
    a.tap.frames.length = 0;
    b.tap.frames.length = 0;
    network.capture(a, udp(size, true));
    const icmp = a.tap.frames.find((frame) => frame[23] === 1 && frame[34] === 3);
    if (icmp !== undefined) size = ((icmp[40] as number) << 8) | (icmp[41] as number);
    network.run(20);
    silentMs = b.tap.frames.length > 0 ? 0 : silentMs + 20;
    longestMs = Math.max(longestMs, silentMs);
  }
  return longestMs;
}

test('a path that narrows is followed, with and without ICMP, and widened again', () => {
  const here = pair('nacl');
  const { network, a, aId } = here;
  greet(here);
  bulk(here, 5_000);
  network.underlay.systemMtu = 1400;
  network.underlay.realMtu = 1400;
  assert.ok(bulk(here, 2_000) <= 100, 'the system says so at once');
  assert.equal(a.attributes.get(aId)?.['mtu'], 1314);
  network.underlay.realMtu = 1300;
  const silentMs = bulk(here, 20_000);
  assert.ok(silentMs < 6_500, `black hole of ${silentMs} ms`);
  assert.equal(a.attributes.get(aId)?.['mtu'], 1214);
  network.underlay.realMtu = 1217;
  bulk(here, 40_000);
  assert.equal(a.attributes.get(aId)?.['mtu'], 1131);
  network.underlay.systemMtu = 1500;
  network.underlay.realMtu = 1500;
  assert.ok(bulk(here, 6 * 60_000) < 100);
  assert.equal(a.attributes.get(aId)?.['mtu'], 1414);
});

test('an idle path is left alone, a busy one is tested every three seconds', () => {
  const here = pair('nacl');
  greet(here);
  const { network, a } = here;
  const tests = () =>
    a.datagrams.sent.filter(({ df, bytes }) => df && bytes.length === 1472).length;
  bulk(here, 3_500);
  network.run(10_000);
  const before = tests();
  network.run(60_000);
  assert.equal(tests(), before);
  for (let i = 0; i < 100; i++) {
    network.capture(a, ...Array.from({ length: 10 }, () => udp(100, true)));
    network.run(100);
  }
  const added = tests() - before;
  assert.ok(added >= 3 && added <= 4, `${added} tests in 10 s`);
});

test('loss alone does not narrow the path for good', () => {
  const here = pair('nacl');
  greet(here);
  here.network.underlay.loss = 0.2;
  bulk(here, 4 * 60_000);
  assert.equal(here.a.attributes.get(here.aId)?.['mtu'], 1414);
});
