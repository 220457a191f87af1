/** The mesh on real sockets, over 127.0.0.x: meets, refuses, survives garbage, stops. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { type TestContext, test } from 'node:test';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { utf8 } from '../../../../core/bytes.js';
import { systemClock } from '../../../../core/clock.js';
import { errorCode } from '../../../../core/errors.js';
import { silentLogger } from '../../../../core/log.js';
import type { PeerName } from '../../../../core/peer-name.js';
import { resolveTarget } from '../../../../mesh/io/resolve-target.js';
import { MeshRunner } from '../../../../mesh/io/runner.js';
import { Tcp, type TcpHandlers } from '../../../../mesh/io/tcp.js';
import { Mesh } from '../../../../mesh/mesh.js';
import type { MeshOptions } from '../../../../mesh/mesh-types.js';
import type { Overlay, OverlayEvent } from '../../../../mesh/overlay.js';
import { SeededRandom } from '../../../sim/seeded-random.js';
import { SimChannel, Words } from '../../../sim/sim-channel.js';

const DEADLINE_MS = 10_000;

/** Waits turn by turn of the event loop, not by the clock. */
async function until(condition: () => boolean, what: string): Promise<void> {
  const endMs = systemClock.nowMs() + DEADLINE_MS;
  while (!condition()) {
    assert.ok(systemClock.nowMs() < endMs, `${what}: not in time`);
    await nextTurn();
  }
}

/** Established as soon as both ends are confirmed: what it says goes over TCP. */
class EagerOverlay implements Overlay {
  readonly name = 'sleeve';
  onEvent: (event: OverlayEvent) => void = () => {};
  prepare(): void {}
  confirm(connId: number): void {
    this.onEvent({ type: 'control', connId, subTag: 1, data: new Uint8Array(0) });
  }
  handleControl(connId: number): void {
    // As from another thread: long after the call that caused it.
    setImmediate(() => this.onEvent({ type: 'established', connId }));
  }
  stop(): void {}
  setForwarding(): void {}
  forgetPeer(): void {}
}

let hosts = 10;

async function router(t: TestContext, options: Partial<MeshOptions> & { port: number }) {
  const host = `127.0.0.${++hosts}`;
  const words = new SimChannel('words');
  const mesh = new Mesh(
    {
      name: hosts as PeerName,
      nickname: `host${hosts}`,
      uid: BigInt(hosts),
      shortId: hosts,
      password: null,
      minVersion: 1,
      maxVersion: 2,
      discovery: true,
      connLimit: 200,
      trustedSubnets: [],
      ciphers: ['aes-256-gcm', 'nacl'],
      extraFeatures: {},
      ...options,
    },
    { random: new SeededRandom(hosts), overlays: [new EagerOverlay()], log: silentLogger },
  );
  const sender = mesh.registerChannel(words);
  const tcp = new Tcp({ host, port: options.port }, { log: silentLogger });
  const targets: string[][] = [];
  const runner = new MeshRunner({
    mesh,
    tcp,
    clock: systemClock,
    log: silentLogger,
    onTargetsChanged: (texts) => targets.push([...texts]),
  });
  await runner.start();
  t.after(() => runner.stop());
  const established = (): number =>
    runner.status().connections.filter(({ state }) => state === 'established').length;
  const lastError = (): string =>
    runner.status().connections.flatMap(({ lastError: error }) => error?.text ?? [])[0] ?? '';
  return { host, mesh, runner, words, sender, targets, tcp, established, lastError };
}

const deaf: TcpHandlers = {
  onAccepted: () => {},
  onDialed: () => {},
  onDialFailed: () => {},
  onBytes: () => {},
  onWritable: () => {},
  onClosed: () => {},
};

/** A port that is free on all loopback addresses a moment ago. */
async function freePort(): Promise<number> {
  const tcp = new Tcp({ host: '127.0.0.1', port: 0 }, { log: silentLogger });
  await tcp.listen(deaf);
  const { port } = tcp;
  await tcp.shutDown();
  return port;
}

test('three routers meet by discovery, share words large and small, and stop', async (t) => {
  const port = await freePort();
  const password = utf8('wfvAwt7sj');
  const [a, b, c] = [
    await router(t, { port, password }),
    await router(t, { port, password }),
    await router(t, { port, password }),
  ];
  b.runner.connect([await resolveTarget(a.host)], false);
  c.runner.connect([await resolveTarget(`${a.host}:${port}`)], false);
  assert.deepEqual(c.targets, [[`${a.host}:${port}`]]);
  await until(() => [a, b, c].every((r) => r.established() === 2), 'full mesh');
  // Large enough to be cut and to block the socket.
  const large = 'x'.repeat(3_000_000);
  a.sender.broadcast(new Words([large]));
  await until(() => b.words.words.has(large) && c.words.words.has(large), 'a large message');
  await a.runner.stop();
  await until(() => b.established() === 1 && c.established() === 1, 'the others notice');
  await until(() => b.mesh.topology.peers.size === 2, 'the others forget');
});

test('a refused dial, a wrong password and a taken port read as users know them', async (t) => {
  const port = await freePort();
  const a = await router(t, { port, password: utf8('one') });
  const b = await router(t, { port, password: utf8('two') });
  b.runner.connect([await resolveTarget(`127.0.0.1:${port}`)], false);
  const refused = `dial tcp ${b.host}:0->127.0.0.1:${port}: connect: connection refused`;
  await until(() => b.lastError() === refused, refused);
  b.runner.connect([await resolveTarget(a.host)], true);
  for (const side of [a, b]) {
    await until(() => /Unable to decrypt TCP msg/.test(side.lastError()), 'the reason');
  }
  const second = new Tcp({ host: a.host, port }, { log: silentLogger });
  await assert.rejects(
    second.listen(deaf),
    /listen tcp .* address already in use \(does another Weave router run/,
  );
});

test('garbage from strangers ends their connections and nothing else', async (t) => {
  const port = await freePort();
  const a = await router(t, { port });
  const sockets = await Promise.all(
    ['GET / HTTP/1.1\r\n\r\n', 'weave\x01\x02\x07', 'weave\x01\x02\x00\xff\xff\xff\xff'].map(
      (text) =>
        new Promise<Socket>((resolve) => {
          const socket = connect({ host: a.host, port }, () => resolve(socket));
          socket.write(Buffer.from(text, 'latin1'));
        }),
    ),
  );
  const closed = sockets.map((s) => new Promise((resolve) => s.resume().once('close', resolve)));
  await Promise.all(closed);
  const b = await router(t, { port });
  b.runner.connect([await resolveTarget(a.host)], false);
  await until(() => a.established() === 1, 'a real router');
});

/** A listener that never accepts, so that its short queue fills up and SYNs go unanswered. */
const DEAF_LISTENER = `
  const server = require('node:net').createServer();
  server.listen({ host: '127.0.0.1', port: 0, backlog: 1 }, () => {
    require('node:fs').writeSync(1, String(server.address().port));
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 20000);
  });
`;

test('addresses that are nonsense or do not answer are given up, with the reason', async (t) => {
  const options = { host: '127.0.0.1', port: 0, connectTimeoutMs: 200 };
  const tcp = new Tcp(options, { log: silentLogger });
  const failures: string[] = [];
  await tcp.listen({
    ...deaf,
    onDialFailed: (address, { text }) => failures.push(`${address} ${text}`),
  });
  t.after(() => tcp.shutDown());
  tcp.dial('nonsense', true);
  await until(() => failures.length === 1, 'a refusal');
  assert.match(failures[0] ?? '', /^nonsense .*invalid/);

  const child = spawn(process.execPath, ['-e', DEAF_LISTENER], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  t.after(() => child.kill('SIGKILL'));
  const port = await new Promise((resolve) => child.stdout.once('data', resolve));
  for (let i = 0; i < 8; i++) tcp.dial(`127.0.0.1:${port}`, true);
  await until(() => failures.length > 1, 'a timeout');
  assert.match(failures[1] ?? '', /dial tcp 127.0.0.1:0->127.0.0.1:\d+: connect: connection timed/);
});

test('a peer that does not read is given up, by time or by what waits for it', async (t) => {
  const lazy = createServer((socket) => socket.pause());
  await new Promise<void>((resolve) => lazy.listen(0, '127.0.0.1', resolve));
  t.after(() => lazy.close());
  const { port } = lazy.address() as AddressInfo;
  for (const [megabytes, code] of [
    [20, 'write-stalled'],
    [60, 'write-queue-full'],
  ] as const) {
    const options = { host: '', port: 0, stallMs: 100 };
    const tcp = new Tcp(options, { log: silentLogger });
    const errors: string[] = [];
    let blocked = false;
    await tcp.listen({
      ...deaf,
      onDialed: ({ connId }) => {
        blocked = !tcp.write(connId, new Uint8Array(megabytes * 1024 * 1024));
      },
      onClosed: (_connId, error) => errors.push(errorCode(error)),
    });
    t.after(() => tcp.shutDown());
    tcp.dial(`127.0.0.1:${port}`, true);
    await until(() => errors.length === 1, 'the end');
    assert.deepEqual(errors, [code]);
    assert.equal(blocked, true);
  }
});

test('targets are looked up', async () => {
  assert.deepEqual(await resolveTarget('192.0.2.7'), {
    text: '192.0.2.7',
    ip: '192.0.2.7',
    port: null,
  });
  assert.deepEqual(await resolveTarget('[2001:db8::1]:7000'), {
    text: '[2001:db8::1]:7000',
    ip: '2001:db8::1',
    port: 7000,
  });
  assert.equal((await resolveTarget('localhost:80')).ip, '127.0.0.1');
  await assert.rejects(resolveTarget('no-such-host.invalid'), { code: 'target-unresolved' });
  await assert.rejects(
    resolveTarget('a:b:c'),
    /invalid peer name "a:b:c", should be host\[:port\]/,
  );
  await assert.rejects(resolveTarget('127.0.0.1:nosuchservice'), { code: 'target-port-unknown' });
});
