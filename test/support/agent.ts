/**
 * Moves test traffic inside a namespace; started by the lab with `ip netns exec`. Each verb prints
 * one JSON object on stdout when it is done.
 *
 *   receive PORT                         one TCP stream: {bytes, sha256}
 *   send HOST PORT BYTES                 a stream of BYTES to there: {bytes, sha256, ms}
 *   collect PORT GROUP|- MILLISECONDS    UDP payloads that arrived: {payloads: {text: times}}
 *   scatter HOST PORT COUNT PREFIX       COUNT payloads PREFIX-0…: {sent}
 *   echo PORT                            UDP over IPv4 and IPv6, until it is killed
 *   sizes HOST PORT FROM TO STEP         UDP payloads echoed: {sizes, resent, missing, changed}
 *   number HOST PORT FLOWS COUNT         COUNT numbered UDP payloads on each of FLOWS: {sent}
 *   order PORT MILLISECONDS              of those, until silence: {flows, received, backwards}
 *   garbage HOST PORT COUNT SEED         bad bytes on TCP and UDP: {tcp, udp}
 */
import { createHash } from 'node:crypto';
import { createSocket, type Socket as UdpSocket } from 'node:dgram';
import { connect, createServer, type Socket } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { garbageInput, seededBytes } from './garbage.js';
import { sendNumbers, watchOrder } from './udp-order.js';
import { echo, sizes } from './udp-sizes.js';

const CHUNK_BYTES = 1024 * 1024;
/** A receiver that is still starting refuses; a path that is still forming drops. */
const CONNECT_ATTEMPTS = 100;
const CONNECT_RETRY_MS = 100;
/** Pause between scattered datagrams, so that no socket buffer on the way overflows. */
const SCATTER_PAUSE_MS = 2;

function print(result: object): void {
  process.stdout.write(`${JSON.stringify(result)}\n`);
}

function receive(port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    const server = createServer((socket) => {
      const hash = createHash('sha256');
      let bytes = 0;
      socket.on('data', (chunk: Buffer) => {
        hash.update(chunk);
        bytes += chunk.length;
      });
      socket.on('error', reject);
      socket.on('end', () => {
        // The sender counts its time until this answer, so buffers on the way do not count as sent.
        socket.end('done');
        server.close();
        print({ bytes, sha256: hash.digest('hex') });
        resolve();
      });
    });
    server.on('error', reject);
    server.listen(port, '0.0.0.0');
  });
}

async function dial(host: string, port: number): Promise<Socket> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await new Promise<Socket>((resolve, reject) => {
        const socket = connect({ host, port }, () => resolve(socket));
        socket.once('error', reject);
      });
    } catch (error) {
      if (attempt === CONNECT_ATTEMPTS) throw error;
      await delay(CONNECT_RETRY_MS);
    }
  }
}

async function send(host: string, port: number, totalBytes: number): Promise<void> {
  const socket = await dial(host, port);
  const failed = new Promise<never>((_resolve, reject) => socket.once('error', reject));
  const hash = createHash('sha256');
  const startedMs = performance.now();
  // Different bytes in every chunk: a lost, doubled or swapped one changes the hash.
  const pattern = seededBytes(totalBytes, CHUNK_BYTES);
  for (let sent = 0; sent < totalBytes; ) {
    const chunk = Buffer.from(pattern.subarray(0, Math.min(CHUNK_BYTES, totalBytes - sent)));
    chunk.writeUIntBE(sent, 0, Math.min(6, chunk.length));
    hash.update(chunk);
    sent += chunk.length;
    if (!socket.write(chunk)) {
      const drained = new Promise((resolve) => socket.once('drain', resolve));
      await Promise.race([drained, failed]);
    }
  }
  const answered = new Promise((resolve) => socket.once('end', resolve));
  socket.resume().end();
  await Promise.race([answered, failed]);
  print({ bytes: totalBytes, sha256: hash.digest('hex'), ms: performance.now() - startedMs });
}

function openUdp(port: number): Promise<UdpSocket> {
  const socket = createSocket({ type: 'udp4', reuseAddr: true });
  return new Promise((resolve, reject) => {
    socket.once('error', reject);
    socket.bind(port, '0.0.0.0', () => resolve(socket));
  });
}

async function collect(port: number, group: string, ms: number): Promise<void> {
  const payloads: Record<string, number> = {};
  const socket = await openUdp(port);
  if (group !== '-') socket.addMembership(group);
  socket.on('message', (message) => {
    const text = message.toString('latin1');
    payloads[text] = (payloads[text] ?? 0) + 1;
  });
  await delay(ms);
  socket.close();
  print({ payloads });
}

async function scatter(host: string, port: number, count: number, prefix: string): Promise<void> {
  const socket = await openUdp(0);
  socket.setBroadcast(true);
  socket.setMulticastTTL(4);
  for (let index = 0; index < count; index += 1) {
    await new Promise((resolve) => socket.send(`${prefix}-${index}`, port, host, resolve));
    await delay(SCATTER_PAUSE_MS);
  }
  socket.close();
  print({ sent: count });
}

async function garbage(host: string, port: number, count: number, seed: number): Promise<void> {
  const udp = await openUdp(0);
  let tcp = 0;
  for (let index = 0; index < count; index += 1) {
    const input = garbageInput(seed + index);
    await new Promise((resolve) => udp.send(input.subarray(0, 1400), port, host, resolve));
    if (index % 8 !== 0) continue;
    // Few of them by TCP: the router admits only a limited number of new connections a second.
    const socket = connect({ host, port });
    socket.on('error', () => {});
    socket.resume().end(input);
    tcp += 1;
    await Promise.race([new Promise((resolve) => socket.once('close', resolve)), delay(100)]);
    socket.destroy();
  }
  udp.close();
  print({ tcp, udp: count });
}

const [verb, ...args] = process.argv.slice(2) as [string, ...string[]];
const text = (at: number): string => {
  const value = args[at];
  if (value === undefined) throw new Error(`${verb}: argument ${at + 1} is missing`);
  return value;
};
const number = (at: number): number => Number(text(at));

const verbs: Readonly<Record<string, () => Promise<void>>> = {
  receive: () => receive(number(0)),
  send: () => send(text(0), number(1), number(2)),
  collect: () => collect(number(0), text(1), number(2)),
  scatter: () => scatter(text(0), number(1), number(2), text(3)),
  echo: () => echo(number(0)),
  number: async () => print(await sendNumbers(text(0), number(1), number(2), number(3))),
  order: async () => print(await watchOrder(number(0), number(1))),
  sizes: () => sizes(text(0), number(1), { from: number(2), to: number(3), step: number(4) }),
  garbage: () => garbage(text(0), number(1), number(2), number(3)),
};
const chosen = verbs[verb];
if (chosen === undefined) throw new Error(`unknown verb ${verb}`);
await chosen();
