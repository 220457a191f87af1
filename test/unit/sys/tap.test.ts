/**
 * A TAP device as port of a bridge, with a workload behind the bridge:
 *
 *   host netns:  tap ── br0 ── v0 ═══ v1  :workload netns
 */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { type TestContext, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { SysError } from '../../../core/errors.js';
import { Errno } from '../../../sys/libc.js';
import { Memory } from '../../../sys/memory.js';
import { withNetns } from '../../../sys/netns.js';
import { PollSet } from '../../../sys/poll.js';
import { Tap } from '../../../sys/tap.js';
import { requireNetns, requireTun } from '../../support/requirements.js';
import { addNetns, cable, type TestNetns } from './netns-lab.js';

function openIn(netns: TestNetns, name: string, persist?: boolean): Tap {
  const options = persist === undefined ? { name } : { name, persist };
  return withNetns(netns.path, () => Tap.open(options));
}

const isArp = (frame: Memory): boolean => frame.view.getUint16(12) === 0x0806;
/** The workload's multicast reports are IPv4 too. */
const isEcho = (frame: Memory): boolean =>
  frame.view.getUint16(12) === 0x0800 && frame.bytes[23] === 1;

/** The first frame that fits, or null; waits for frames one second at most each. */
function readFrame(tap: Tap, memory: Memory, fits: (frame: Memory) => boolean): number | null {
  const poll = new PollSet([tap.fd]);
  while (poll.wait(1000) > 0) {
    const bytes = tap.read(memory.address, memory.bytes.length);
    if (bytes >= 14 && fits(memory)) return bytes;
  }
  return null;
}

test('frames pass both ways between a TAP device and a workload behind a bridge', async (t) => {
  if (!requireTun(t) || !requireNetns(t)) return;
  const host = addNetns(t, 'host');
  const workload = addNetns(t, 'wl');
  cable(host, 'v0', null, workload, 'v1', '10.9.0.2/24');
  const tap = openIn(host, 'wtap');
  t.after(() => tap.close());
  assert.equal(tap.name, 'wtap');
  host.ip('link', 'add', 'br0', 'type', 'bridge');
  for (const port of ['wtap', 'v0']) host.ip('link', 'set', port, 'master', 'br0', 'up');
  host.ip('link', 'set', 'br0', 'up');

  const memory = new Memory(2048);
  assert.equal(await pingLost(t, workload, '10.9.0.1', tap, memory), false);
});

/** Answers the workload's ARP question and echo request through the TAP device. */
async function pingLost(
  t: TestContext,
  workload: TestNetns,
  target: string,
  tap: Tap,
  memory: Memory,
): Promise<boolean> {
  const ping = spawn('ip', ['netns', 'exec', workload.name, 'ping', '-c1', '-W5', target]);
  t.after(() => ping.kill());
  const exit = new Promise<number | null>((resolve) => ping.once('exit', resolve));
  await delay(50);
  const view = memory.view;
  const bytes = memory.bytes;
  const arp = readFrame(tap, memory, isArp);
  assert.ok(arp !== null && arp >= 42, 'an ARP question arrived');
  assert.equal(view.getUint16(20), 1);
  // Turn the question into the answer: swap the parties, our address 02:00:00:00:00:01.
  const mac = Uint8Array.of(2, 0, 0, 0, 0, 1);
  bytes.copyWithin(0, 6, 12);
  bytes.set(mac, 6);
  view.setUint16(20, 2);
  const asked = bytes.slice(38, 42);
  bytes.copyWithin(32, 22, 32);
  bytes.set(mac, 22);
  bytes.set(asked, 28);
  assert.equal(tap.write(memory.address, arp), arp);
  const echo = readFrame(tap, memory, isEcho);
  assert.ok(echo !== null, 'an echo request arrived');
  bytes.copyWithin(0, 6, 12);
  bytes.set(mac, 6);
  const source = bytes.slice(26, 30);
  bytes.copyWithin(26, 30, 34);
  bytes.set(source, 30);
  assert.equal(bytes[34], 8);
  bytes[34] = 0;
  // The type fell by 8 in the high byte of a word, so the checksum rises by as much.
  const sum = view.getUint16(36) + 0x0800;
  view.setUint16(36, (sum & 0xffff) + (sum >> 16));
  assert.equal(tap.write(memory.address, echo), echo);
  return (await exit) !== 0;
}

test('an empty device says EAGAIN, one that is down EIO, a deleted one EBADFD', (t) => {
  if (!requireTun(t) || !requireNetns(t)) return;
  const host = addNetns(t, 'host');
  const tap = openIn(host, 'wtap');
  t.after(() => tap.close());
  const memory = new Memory(2048);
  assert.equal(tap.read(memory.address, 2048), -Errno.EAGAIN);
  assert.equal(tap.write(memory.address, 60), -Errno.EIO);
  host.ip('link', 'set', 'wtap', 'up');
  assert.equal(tap.write(memory.address, 60), 60);
  assert.equal(tap.write(memory.address, 13), -Errno.EINVAL);
  host.ip('link', 'del', 'wtap');
  assert.equal(tap.read(memory.address, 2048), -Errno.EBADFD);
  assert.equal(tap.write(memory.address, 60), -Errno.EBADFD);
});

test('a persistent device is adopted, one in use and one of another kind are refused', (t) => {
  if (!requireTun(t) || !requireNetns(t)) return;
  const host = addNetns(t, 'host');
  const first = openIn(host, 'wtap', true);
  assert.throws(
    () => openIn(host, 'wtap'),
    (error) => error instanceof SysError && /in use by another process/.test(error.message),
  );
  first.close();
  assert.match(host.ip('link', 'show', 'wtap'), /wtap/);
  const second = openIn(host, 'wtap', false);
  second.close();
  assert.throws(() => host.ip('link', 'show', 'wtap'));
  host.ip('link', 'add', 'other', 'type', 'bridge');
  assert.throws(() => openIn(host, 'other'), /not a TAP device/);
  assert.throws(() => Tap.open({ name: 'sixteen-bytes-xx' }), /invalid TAP name/);
  assert.equal(existsSync('/sys/class/net/wtap'), false, 'nothing appeared in our own namespace');
});
