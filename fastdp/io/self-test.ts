/**
 * Looks at start whether the kernel does what it is asked to do for many frames at once: sends
 * checksummed, segmented and joined ones through sockets and devices like the data plane's own,
 * in a network namespace made for it, and compares what arrives. Nothing is left behind.
 *
 *   sender pair ── loopback ── receiver pair        writer ─ bridge ┬ plain device
 *                                                                   └ device with offloads
 *
 * The network card is not in it: a card that fails to cut datagrams is noticed by the sending
 * itself (see sys/udp-send-batch.ts) or has to be helped by --no-gso.
 */
import { errorCode } from '../../core/errors.js';
import { addBridge, addBridgePort, setLinkUp } from '../../sys/link.js';
import { Memory } from '../../sys/memory.js';
import { withNewNetns } from '../../sys/netns.js';
import { PollSet } from '../../sys/poll.js';
import { UdpPair } from '../../sys/udp.js';
import { ReceiveBatch } from '../../sys/udp-receive-batch.js';
import { SendBatch } from '../../sys/udp-send-batch.js';
import { OpenChecksum } from '../open-checksum.js';
import { Offloads } from './offloads.js';
import { type Bytes, judgeTap, judgeUdp, TEST_MAC } from './self-test-verdict.js';
import { TapDevice } from './tap-device.js';

const LOOPBACK = 0x7f00_0001;
const ARRIVE_MS = 100;
const MAX_FRAMES = 200;
const BRIDGE = 'wtest-br';

/**
 * Confirms or fails every offload that is enabled. Never throws.
 * @returns what removes the test's devices. Each takes the kernel some 20 ms, so that is better
 *   done when nobody waits any more.
 */
export function selfTest(offloads: Offloads): () => void {
  /** BOUNDED by the three of `testTap`. */
  const devices: TapDevice[] = [];
  try {
    withNewNetns(() => {
      guard(() => testUdp(offloads), ['udp-segment', 'udp-gro'], offloads);
      const ofTap = ['tap-checksum', 'tap-segmentation', 'tap-join'] as const;
      guard(() => testTap(offloads, devices), ofTap, offloads);
    });
  } catch (error) {
    // Without the right to make a namespace the offloads are used untested, as most programs do.
    for (const { name } of offloads.status()) offloads.confirm(name, untested(error));
  }
  return () => {
    for (const device of devices) device.close();
  };
}

/** A test that cannot be set up says nothing against the offload. */
function guard(
  test: () => void,
  names: readonly Parameters<Offloads['confirm']>[0][],
  offloads: Offloads,
): void {
  try {
    test();
  } catch (error) {
    for (const name of names) offloads.confirm(name, untested(error));
  }
}

function untested(error: unknown): string {
  return `not tested (${errorCode(error)})`;
}

function testUdp(offloads: Offloads): void {
  setLinkUp('lo');
  judgeUdp(offloads, {
    cut: (sent) => exchangeDatagrams(sent, true, false),
    joined: (sent, grouped) => exchangeDatagrams(sent, grouped, true),
  });
}

function exchangeDatagrams(sent: readonly Bytes[], grouped: boolean, gro: boolean): Bytes[] {
  const from = UdpPair.open({ port: 0, address: LOOPBACK });
  const to = UdpPair.open({ port: 0, address: LOOPBACK, gro });
  try {
    const batch = new SendBatch(from.dfFd, sent.length, grouped);
    const memory = new Memory(sent.reduce((sum, { length }) => sum + length, 0));
    let at = 0;
    for (const bytes of sent) {
      memory.bytes.set(bytes, at);
      batch.add(memory.address + at, bytes.length, bytes.length, LOOPBACK, to.port, 0, 0);
      at += bytes.length;
    }
    batch.flush(() => {});
    // A group that was refused went out singly, so nothing would be missing.
    if (grouped && batch.counters.messages !== 1) return [];
    const arrived: Bytes[] = [];
    const receive = new ReceiveBatch(to.plainFd, sent.length);
    const poll = new PollSet([to.plainFd]);
    while (arrived.length < sent.length && poll.wait(ARRIVE_MS) > 0) {
      receive.receive((buffer, offset, bytes) =>
        arrived.push(buffer.slice(offset, offset + bytes)),
      );
    }
    return arrived;
  } finally {
    from.close();
    to.close();
  }
}

function testTap(offloads: Offloads, devices: TapDevice[]): void {
  if (!offloads.enabled('tap-checksum')) return;
  addBridge(BRIDGE);
  const open = (name: string, deviceOffloads: Offloads): TapDevice => {
    const device = new TapDevice({ name, persist: false, offloads: deviceOffloads }, () => {});
    devices.push(device);
    addBridgePort(BRIDGE, name);
    setLinkUp(name);
    return device;
  };
  const writer = open('wtest-writer', new Offloads());
  const plain = open('wtest-plain', new Offloads({ noVnetHdr: true }));
  const cutting = open('wtest-cutting', new Offloads());
  setLinkUp(BRIDGE);
  // The bridge floods: both readers get everything, also what the other exchange was about.
  const exchange = (sent: readonly Bytes[], reader: TapDevice): Bytes[] => {
    for (const device of [plain, cutting]) readFrames(device);
    writeFrames(writer, sent);
    return readFrames(reader);
  };
  judgeTap(offloads, {
    toPlain: (sent) => exchange(sent, plain),
    toCutting: (sent) => exchange(sent, cutting),
  });
}

/** Frames that may be joined are; checksums that are open stay so. */
function writeFrames(device: TapDevice, sent: readonly Bytes[]): void {
  const buffer = new Uint8Array(sent.reduce((sum, { length }) => sum + length, 0));
  device.setStableBuffer(buffer);
  let at = 0;
  for (const frame of sent) {
    buffer.set(frame, at);
    device.write(buffer, at, frame.length, true);
    at += frame.length;
  }
  device.flush();
}

/** Writing passes a frame on before it returns, so what is to arrive waits already. */
function readFrames(device: TapDevice): Bytes[] {
  const frames: Bytes[] = [];
  const open = new OpenChecksum();
  device.drain(
    MAX_FRAMES,
    (buffer, offset, bytes) => {
      const isOurs = TEST_MAC.every((byte, i) => buffer[offset + 6 + i] === byte);
      if (!isOurs) return true;
      const frame = buffer.slice(offset, offset + bytes);
      open.complete(frame, 0, bytes);
      frames.push(frame);
      return true;
    },
    () => false,
    0,
  );
  return frames;
}
