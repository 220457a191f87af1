/**
 * A TAP device with several queues:
 *
 *   UDP flows to 10.9.0.2 ──▶ tap ══ queue 1, queue 2, a writing end for each
 */
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { parseIpv4 } from '../../../core/ip.js';
import { Memory } from '../../../sys/memory.js';
import { withNetns } from '../../../sys/netns.js';
import { Tap, type TapOptions } from '../../../sys/tap.js';
import { UdpPair } from '../../../sys/udp.js';
import { ReceiveBatch } from '../../../sys/udp-receive-batch.js';
import { SendBatch } from '../../../sys/udp-send-batch.js';
import { requireNetns, requireTun } from '../../support/requirements.js';
import { addNetns, type TestNetns } from './netns-lab.js';

const FLOWS = 16;
const PORT = 5000;

function open(t: TestContext, netns: TestNetns, options: Partial<TapOptions>): Tap {
  const tap = withNetns(netns.path, () => Tap.open({ name: 'wtap', ...options }));
  t.after(() => tap.close());
  return tap;
}

/** @returns source ports of the UDP frames that wait. */
function portsOf(tap: Tap): number[] {
  const memory = new Memory(4096);
  const ports: number[] = [];
  while (true) {
    const bytes = tap.read(memory.address, memory.bytes.length);
    if (bytes < 0) return ports.sort();
    const isUdp = memory.view.getUint16(12) === 0x0800 && memory.bytes[23] === 17;
    if (isUdp && memory.view.getUint16(36) === PORT) ports.push(memory.view.getUint16(34));
  }
}

/** The answer to a flow, as a peer's workload would send it. */
function answerTo(port: number, mac: string): Memory {
  const frame = new Memory(14 + 28 + 1);
  frame.bytes.set(Buffer.from(mac.replaceAll(':', ''), 'hex'));
  frame.bytes.set([2, 0, 0, 0, 0, 9, 8, 0, 0x45, 0, 0, 29, 0, 1, 0, 0, 64, 17], 6);
  frame.bytes.set([0x66, 0xbb], 24);
  frame.bytes.set([10, 9, 0, 2, 10, 9, 0, 1], 26);
  frame.view.setUint16(34, PORT);
  frame.view.setUint16(36, port);
  frame.view.setUint16(38, 9);
  return frame;
}

test('a flow stays on its queue, also when its answers are written by another thread', (t) => {
  if (!requireTun(t) || !requireNetns(t)) return;
  const host = addNetns(t, 'host');
  const queues = [
    open(t, host, { multiQueue: true }),
    open(t, host, { multiQueue: true, shared: true }),
  ];
  assert.ok(queues.every((queue) => queue.multiQueue && queue.writeFd !== queue.fd));
  host.ip('addr', 'add', '10.9.0.1/24', 'dev', 'wtap');
  host.ip('link', 'set', 'wtap', 'up');
  host.ip('neigh', 'add', '10.9.0.2', 'lladdr', '02:00:00:00:00:09', 'dev', 'wtap');
  const flows = Array.from({ length: FLOWS }, () =>
    withNetns(host.path, () => UdpPair.open({ port: 0, address: parseIpv4('10.9.0.1') })),
  );
  t.after(() => {
    for (const flow of flows) flow.close();
  });
  const send = (): number[][] => {
    for (const { plainFd } of flows) sendOne(plainFd);
    return queues.map(portsOf);
  };
  const before = send();
  assert.ok(
    before.every((ports) => ports.length > 0),
    'flows are spread',
  );
  assert.equal(before.flat().length, FLOWS);
  const mac = macOf(host);
  for (const queue of queues) {
    for (const port of before.flat()) {
      const frame = answerTo(port, mac);
      assert.equal(queue.write(frame.address, frame.bytes.length), frame.bytes.length);
    }
    assert.deepEqual(send(), before);
  }
  for (const flow of flows) assert.equal(receivedBy(flow), queues.length, 'answers arrive');
});

function sendOne(fd: number): void {
  const payload = new Memory(1);
  const batch = new SendBatch(fd, 1);
  batch.add(payload.address, 1, 1, parseIpv4('10.9.0.2') | 0, PORT, 0, 0);
  batch.flush(() => assert.fail('a send failed'));
}

function receivedBy(flow: UdpPair): number {
  let count = 0;
  new ReceiveBatch(flow.plainFd, 8).receive(() => (count += 1));
  return count;
}

function macOf(host: TestNetns): string {
  return host.ip('link', 'show', 'wtap').split('link/ether ')[1]?.slice(0, 17) as string;
}

test('a device with one queue is opened as it is, and so is one with several', (t) => {
  if (!requireTun(t) || !requireNetns(t)) return;
  const host = addNetns(t, 'host');
  host.ip('tuntap', 'add', 'wtap', 'mode', 'tap');
  const single = open(t, host, { multiQueue: true });
  assert.equal(single.multiQueue, false);
  assert.equal(single.writeFd, single.fd);
  single.close();
  host.ip('link', 'del', 'wtap');
  host.ip('tuntap', 'add', 'wtap', 'mode', 'tap', 'multi_queue');
  assert.equal(open(t, host, {}).multiQueue, true);
});

test('the device of another router is not shared by accident', (t) => {
  if (!requireTun(t) || !requireNetns(t)) return;
  const host = addNetns(t, 'host');
  open(t, host, { multiQueue: true });
  for (const multiQueue of [false, true]) {
    assert.throws(() => open(t, host, { multiQueue }), {
      code: 'EBUSY',
      message: /in use by another/,
    });
  }
});
