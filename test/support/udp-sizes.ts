/** UDP payloads of many sizes to an echo and back; what is lost on the way is sent again. */
import { createSocket, type Socket } from 'node:dgram';
import { setTimeout as delay } from 'node:timers/promises';
import { seededBytes } from './garbage.js';

/** Payloads on their way at a time, so that no socket buffer overflows. */
const WINDOW = 16;
const PATIENCE_MS = 300;
const ATTEMPTS = 12;

/** Echoes on all addresses of both families until the process is killed. */
export function echo(port: number): Promise<void> {
  // One socket for both families would need the host's bindv6only setting to be off.
  for (const type of ['udp4', 'udp6'] as const) {
    const socket = createSocket({ type, ipv6Only: type === 'udp6' });
    socket.on('message', (data, { port: to, address }) => socket.send(data, to, address));
    socket.bind(port);
  }
  return new Promise(() => {});
}

/** Prints how many sizes came back unchanged, and those that never did. */
export async function sizes(
  host: string,
  port: number,
  range: { from: number; to: number; step: number },
): Promise<void> {
  const socket = createSocket(host.includes(':') ? 'udp6' : 'udp4');
  await new Promise<void>((resolve) => socket.bind(0, resolve));
  const wanted = new Set<number>();
  const changed: number[] = [];
  socket.on('message', (data) => {
    if (!data.equals(payloadOf(data.length))) changed.push(data.length);
    wanted.delete(data.length);
  });
  let resent = -1;
  const all: number[] = [];
  for (let bytes = range.from; bytes <= range.to; bytes += range.step) all.push(bytes);
  for (const bytes of all) wanted.add(bytes);
  for (let attempt = 0; attempt < ATTEMPTS && wanted.size > 0; attempt++) {
    resent = attempt === 0 ? 0 : resent + wanted.size;
    await sendAll(socket, host, port, [...wanted], wanted);
    if (wanted.size > 0) await delay(PATIENCE_MS);
  }
  socket.close();
  const result = { sizes: all.length, resent, missing: [...wanted], changed };
  process.stdout.write(`${JSON.stringify(result)}\n`);
}

async function sendAll(
  socket: Socket,
  host: string,
  port: number,
  list: readonly number[],
  wanted: ReadonlySet<number>,
): Promise<void> {
  for (let at = 0; at < list.length; at += WINDOW) {
    const group = list.slice(at, at + WINDOW);
    for (const bytes of group) socket.send(payloadOf(bytes), port, host);
    const startedMs = performance.now();
    while (group.some((bytes) => wanted.has(bytes)) && performance.now() - startedMs < 20) {
      await delay(1);
    }
  }
}

/** Other bytes for every size. */
function payloadOf(bytes: number): Buffer {
  return Buffer.from(seededBytes(bytes, bytes));
}
