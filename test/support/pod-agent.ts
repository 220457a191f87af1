/**
 * Stands for pods inside a namespace, until its standard input ends: serves TCP and UDP on one
 * port, makes connections as it is told, and keeps some open. One JSON object a line each way.
 *
 *   node pod-agent.js PORT…
 *   {id, do: 'try', from, to, port, timeoutMs}      → {id, ok, startedMs, endedMs}
 *   {id, do: 'hold', from, to, port, timeoutMs}     → {id, ok}; then a byte each 100 ms
 *   {id, do: 'holds'}                               → {id, open, broken, quietMs}
 *   {id, do: 'rtt', from, to, port, count}          → {id, us}: medians of established round trips
 *   {id, do: 'connects', from, to, port, count}     → {id, us}: median time of a new connection
 *
 * Times are milliseconds since 1970, so that they compare with those of other processes here.
 */
import { connect, createServer, type Socket } from 'node:net';
import { createInterface } from 'node:readline';

interface Order {
  readonly id: number;
  readonly do: 'try' | 'hold' | 'holds' | 'rtt' | 'connects';
  readonly from: string;
  readonly to: string;
  readonly port: number;
  readonly timeoutMs: number;
  readonly count: number;
}

interface Held {
  readonly socket: Socket;
  /** When the last answer came. */
  heardMs: number;
}

const BEAT_MS = 100;
const held = new Set<Held>();
let broken = 0;

function reply(value: object): void {
  process.stdout.write(`${JSON.stringify(value)}\n`);
}

function dial({ from, to, port, timeoutMs }: Order): Promise<Socket | null> {
  return new Promise((resolve) => {
    const socket = connect({ host: to, port, localAddress: from, noDelay: true });
    const timer = setTimeout(() => socket.destroy(new Error('timeout')), timeoutMs);
    socket.once('connect', () => {
      clearTimeout(timer);
      resolve(socket);
    });
    socket.on('error', () => {
      clearTimeout(timer);
      resolve(null);
    });
  });
}

async function tryOnce(order: Order): Promise<void> {
  const startedMs = Date.now();
  const socket = await dial(order);
  reply({ id: order.id, ok: socket !== null, startedMs, endedMs: Date.now() });
  socket?.resetAndDestroy();
}

async function hold(order: Order): Promise<void> {
  const socket = await dial(order);
  if (socket !== null) {
    const entry: Held = { socket, heardMs: Date.now() };
    held.add(entry);
    socket.on('data', () => {
      entry.heardMs = Date.now();
    });
    const timer = setInterval(() => socket.write('.'), BEAT_MS);
    socket.once('close', () => {
      clearInterval(timer);
      held.delete(entry);
      broken += 1;
    });
  }
  reply({ id: order.id, ok: socket !== null });
}

function tellHolds({ id }: Order): void {
  const nowMs = Date.now();
  const quietMs = Math.max(0, ...[...held].map(({ heardMs }) => nowMs - heardMs));
  reply({ id, open: held.size, broken, quietMs });
}

const median = (values: number[]): number =>
  values.sort((a, b) => a - b)[values.length >> 1] ?? Number.NaN;

async function roundTrips(order: Order): Promise<void> {
  const socket = await dial(order);
  const times: number[] = [];
  for (let index = 0; socket !== null && index < order.count; index++) {
    const startedMs = performance.now();
    socket.write('x');
    await new Promise((resolve) => socket.once('data', resolve));
    times.push((performance.now() - startedMs) * 1000);
  }
  socket?.resetAndDestroy();
  reply({ id: order.id, us: median(times) });
}

async function connects(order: Order): Promise<void> {
  const times: number[] = [];
  for (let index = 0; index < order.count; index++) {
    const startedMs = performance.now();
    const socket = await dial(order);
    if (socket === null) continue;
    times.push((performance.now() - startedMs) * 1000);
    socket.resetAndDestroy();
  }
  reply({ id: order.id, us: median(times) });
}

const WORK = { try: tryOnce, hold, holds: tellHolds, rtt: roundTrips, connects };

for (const port of process.argv.slice(2)) {
  const server = createServer({ noDelay: true }, (socket) => {
    socket.on('error', () => {});
    socket.pipe(socket);
  });
  await new Promise<void>((resolve) => server.listen(Number(port), '::', resolve));
}
reply({ id: 0, ready: true });
const lines = createInterface({ input: process.stdin });
lines.on('line', (line) => {
  const order = JSON.parse(line) as Order;
  void WORK[order.do](order);
});
lines.on('close', () => process.exit(0));
