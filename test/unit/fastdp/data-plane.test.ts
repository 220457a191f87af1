/** Whole data planes against each other over a simulated underlay. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MAC_A, MAC_B, MAC_C } from './frames.js';
import { Network, type Node, PORT, setRoutes } from './network.js';
import { ALL_CIPHERS, arp, greet, KEY, NAME_A, NAME_B, NAME_C, pair, udp } from './pair.js';

test('a connection gets established and knows its MTU within half a second', () => {
  for (const [cipher, attributes] of [
    ['none', { mtu: 1438 }],
    ['nacl', { encrypted: true, mtu: 1414 }],
    ['aes-256-gcm', { cipher: 'aes-256-gcm', encrypted: true, mtu: 1412 }],
  ] as const) {
    const { a, b, aId, bId } = pair(cipher);
    assert.ok(a.established.has(aId) && b.established.has(bId));
    assert.deepEqual(a.attributes.get(aId), attributes);
    assert.deepEqual(b.attributes.get(bId), attributes);
  }
});

test('frames pass both ways and are learnt', () => {
  for (const cipher of ALL_CIPHERS) {
    const here = pair(cipher);
    const { network, a, b } = here;
    greet(here);
    assert.deepEqual(network.capture(a, udp(100, true)), [0]);
    network.run(5);
    assert.deepEqual(b.tap.frames, [udp(100, true)]);
    const { macs, traffic } = b.plane.status(network.nowMs);
    assert.deepEqual(macs.map(({ mac, peer }) => [mac, peer]).sort(), [
      [MAC_A, NAME_A],
      [MAC_B, NAME_B],
    ]);
    assert.equal(traffic[0]?.framesReceived, 2);
    assert.equal(traffic[0]?.bytesReceived, 42 + 114);
    assert.equal(traffic[0]?.framesSent, 1);
  }
});

test('frames between local workloads and to the spanning tree stay here', () => {
  const here = pair('nacl');
  const { network, a, b } = here;
  greet(here);
  network.capture(a, arp(MAC_C));
  network.run(5);
  b.tap.frames.length = 0;
  network.capture(a, udp(100, true, MAC_A, MAC_C), udp(100, true, MAC_A, 0x0180_c200_0000));
  network.run(5);
  assert.equal(b.tap.frames.length, 0);
  assert.equal(network.drops(a)['local-destination'], 1);
  assert.equal(network.drops(a)['spanning-tree'], 1);
});

test('a relay passes frames on and returns ICMP from its narrow side', () => {
  const network = new Network();
  const [a, b, c] = [NAME_A, NAME_B, NAME_C].map((name) => network.addNode(name)) as [
    Node,
    Node,
    Node,
  ];
  setRoutes(network, [
    [a, b],
    [b, c],
  ]);
  network.connect(a, b, KEY);
  network.run(400);
  network.underlay.systemMtu = 1300;
  network.underlay.realMtu = 1300;
  network.connect(b, c, null);
  network.run(400);
  network.underlay.systemMtu = 1500;
  network.underlay.realMtu = 1500;
  network.capture(a, arp(MAC_A));
  network.run(5);
  assert.equal(c.tap.frames.length, 1);
  assert.equal(b.tap.frames.length, 1);
  network.capture(c, arp(MAC_C));
  network.run(5);
  assert.equal(a.tap.frames.length, 1);
  network.capture(a, udp(1200, true, MAC_A, MAC_C));
  network.run(5);
  assert.deepEqual(c.tap.frames[1], udp(1200, true, MAC_A, MAC_C));
  assert.equal(b.tap.frames.length, 2, 'a relayed unicast is not injected');
  network.capture(a, udp(1400, true, MAC_A, MAC_C));
  network.run(5);
  const icmp = a.tap.frames[1] as Uint8Array;
  assert.equal(icmp[34], 3);
  assert.equal(icmp[35], 4);
  assert.equal(((icmp[40] as number) << 8) | (icmp[41] as number), 1238);
  assert.equal(network.drops(b)['too-big-answered'], 1);
});

test('a broadcast arrives exactly once everywhere, also over detours', () => {
  const shapes: [number, number][][] = [
    [
      [0, 1],
      [0, 2],
      [0, 3],
      [0, 4],
      [1, 2],
      [1, 3],
      [1, 4],
      [2, 3],
      [2, 4],
      [3, 4],
    ],
    [
      [0, 1],
      [1, 2],
      [2, 3],
      [3, 4],
      [4, 0],
    ],
    [
      [0, 1],
      [1, 2],
      [2, 3],
      [3, 4],
    ],
  ];
  for (const shape of shapes) {
    const network = new Network();
    const nodes = [1, 2, 3, 4, 5].map((i) => network.addNode(0x8200_0000_0000 + i));
    const links = shape.map(([x, y]) => [nodes[x], nodes[y]] as [Node, Node]);
    setRoutes(network, links);
    for (const [x, y] of links) network.connect(x, y, null);
    network.run(400);
    for (const source of nodes) {
      for (const node of nodes) node.tap.frames.length = 0;
      network.capture(source, arp(0x0200_0000_0100 + source.name - nodes[0]!.name));
      network.run(20);
      for (const node of nodes) assert.equal(node.tap.frames.length, node === source ? 0 : 1);
    }
  }
});

test('frames are never sent back to where they came from', () => {
  const here = pair('none');
  const { network, a, b } = here;
  greet(here);
  // Routers that disagree: b believes a leads to c.
  const peers = new Set([a.name, b.name, NAME_C]) as never;
  b.plane.setForwarding({
    peers,
    unicast: new Map([[NAME_C, NAME_A]]) as never,
    broadcast: new Map([[NAME_A, [NAME_A]]]) as never,
  });
  const a2 = {
    peers,
    unicast: new Map([[NAME_C, NAME_B]]),
    broadcast: new Map([[NAME_A, [NAME_B]]]),
  };
  a.plane.setForwarding(a2 as never);
  network.capture(a, arp(MAC_C));
  network.run(5);
  assert.equal(network.drops(b)['returns-to-sender'], 1);
  assert.equal(a.tap.frames.length, 0);
});

test('the inbound end sends only once it knows the address, and follows a moving one', () => {
  const network = new Network();
  const a = network.addNode(NAME_A);
  const b = network.addNode(NAME_B);
  setRoutes(network, [[a, b]]);
  network.underlay.loss = 1;
  network.connect(a, b, KEY);
  network.run(10);
  network.capture(b, arp(MAC_B));
  assert.equal(network.drops(b)['no-address'], 1);
  network.underlay.loss = 0;
  network.underlay.translate = (ip, port) => (ip === a.ip ? { ip, port: 40_000 } : { ip, port });
  network.run(1000);
  assert.equal(b.datagrams.sent.at(-1)?.destPort, 40_000);
  assert.equal(b.datagrams.sent.at(-1)?.sourceIp, b.ip);
  network.underlay.translate = (ip, port) => (ip === a.ip ? { ip, port: 50_000 } : { ip, port });
  network.run(11_000);
  assert.equal(b.datagrams.sent.at(-1)?.destPort, 50_000);
});

test('what strangers send is counted and harmless', () => {
  for (const cipher of ALL_CIPHERS) {
    const here = pair(cipher);
    const { network, a, b } = here;
    greet(here);
    network.capture(a, udp(100, true));
    const genuine = a.datagrams.sent.at(-1)?.bytes as Uint8Array;
    network.run(5);
    assert.equal(b.tap.frames.length, 1);
    network.inject(b, genuine, cipher === 'none' ? 0x0a00_0001 : a.ip);
    assert.equal(b.tap.frames.length, 1, 'replayed or spoofed');
    network.inject(b, genuine.slice(0, 5), a.ip);
    network.inject(b, new Uint8Array(40), a.ip);
    const forged = genuine.slice();
    // A number not used yet: AES-256-GCM checks that first.
    forged[13] = (forged[13] as number) ^ 1;
    if (cipher !== 'none') network.inject(b, forged, a.ip);
    network.inject(b, genuine.slice(0, cipher === 'none' ? 19 : 29), a.ip);
    const drops = network.drops(b);
    if (cipher === 'none') assert.deepEqual(drops, expectedPlain);
    else assert.deepEqual(drops, expectedSealed);
    network.capture(a, udp(101, true));
    network.run(5);
    assert.deepEqual(b.tap.frames.at(-1), udp(101, true));
  }
});
/** The refused probe that makes the system tell its MTU is counted as well. */
const expectedPlain = {
  'send-too-big': 1,
  'unknown-sender': 1,
  'datagram-too-short': 1,
  'trailing-bytes': 1,
  'foreign-source': 1,
};
const expectedSealed = {
  'send-too-big': 1,
  'unknown-sender': 1,
  'datagram-too-short': 2,
  forged: 1,
  replayed: 1,
};

test('a flood of path tests is answered sparingly', () => {
  const { network, a, b } = pair('none');
  const before = b.plane.status(network.nowMs).drops['test-flood'];
  const heartbeat = a.datagrams.sent[0]?.bytes as Uint8Array;
  const probe = new Uint8Array(6 + 14 + 100);
  probe.set(heartbeat.subarray(0, 18));
  probe[19] = 100;
  for (let i = 0; i < 500; i++) network.inject(b, probe, a.ip);
  assert.equal(before, 0);
  assert.ok((network.drops(b)['test-flood'] as number) >= 400);
});

test('errors of sending other than size do not end the connection', () => {
  const { network, a, b, aId } = pair('nacl');
  const send = a.datagrams.onFlush;
  a.datagrams.onFlush = ({ connId }) => ({ connId, errno: 111, pathMtuBytes: 0 });
  network.capture(a, arp(MAC_A));
  assert.equal(network.drops(a)['send-refused'], 1);
  a.datagrams.onFlush = send;
  network.capture(a, arp(MAC_A));
  network.run(5);
  assert.equal(b.tap.frames.length, 1);
  assert.equal(a.failed.has(aId), false);
});

test('stopping wipes the key, forgets waiting frames and ignores the peer', () => {
  const { network, a, b, aId, bId } = pair('nacl');
  const frame = arp(MAC_A);
  a.plane.handleFrame(frame, 0, frame.length, network.nowMs);
  const count = a.datagrams.sent.length;
  a.plane.stop(aId);
  a.plane.stop(aId);
  a.plane.flush(network.nowMs);
  assert.equal(a.datagrams.sent.length, count);
  assert.deepEqual([...KEY], new Array(32).fill(7), 'the caller keeps its own');
  network.capture(b, arp(MAC_B));
  network.run(5);
  assert.equal(a.tap.frames.length, 0);
  assert.equal(network.drops(a)['unknown-sender'], 1);
  assert.equal(network.capture(a, frame)[0] !== 0, true);
  b.plane.stop(bId);
  b.plane.forgetPeer(a.name);
  assert.deepEqual(b.plane.status(network.nowMs).traffic, []);
});

test('a newer connection to the same peer takes over', () => {
  const { network, a, b, aId, bId } = pair('none');
  const [a2, b2] = network.connect(a, b, KEY);
  network.run(400);
  a.plane.stop(aId);
  b.plane.stop(bId);
  assert.ok(a.established.has(a2) && b.established.has(b2));
  network.capture(a, arp(MAC_A));
  network.run(5);
  assert.equal(b.tap.frames.length, 1);
});

test('addresses that are not IPv4 fail by event, odd calls are ignored', () => {
  const network = new Network();
  const a = network.addNode(NAME_A);
  a.plane.prepare({
    connId: 9,
    localPeer: a.name,
    remotePeer: NAME_B as never,
    connectionUid: 1n,
    outbound: true,
    localIp: 'fe80::1',
    remoteIp: 'fe80::2',
    remotePort: PORT,
    cipher: 'none',
    sessionKey: null,
  });
  const event = a.plane.pollEvent();
  assert.equal(event?.type === 'failed' && event.code, 'address-unsupported');
  a.plane.confirm(9, 0);
  a.plane.handleControl(77, 1, new Uint8Array(0), 0);
  a.plane.stop(77);
  assert.equal(a.plane.pollEvent(), null);
  assert.equal(a.plane.nextTimeout(), null);
});

test('a TAP that refuses is counted', () => {
  const here = pair('none');
  here.b.tap.refuses = true;
  here.network.capture(here.a, arp(MAC_A));
  here.network.run(5);
  assert.equal(here.network.drops(here.b)['tap-refused'], 1);
});
