/** The verdicts over made-up exchanges, then the test itself over the kernel. */
import assert from 'node:assert/strict';
import { readdirSync, readlinkSync } from 'node:fs';
import { test } from 'node:test';
import { OFFLOAD_NAMES, type OffloadName, Offloads } from '../../../../fastdp/io/offloads.js';
import { selfTest } from '../../../../fastdp/io/self-test.js';
import {
  type Bytes,
  compare,
  judgeTap,
  judgeUdp,
  makeSegments,
  makeUdpFrame,
} from '../../../../fastdp/io/self-test-verdict.js';
import { OpenChecksum } from '../../../../fastdp/open-checksum.js';
import { requireNetns, requireTun } from '../../../support/requirements.js';

const copies = (sent: readonly Bytes[]): Bytes[] => sent.map((bytes) => bytes.slice());
const swapped = (sent: readonly Bytes[]): Bytes[] => [...copies(sent)].reverse();
const shortened = (sent: readonly Bytes[]): Bytes[] => copies(sent).slice(1);
const flipped = (sent: readonly Bytes[]): Bytes[] => {
  const out = copies(sent);
  const last = out.at(-1) as Bytes;
  last[last.length - 1] = (last[last.length - 1] as number) ^ 1;
  return out;
};
/** A kernel without fault. */
const completed = (sent: readonly Bytes[]): Bytes[] => {
  const open = new OpenChecksum();
  return copies(sent).map((frame) => {
    open.complete(frame, 0, frame.length);
    return frame;
  });
};
const isSingle = (sent: readonly Bytes[]): boolean => sent.length === 1;

function off(offloads: Offloads): OffloadName[] {
  return OFFLOAD_NAMES.filter((name) => !offloads.enabled(name));
}

test('sockets that change nothing pass; each fault takes away what it belongs to', () => {
  const good = { cut: copies, joined: copies };
  const cases: [Parameters<typeof judgeUdp>[1], OffloadName[]][] = [
    [good, []],
    [{ ...good, cut: flipped }, ['udp-segment']],
    [{ ...good, cut: () => [] }, ['udp-segment']],
    [{ ...good, joined: shortened }, ['udp-gro']],
    [{ ...good, joined: swapped }, ['udp-gro']],
    [{ cut: swapped, joined: flipped }, ['udp-segment', 'udp-gro']],
  ];
  for (const [exchanges, expected] of cases) {
    const offloads = new Offloads();
    judgeUdp(offloads, exchanges);
    assert.deepEqual(off(offloads), expected);
    assert.ok(offloads.status().every(({ failed, enabled }) => failed === !enabled));
  }
  const offloads = new Offloads({ noGso: true });
  const asked: boolean[] = [];
  const joined = (sent: readonly Bytes[], grouped: boolean): Bytes[] => {
    asked.push(grouped);
    return copies(sent);
  };
  judgeUdp(offloads, { cut: () => assert.fail('it is switched off'), joined });
  assert.deepEqual(asked, [false]);
});

test('devices that change nothing pass; each fault takes away what it belongs to', () => {
  const good = { toPlain: completed, toCutting: completed };
  const all: OffloadName[] = ['tap-checksum', 'tap-segmentation', 'tap-join'];
  const cases: [Parameters<typeof judgeTap>[1], OffloadName[]][] = [
    [good, []],
    [{ ...good, toPlain: copies }, all],
    [
      { ...good, toPlain: (sent) => (isSingle(sent) ? completed(sent) : flipped(sent)) },
      ['tap-join'],
    ],
    [{ ...good, toCutting: shortened }, ['tap-segmentation']],
    [
      { ...good, toCutting: (sent) => (sent[0]?.[12] === 0x86 ? flipped(sent) : copies(sent)) },
      ['tap-segmentation'],
    ],
  ];
  for (const [exchanges, expected] of cases) {
    const offloads = new Offloads();
    judgeTap(offloads, exchanges);
    assert.deepEqual(off(offloads), expected);
  }
  const plain = new Offloads({ noVnetHdr: true });
  const never = (): Bytes[] => assert.fail('it is switched off');
  judgeTap(plain, { toPlain: never, toCutting: never });
});

test('the reason names what is wrong', () => {
  const sent = makeSegments(false);
  assert.equal(compare(sent, copies(sent)), null);
  assert.equal(compare(sent, sent.slice(1)), '19 of 20 arrived');
  assert.match(String(compare(sent, flipped(sent))), /^number 19 arrived changed at byte \d+$/);
  assert.match(String(compare(sent, swapped(sent))), /^number 0 arrived with 387 of 1255 bytes$/);
  const offloads = new Offloads();
  judgeTap(offloads, { toPlain: copies, toCutting: copies });
  const [checksum] = offloads.status().filter(({ name }) => name === 'tap-checksum');
  assert.match(checksum?.reason ?? '', /^at start over IPv4, number 0 arrived changed at byte 4/);
  const open = new OpenChecksum();
  for (const isIpv6 of [false, true]) {
    const frame = makeUdpFrame(isIpv6, true);
    open.complete(frame, 0, frame.length);
    assert.deepEqual(frame, makeUdpFrame(isIpv6));
  }
});

test('the kernel of this machine passes, fast, and nothing is left behind', (t) => {
  if (!requireTun(t) || !requireNetns(t)) return;
  const here = readlinkSync('/proc/thread-self/ns/net');
  const before = readdirSync('/proc/self/fd').length;
  const offloads = new Offloads();
  const startedMs = performance.now();
  const end = selfTest(offloads);
  t.diagnostic(`took ${(performance.now() - startedMs).toFixed(0)} ms`);
  for (const { name, enabled, reason } of offloads.status()) {
    assert.equal(enabled, true, `${name}: ${reason}`);
    if (name !== 'io-uring') assert.equal(reason, 'passed the test at start', name);
  }
  end();
  assert.equal(readdirSync('/proc/self/fd').length, before);
  assert.equal(readlinkSync('/proc/thread-self/ns/net'), here);
});
