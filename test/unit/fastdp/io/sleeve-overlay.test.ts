/** The data plane's thread with real devices and sockets; see overlay-lab.ts for the topology. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { type TestContext, test } from 'node:test';
import { silentLogger } from '../../../../core/log.js';
import type { PeerName } from '../../../../core/peer-name.js';
import type { DeviceEvent } from '../../../../fastdp/io/messages.js';
import { SleeveOverlay } from '../../../../fastdp/io/sleeve-overlay.js';
import { KEY_LIMITS } from '../../../../fastdp/key-schedule.js';
import type { DataCipher } from '../../../../mesh/overlay.js';
import { withNetns } from '../../../../sys/netns.js';
import { UdpPair } from '../../../../sys/udp.js';
import { requireNetns, requireTool, requireTun } from '../../../support/requirements.js';
import { addNetns, type TestNetns } from '../../sys/netns-lab.js';
import { ALL_CIPHERS } from '../pair.js';
import { addPair, type LabHost, type PairOptions, putOnBridge, waitFor } from './overlay-lab.js';

const localPeer = 1 as PeerName;
const modules = { log: silentLogger };

function hasAll(t: TestContext): boolean {
  return requireTun(t) && requireNetns(t) && requireTool(t, 'ping');
}

/** Runs a program in a namespace. @returns exit code and what it printed. */
async function run(netns: TestNetns, ...command: string[]): Promise<[number | null, string]> {
  const child = spawn('ip', ['netns', 'exec', netns.name, ...command], { timeout: 40_000 });
  let text = '';
  child.stdout.on('data', (data) => (text += data));
  child.stderr.on('data', (data) => (text += data));
  const [code] = await once(child, 'close');
  return [code, text];
}

/** Sends 30 MB of a known pattern to whoever connects, and prints the hash of what it sends. */
const SENDER = `
const hash = require('node:crypto').createHash('sha256');
require('node:net').createServer((socket) => {
  let left = 30;
  const next = () => {
    if (left === 0) return socket.end(() => { console.log(hash.digest('hex')); process.exit(); });
    const chunk = Buffer.alloc(1e6, String(left--));
    hash.update(chunk);
    socket.write(chunk, next);
  };
  next();
}).listen(7000, () => console.error('listening'));`;
const RECEIVER = `
const hash = require('node:crypto').createHash('sha256');
require('node:net').connect(7000, '10.32.0.1')
  .on('data', (data) => hash.update(data))
  .on('end', () => console.log(hash.digest('hex')));`;

/** A change of keys after some hundred datagrams: dozens in the stream below. */
const HASTE = { ...KEY_LIMITS, datagrams: 500 };
const ONE_EACH = [1, 1] as const;
const ALL_OFF = { noGso: true, noGro: true, noVnetHdr: true, noUring: true } as const;
/** Every cipher with and without everything the kernel offers, and each switch by itself. */
const VARIANTS: readonly (PairOptions & { readonly cipher: DataCipher })[] = [
  ...ALL_CIPHERS.map((cipher) => ({ cipher })),
  ...ALL_CIPHERS.map((cipher) => ({ cipher, offloads: ALL_OFF })),
  ...(['noUring', 'noGso', 'noGro', 'noVnetHdr'] as const).map((key) => ({
    cipher: 'aes-256-gcm' as const,
    offloads: { [key]: true },
  })),
  { cipher: 'aes-256-gcm', keyLimits: HASTE },
  ...ALL_CIPHERS.map((cipher) => ({ cipher, queues: [2, 3] as const })),
  { cipher: 'aes-256-gcm', keyLimits: HASTE, queues: [3, 2] },
];

/** 30 MB from the first host to the second, which must arrive as they were. */
async function transfer(t: TestContext, a: LabHost, b: LabHost): Promise<void> {
  const inside = ['netns', 'exec', a.workload.name, process.execPath, '-e', SENDER];
  const sender = spawn('ip', inside, { timeout: 40_000 });
  t.after(() => sender.kill());
  await once(sender.stderr, 'data');
  const sent = once(sender.stdout, 'data');
  const [, received] = await run(b.workload, process.execPath, '-e', RECEIVER);
  assert.equal(received, String((await sent)[0]));
}

for (const { cipher, keyLimits, offloads = {}, queues = ONE_EACH } of VARIANTS) {
  const haste = keyLimits === HASTE ? ', keys changing all the time' : '';
  const off = Object.keys(offloads).map((key) => `, ${key}`);
  const threads = queues[0] === 1 ? '' : `, ${queues.join(' and ')} threads`;
  const details = `${haste}${off.join('')}${threads}`;
  const name = `ping and a TCP stream between two hosts, cipher ${cipher}${details}`;
  test(name, { timeout: 60_000 }, async (t) => {
    if (!hasAll(t)) return;
    const key = cipher === 'none' ? null : new Uint8Array(32).fill(5);
    const limits = keyLimits === undefined ? {} : { keyLimits };
    const [a, b] = await addPair(t, key, cipher, { ...limits, offloads, queues });
    const [code, text] = await run(a.workload, 'ping', '-c3', '-i0.1', '-W3', '10.32.0.2');
    assert.equal(code, 0, text);
    await transfer(t, a, b);
    const [left, right] = [await a.overlay.status(), await b.overlay.status()];
    for (const status of [left, right]) {
      assert.equal(status.io.loopErrors, 0);
      assert.equal(status.io.tapMalformed, 0);
      for (const reason of ['forged', 'replayed', 'epoch-unknown', 'lane-unknown', 'ring-full']) {
        assert.equal(status.drops[reason], 0, reason);
      }
    }
    const segments = left.traffic[0]?.framesSent as number;
    assert.ok(segments >= 30e6 / 1376);
    // Large frames are read and written whole, and datagrams share messages, unless switched off.
    const { noGso = false, noGro = false, noVnetHdr = false } = offloads;
    assert.equal(left.io.tapReads < segments / 2, !noVnetHdr && !noGso, 'frames split');
    assert.equal(right.io.tapWrites < segments / 2, !noVnetHdr && !noGro, 'frames joined');
    assert.equal(left.io.messagesSent < left.io.datagramsSent / 2, !noGso, 'datagrams grouped');
    assert.ok(a.overlay.loopAgeMs() < 3000);
    assert.ok(left.macs.some((mac) => mac.peer === 2));
  });
}

test('a deleted device is told, made anew, and carries traffic again', {
  timeout: 60_000,
}, async (t) => {
  if (!hasAll(t)) return;
  const [a, b] = await addPair(t, new Uint8Array(32).fill(5), 'aes-256-gcm');
  const seen: DeviceEvent[] = [];
  a.overlay.onDeviceEvent = (event) => {
    seen.push(event);
    if (event.type === 'tap-opened') putOnBridge(a.host, event.name);
  };
  a.host.ip('link', 'del', 'wtap');
  await waitFor(() => seen.some((event) => event.type === 'tap-opened'), 'a new device');
  assert.deepEqual(seen[0], { type: 'tap-lost', code: 'EBADFD' });
  const [code, text] = await run(b.workload, 'ping', '-c2', '-i0.1', '-W3', '10.32.0.1');
  assert.equal(code, 0, text);

  a.host.ip('link', 'set', 'wtap', 'down');
  await run(b.workload, 'ping', '-c1', '-W1', '10.32.0.1');
  await waitFor(() => seen.at(-1)?.type === 'tap-down', 'tap-down');
  a.host.ip('link', 'set', 'wtap', 'up');
  await run(b.workload, 'ping', '-c1', '-W1', '10.32.0.1');
  await waitFor(() => seen.at(-1)?.type === 'tap-up', 'tap-up');
});

test('a start that fails says why and leaves nothing open', async (t) => {
  if (!hasAll(t)) return;
  const netns = addNetns(t, 'h');
  const options = { localPeer, port: 6783, tapName: 'wtap', netnsPath: netns.path };
  const holder = withNetns(netns.path, () => UdpPair.open({ port: 6783 }));
  await assert.rejects(SleeveOverlay.start(options, modules), {
    code: 'udp-port-in-use',
    message: 'UDP 0.0.0.0:6783: address already in use',
  });
  holder.close();
  const nowhere = { ...options, netnsPath: '/run/netns/no-such-name' };
  await assert.rejects(SleeveOverlay.start(nowhere, modules), { code: 'ENOENT' });
  netns.ip('link', 'add', 'other', 'type', 'bridge');
  await assert.rejects(SleeveOverlay.start({ ...options, tapName: 'other' }, modules), {
    code: 'EINVAL',
    message: /not a TAP device/,
  });
  const first = await SleeveOverlay.start(options, modules);
  t.after(() => first.close());
  const second = { ...options, port: 6784 };
  await assert.rejects(SleeveOverlay.start(second, modules), { message: /in use by another/ });
});

test('after close the port is free and every call is harmless', async (t) => {
  if (!hasAll(t)) return;
  const netns = addNetns(t, 'h');
  const options = { localPeer, port: 6783, tapName: 'wtap', netnsPath: netns.path };
  for (let round = 0; round < 2; round++) {
    const overlay = await SleeveOverlay.start(options, modules);
    assert.equal(overlay.tapName, 'wtap');
    assert.equal(overlay.port, 6783);
    assert.match(overlay.cryptoLibrary, /sodium/);
    const statuses = await Promise.all([overlay.status(), overlay.status()]);
    assert.equal(statuses.length, 2);
    await Promise.all([overlay.close(), overlay.close()]);
    await assert.rejects(overlay.status(), { code: 'data-plane-ended' });
    overlay.stop(1);
    overlay.handleControl(1, 1, new Uint8Array(0));
    assert.equal(overlay.loopAgeMs(), Number.POSITIVE_INFINITY);
  }
});

test('nonsense commands and a bad address do not disturb the loop', async (t) => {
  if (!hasAll(t)) return;
  const netns = addNetns(t, 'h');
  const options = { localPeer, port: 6783, tapName: 'wtap', netnsPath: netns.path };
  const overlay = await SleeveOverlay.start(options, modules);
  t.after(() => overlay.close());
  const failed: string[] = [];
  overlay.onEvent = (event) => {
    if (event.type === 'failed') failed.push(event.code);
  };
  overlay.confirm(99);
  overlay.handleControl(99, 200, new Uint8Array(5000));
  overlay.stop(99);
  overlay.forgetPeer(77 as PeerName);
  overlay.prepare({
    connId: 5,
    localPeer,
    remotePeer: 2 as PeerName,
    connectionUid: 1n,
    outbound: true,
    localIp: 'fe80::1',
    remoteIp: 'not an address',
    remotePort: 1,
    cipher: 'none',
    sessionKey: null,
  });
  await waitFor(() => failed.length > 0, 'the failed event');
  assert.deepEqual(failed, ['address-unsupported']);
  assert.equal((await overlay.status()).io.loopErrors, 0);
});

test('a start waits for leave to open the device, and is cancelled if that is refused', async (t) => {
  if (!hasAll(t)) return;
  const netns = addNetns(t, 'g');
  const options = { localPeer, port: 6783, tapName: 'weave-tap', netnsPath: netns.path };
  const refused = Promise.reject(new Error('no bridge'));
  await assert.rejects(SleeveOverlay.start(options, { ...modules, openAfter: refused }), {
    message: 'no bridge',
  });
  let allow = (): void => {};
  const openAfter = new Promise<void>((resolve) => {
    allow = resolve;
  });
  const starting = SleeveOverlay.start(options, { ...modules, openAfter });
  const [, before] = await run(netns, 'ip', 'link', 'show');
  assert.ok(!before.includes('weave-tap'), before);
  allow();
  const overlay = await starting;
  t.after(() => overlay.close());
  const [, after] = await run(netns, 'ip', 'link', 'show');
  assert.ok(after.includes('weave-tap'), after);
});
