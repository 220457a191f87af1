/** Numbered datagrams on several flows at once, and whether each flow arrives in order. */
import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { setTimeout as delay } from 'node:timers/promises';

/** Datagrams of a flow without a pause between them, so that overtaking would show. */
const BURST = 20;
const PAUSE_MS = 2;
const KNOCK_MS = 100;
/** No larger than what one datagram of the underlay carries. */
const PAYLOAD_BYTES = 1000;

/** @param count of each flow, numbered from 0. Begins when the receiver answers. */
export async function sendNumbers(
  host: string,
  port: number,
  flows: number,
  count: number,
): Promise<{ sent: number }> {
  const sockets = Array.from({ length: flows }, () => createSocket('udp4'));
  for (const socket of sockets) {
    // ICMP of a receiver that is still starting.
    socket.on('error', () => {});
    socket.connect(port, host);
    await once(socket, 'connect');
  }
  await knock(sockets[0] as Socket);
  for (let from = 0; from < count; from += BURST) {
    const burst = Math.min(BURST, count - from);
    await Promise.all(sockets.map((socket) => sendBurst(socket, from, burst)));
    await delay(PAUSE_MS);
  }
  for (const socket of sockets) socket.close();
  return { sent: flows * count };
}

async function knock(socket: Socket): Promise<void> {
  let answered = false;
  socket.once('message', () => {
    answered = true;
  });
  while (!answered) {
    await sendBurst(socket, 0, 1);
    await delay(KNOCK_MS);
  }
}

async function sendBurst(socket: Socket, from: number, count: number): Promise<void> {
  const sent: Promise<unknown>[] = [];
  for (let number = from; number < from + count; number += 1) {
    const payload = Buffer.alloc(PAYLOAD_BYTES);
    payload.writeUInt32BE(number);
    sent.push(new Promise((resolve) => socket.send(payload, resolve)));
  }
  await Promise.all(sent);
}

/**
 * Waits for datagrams until none has come for a while.
 * @returns how many flows were seen, and how many datagrams came after a later one of theirs.
 */
export async function watchOrder(
  port: number,
  silenceMs: number,
): Promise<{ flows: number; received: number; backwards: number }> {
  const last = new Map<string, number>();
  let received = 0;
  let backwards = 0;
  const socket = createSocket({ type: 'udp4', recvBufferSize: 8 << 20 });
  socket.on('message', (payload, { address, port: from }) => {
    const flow = `${address}:${from}`;
    const number = payload.readUInt32BE();
    received += 1;
    if (number === 0) socket.send('ready', from, address);
    if (number < (last.get(flow) ?? 0)) backwards += 1;
    last.set(flow, number);
  });
  socket.bind(port, '0.0.0.0');
  for (let before = -1; received === 0 || received !== before; ) {
    before = received;
    await delay(silenceMs);
  }
  socket.close();
  return { flows: last.size, received, backwards };
}
