/**
 * One per namespace of a policy test: serves TCP and UDP on the ports that are probed, and tries
 * connections for the test. Lines of JSON on stdin and stdout:
 *
 *   -> {"try": [{"id", "protocol", "ip", "port"}]}    begins these attempts, all at once
 *   -> {"stop": true}                                 gives up what has not succeeded
 *   <- {"ready": true} | {"success": id}
 *
 * No source port is used twice: an old entry of connection tracking would let a new packet pass.
 */
import { createSocket, type Socket as UdpSocket } from 'node:dgram';
import { once } from 'node:events';
import { createServer, Socket } from 'node:net';
import { createInterface } from 'node:readline';

export interface Trial {
  readonly id: number;
  readonly protocol: string;
  readonly ip: string;
  readonly port: number;
}

const UDP_REPEAT_MS = 200;
const FIRST_SOURCE_PORT = 10_000;

let sourcePort = FIRST_SOURCE_PORT;
const running = new Map<number, () => void>();

const print = (line: object): void => {
  process.stdout.write(`${JSON.stringify(line)}\n`);
};

function succeed(id: number): void {
  const stop = running.get(id);
  if (stop === undefined) return;
  running.delete(id);
  stop();
  print({ success: id });
}

function tryTcp({ id, ip, port }: Trial): void {
  const socket = new Socket();
  // The greeting, not the handshake: data passes both ways.
  socket.on('data', () => succeed(id));
  // Refused or reset is no success.
  socket.on('error', () => {});
  running.set(id, () => socket.destroy());
  socket.connect({ host: ip, port, localPort: sourcePort++ });
}

function tryUdp({ id, ip, port }: Trial): void {
  const socket: UdpSocket = createSocket('udp4');
  socket.on('message', () => succeed(id));
  socket.on('error', () => {});
  // A failed sending counts like a lost packet.
  const send = (): void => socket.send('probe', port, ip, () => {});
  const timer = setInterval(send, UDP_REPEAT_MS);
  running.set(id, () => {
    clearInterval(timer);
    socket.close();
  });
  socket.bind(sourcePort++, send);
}

async function serve(ports: readonly number[]): Promise<void> {
  for (const port of ports) {
    const tcp = createServer((socket) => {
      socket.on('error', () => {});
      socket.end('hello');
    });
    const udp = createSocket('udp4');
    udp.on('message', (_data, from) => udp.send('hello', from.port, from.address, () => {}));
    tcp.listen(port, '0.0.0.0', 1024);
    udp.bind(port);
    await Promise.all([once(tcp, 'listening'), once(udp, 'listening')]);
  }
}

await serve(process.argv.slice(2).map(Number));
print({ ready: true });
for await (const line of createInterface({ input: process.stdin })) {
  const command = JSON.parse(line) as { try?: readonly Trial[]; stop?: boolean };
  if (command.stop === true) {
    for (const stop of running.values()) stop();
    running.clear();
  }
  for (const trial of command.try ?? []) (trial.protocol === 'UDP' ? tryUdp : tryTcp)(trial);
}
process.exit(0);
