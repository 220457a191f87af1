/** Segment sizes in SYNs: by hand, by property, and through a pair of data planes. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { checksumAdd, checksumFinish } from '../../../../fastdp/checksum.js';
import { FrameInfo, parseFrame } from '../../../../fastdp/frame.js';
import { OpenChecksum } from '../../../../fastdp/open-checksum.js';
import { clampMss } from '../../../../fastdp/outbound/clamp-mss.js';
import { pair } from '../pair.js';

const SYN = 0x02;
const ACK = 0x10;
const OPEN = new OpenChecksum();

interface Segment {
  readonly isIpv6?: boolean;
  readonly tags?: number;
  readonly flags?: number;
  /** Whole TCP options, a multiple of four bytes. */
  readonly options: readonly number[];
  readonly payload?: number;
  /** Of IPv4, in 8-byte units. */
  readonly fragmentOffset?: number;
  readonly ipOptionBytes?: number;
}

interface Made {
  readonly frame: Uint8Array;
  readonly tcp: number;
  readonly ip: number;
}

function make(segment: Segment): Made {
  const { isIpv6 = false, tags = 0, flags = SYN, options, payload = 0 } = segment;
  const { fragmentOffset = 0, ipOptionBytes = 0 } = segment;
  const ip = 14 + tags * 4;
  const ipBytes = isIpv6 ? 40 : 20 + ipOptionBytes;
  const tcp = ip + ipBytes;
  const tcpBytes = 20 + options.length + payload;
  const frame = new Uint8Array(tcp + tcpBytes);
  const view = new DataView(frame.buffer);
  frame.set([2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2]);
  for (let i = 0; i < tags; i++) view.setUint32(12 + i * 4, 0x8100_0005 + i);
  view.setUint16(ip - 2, isIpv6 ? 0x86dd : 0x0800);
  if (isIpv6) {
    view.setUint32(ip, 0x6000_0000);
    view.setUint16(ip + 4, tcpBytes);
    frame[ip + 6] = 6;
    for (let i = 8; i < 40; i++) frame[ip + i] = i * 5;
  } else {
    frame[ip] = 0x45 + ipOptionBytes / 4;
    view.setUint16(ip + 2, ipBytes + tcpBytes);
    view.setUint16(ip + 6, fragmentOffset);
    frame[ip + 9] = 6;
    for (let i = 12; i < 20; i++) frame[ip + i] = i * 5;
    frame.fill(1, ip + 20, tcp);
  }
  view.setUint16(tcp, 4000);
  view.setUint16(tcp + 2, 80);
  view.setUint32(tcp + 4, 0x1234_5678);
  frame[tcp + 12] = ((20 + options.length) / 4) << 4;
  frame[tcp + 13] = flags;
  frame.set(options, tcp + 20);
  for (let i = 0; i < payload; i++) frame[tcp + 20 + options.length + i] = i * 3;
  view.setUint16(tcp + 16, tcpChecksum({ frame, tcp, ip }, isIpv6));
  return { frame, tcp, ip };
}

/** Over the segment with its checksum field as it is: 0 if that is right. */
function tcpChecksum({ frame, tcp, ip }: Made, isIpv6: boolean): number {
  const bytes = frame.length - tcp;
  const addresses = isIpv6 ? checksumAdd(0, frame, ip + 8, 32) : checksumAdd(0, frame, ip + 12, 8);
  return checksumFinish(checksumAdd(addresses + 6 + bytes, frame, tcp, bytes));
}

function clamp({ frame }: Made, mtu: number, state: OpenChecksum | null = null): boolean {
  // At an offset, as in a receive buffer.
  const buffer = new Uint8Array(frame.length + 9);
  buffer.set(frame, 5);
  const info = parseFrame(new FrameInfo(), buffer, 5, frame.length);
  const result = clampMss(info, buffer, 5, frame.length, mtu, state);
  frame.set(buffer.subarray(5, 5 + frame.length));
  assert.ok(buffer.subarray(0, 5).every((byte) => byte === 0));
  assert.ok(buffer.subarray(5 + frame.length).every((byte) => byte === 0));
  return result;
}

const mssOption = (mss: number): number[] => [2, 4, mss >> 8, mss & 0xff];

test('the option falls to what the path carries, per address family and tags', () => {
  const cases: [Segment, number, number][] = [
    [{ options: mssOption(8960) }, 1376, 1336],
    [{ options: mssOption(8960), flags: SYN | ACK }, 1376, 1336],
    [{ options: mssOption(8960), tags: 1 }, 1376, 1332],
    [{ options: mssOption(8960), tags: 2, isIpv6: true }, 1412, 1344],
    [{ options: mssOption(8940), isIpv6: true }, 1376, 1316],
    // No path of ours is narrower for IPv6 than this.
    [{ options: mssOption(8940), isIpv6: true }, 900, 1220],
    [{ options: mssOption(1460), ipOptionBytes: 8 }, 1376, 1336],
    [{ options: mssOption(1460), payload: 700 }, 1376, 1336],
  ];
  for (const [segment, mtu, expected] of cases) {
    const made = make(segment);
    assert.equal(clamp(made, mtu), true);
    assert.equal(
      (made.frame[made.tcp + 22] as number) * 256 + (made.frame[made.tcp + 23] as number),
      expected,
    );
    assert.equal(tcpChecksum(made, segment.isIpv6 === true), 0);
  }
});

test('everything else is left alone', () => {
  const left: [string, Segment, number][] = [
    ['small enough', { options: mssOption(1336) }, 1376],
    ['no SYN', { options: mssOption(8960), flags: ACK }, 1376],
    ['a later fragment', { options: mssOption(8960), fragmentOffset: 185 }, 1376],
    ['no option', { options: [1, 1, 1, 0] }, 1376],
    ['behind the end of options', { options: [0, 2, 4, 35, 0, 0, 0, 0] }, 1376],
    ['an option of another size', { options: [2, 3, 35, 1] }, 1376],
    ['an option that exceeds the header', { options: [1, 1, 2, 4] }, 1376],
    ['an option without size', { options: [1, 1, 1, 3] }, 1376],
    ['an option of size zero', { options: [3, 0, 2, 4, 35, 0, 0, 0] }, 1376],
    ['a path too narrow to be true', { options: mssOption(8960) }, 100],
  ];
  for (const [what, segment, mtu] of left) {
    const made = make(segment);
    const before = made.frame.slice();
    assert.equal(clamp(made, mtu), false, what);
    assert.deepEqual(made.frame, before, what);
  }
  const udp = make({ options: mssOption(8960) });
  udp.frame[udp.ip + 9] = 17;
  assert.equal(clamp(udp, 1376), false);
  const arp = make({ options: mssOption(8960) });
  arp.frame[13] = 6;
  assert.equal(clamp(arp, 1376), false);
});

test('an open checksum covers no option and stays as it is', () => {
  for (const isIpv6 of [false, true]) {
    const made = make({ options: mssOption(8960), isIpv6 });
    const { frame, tcp, ip } = made;
    const pseudo = isIpv6 ? checksumAdd(0, frame, ip + 8, 32) : checksumAdd(0, frame, ip + 12, 8);
    const open = ~checksumFinish(pseudo + 6 + frame.length - tcp) & 0xffff;
    frame.set([open >> 8, open & 0xff], tcp + 16);
    assert.equal(clamp(made, 1376, OPEN), true);
    assert.equal((frame[tcp + 16] as number) * 256 + (frame[tcp + 17] as number), open);
    OPEN.complete(frame, 0, frame.length);
    assert.equal(tcpChecksum(made, isIpv6), 0);
    // A complete one is changed with the option even where an open one would be possible.
    const complete = make({ options: mssOption(8960), isIpv6 });
    assert.equal(clamp(complete, 1376, OPEN), true);
    assert.equal(tcpChecksum(complete, isIpv6), 0);
  }
});

test('the checksum stays right for options at any place, odd ones too', () => {
  const segment = fc.record({
    isIpv6: fc.boolean(),
    tags: fc.nat(2),
    before: fc.nat(12),
    mss: fc.nat(0xffff),
    payload: fc.nat(40),
    mtu: fc.integer({ min: 576, max: 9000 }),
  });
  fc.assert(
    fc.property(segment, ({ isIpv6, tags, before, mss, payload, mtu }) => {
      const options = [...Array<number>(before).fill(1), ...mssOption(mss)];
      while (options.length % 4 !== 0) options.push(0);
      const made = make({ isIpv6, tags, options, payload });
      const limit = isIpv6 ? Math.max(mtu - tags * 4, 1280) - 60 : mtu - tags * 4 - 40;
      assert.equal(clamp(made, mtu), mss > limit);
      assert.equal(tcpChecksum(made, isIpv6), 0);
      assert.equal(clamp(made, mtu), false, 'once is enough');
    }),
    { numRuns: 500 },
  );
});

test('any bytes are borne, and nothing but option and checksum changes', () => {
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 14, maxLength: 120 }), fc.boolean(), (bytes, isIpv6) => {
      bytes[12] = isIpv6 ? 0x86 : 8;
      bytes[13] = isIpv6 ? 0xdd : 0;
      if (bytes.length > 24) {
        bytes[14] = isIpv6 ? 0x60 : 0x45;
        bytes[isIpv6 ? 20 : 23] = 6;
      }
      const before = bytes.slice();
      clamp({ frame: bytes, tcp: 0, ip: 0 }, 1376);
      const changed = bytes.filter((byte, at) => byte !== before[at]).length;
      assert.ok(changed <= 4);
    }),
    { numRuns: 2000 },
  );
});

test('a router lowers the option of connections over its paths, whatever the cipher', () => {
  for (const [cipher, mtu] of [
    ['none', 1438],
    ['nacl', 1414],
    ['aes-256-gcm', 1412],
  ] as const) {
    const { network, a, b } = pair(cipher);
    const made = make({ options: mssOption(8960) });
    network.capture(a, made.frame);
    network.run(5);
    const arrived = b.tap.frames[0] as Uint8Array;
    assert.equal((arrived[56] as number) * 256 + (arrived[57] as number), mtu - 40, cipher);
    assert.equal(tcpChecksum({ ...made, frame: arrived }, false), 0);
    assert.equal(a.plane.status(network.nowMs).mssClamped, 1);
    assert.equal(b.plane.status(network.nowMs).mssClamped, 0);
  }
});
