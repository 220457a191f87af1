#!/usr/bin/env node
/**
 * Sends bad packets to a name server and asks it something between them; a program of its own,
 * since it runs in another namespace than `dns.ts`, which starts it. Prints a `SendReport` as JSON.
 *
 *   node dist/bench/soak/dns-sender.js SERVER NAME ADDRESS STRANGER SEED FIRST COUNT
 *
 * STRANGER is an address of this host that the server does not serve. What was sent has been read
 * when a later question is answered, so nothing is lost for want of room.
 */
import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { connect } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { encode } from 'dns-packet';
import { addressesIn, DnsPackets } from './dns-packets.js';

export interface SendReport {
  readonly datagrams: number;
  /** Messages over TCP. Many follow one that ends the connection, and are never read. */
  readonly messages: number;
  readonly questions: number;
  /** Questions asked again, since no answer came in time. */
  readonly repeated: number;
  readonly slowestMs: number;
}

const DNS_PORT = 53;
/** Datagrams between two questions: what a receive buffer without privilege has room for. */
const BURST = 48;
/** One burst in so many goes over TCP, one datagram in so many comes from the stranger. */
const TCP_BURSTS = 64;
/** On one connection, and how often their length is wrong. */
const TCP_MESSAGES = 4;
const WRONG_LENGTHS = 8;
const STRANGER_DATAGRAMS = 16;
const SOCKETS = 4;
const PATIENCE_MS = 2000;
const ATTEMPTS = 5;
/** The server may be slow in closing; it is asked again over UDP afterwards. */
const TCP_LINGER_MS = 100;

const [server = '', name = '', address = '', strangerAddress = '', ...numbers] =
  process.argv.slice(2);
const [seed = 0, first = 0, count = 0] = numbers.map(Number);
const packets = new DnsPackets(seed);
const report = { datagrams: 0, messages: 0, questions: 0, repeated: 0, slowestMs: 0 };

async function open(localAddress?: string): Promise<Socket> {
  const socket = createSocket('udp4');
  // Answers to what we send are of no interest, and ICMP says nothing that the questions do not.
  socket.on('error', () => {});
  socket.bind(0, localAddress);
  await once(socket, 'listening');
  return socket;
}

const send = (socket: Socket, bytes: Uint8Array): Promise<void> =>
  new Promise((resolve, reject) => {
    socket.send(bytes, DNS_PORT, server, (error) => (error === null ? resolve() : reject(error)));
  });

/** @throws Error if the server does not answer, or says something wrong. */
async function ask(socket: Socket, id: number): Promise<void> {
  const query = encode({
    ...{ type: 'query', id, flags: 0x0100 },
    questions: [{ name, type: 'A' }],
  });
  for (let attempt = 0; attempt < ATTEMPTS; attempt += 1) {
    if (attempt > 0) report.repeated += 1;
    report.questions += 1;
    const startedMs = performance.now();
    const answered = once(socket, 'message', { signal: AbortSignal.timeout(PATIENCE_MS) });
    await send(socket, query);
    const message = await answered.catch(() => null);
    if (message === null) continue;
    const addresses = addressesIn(message[0] as Buffer, id);
    // The answer to an earlier attempt may come late.
    if (addresses === null) continue;
    if (`${addresses}` !== address) throw new Error(`${name} is "${addresses}", not ${address}`);
    report.slowestMs = Math.max(report.slowestMs, performance.now() - startedMs);
    return;
  }
  throw new Error(`the name server does not answer any more (${report.datagrams} datagrams)`);
}

/** Several messages on one connection; some with a length that is not their own. */
async function sendOverTcp(from: number, end: number): Promise<void> {
  const socket = connect({ host: server, port: DNS_PORT });
  socket.on('error', () => {});
  socket.resume();
  const closed = once(socket, 'close').catch(() => {});
  const parts: Buffer[] = [];
  for (let index = from; index < end; index += 1) {
    const body = Buffer.from(packets.make(index));
    const length = Buffer.alloc(2);
    const isWrong = index % WRONG_LENGTHS === 2;
    length.writeUInt16BE(isWrong ? (index * 7919) & 0xffff : body.length);
    parts.push(length, body);
    report.messages += 1;
  }
  socket.write(Buffer.concat(parts));
  await Promise.race([closed, delay(TCP_LINGER_MS)]);
  socket.destroy();
}

async function sendBurstOverTcp(from: number, end: number): Promise<void> {
  const connections: Promise<void>[] = [];
  for (let index = from; index < end; index += TCP_MESSAGES) {
    connections.push(sendOverTcp(index, Math.min(end, index + TCP_MESSAGES)));
  }
  await Promise.all(connections);
}

const asking = await open();
const stranger = await open(strangerAddress);
const sockets = await Promise.all(Array.from({ length: SOCKETS }, () => open()));
await ask(asking, 0);
for (let done = 0; done < count; done += BURST) {
  const burst = Math.min(BURST, count - done);
  const from = first + done;
  if ((from / BURST) % TCP_BURSTS < 1) {
    await sendBurstOverTcp(from, from + burst);
  } else {
    for (let index = from; index < from + burst; index += 1) {
      const isStranger = index % STRANGER_DATAGRAMS === 1;
      const socket = isStranger ? stranger : (sockets[index % SOCKETS] as Socket);
      await send(socket, packets.make(index));
      report.datagrams += 1;
    }
  }
  await ask(asking, (from / BURST + 1) & 0xffff);
}
console.log(JSON.stringify(report));
for (const socket of [asking, stranger, ...sockets]) socket.close();
