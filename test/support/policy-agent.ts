/**
 * One per namespace of a policy test: serves TCP, UDP and SCTP on the ports that are probed, and
 * tries connections for the test. Lines of JSON on stdin and stdout:
 *
 *   -> {"try": [{"id", "protocol", "from", "to", "port"}]}   begins these attempts, all at once
 *   -> {"stop": true}                                        gives up what has not succeeded
 *   <- {"ready": true} | {"success": id}
 *
 * No source port is used twice: an old entry of connection tracking would let a new packet pass.
 */
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { createServer, Socket } from 'node:net';
import { createInterface } from 'node:readline';
import { SctpProbe } from './sctp-probe.js';

export interface Trial {
  readonly id: number;
  readonly protocol: string;
  /** Own address, of the family of `to`. */
  readonly from: string;
  readonly to: string;
  readonly port: number;
}

const REPEAT_MS = 200;
const FIRST_SOURCE_PORT = 10_000;
const PORTS = process.argv.slice(2).map(Number);

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

function tryTcp({ id, to, port }: Trial): void {
  const socket = new Socket();
  // The greeting, not the handshake: data passes both ways.
  socket.on('data', () => succeed(id));
  // Refused or reset is no success.
  socket.on('error', () => {});
  running.set(id, () => socket.destroy());
  socket.connect({ host: to, port, localPort: sourcePort++ });
}

function tryUdp({ id, to, port }: Trial): void {
  const socket = createSocket(to.includes(':') ? 'udp6' : 'udp4');
  socket.on('message', () => succeed(id));
  socket.on('error', () => {});
  // A failed sending counts like a lost packet.
  const send = (): void => socket.send('probe', port, to, () => {});
  const timer = setInterval(send, REPEAT_MS);
  running.set(id, () => {
    clearInterval(timer);
    socket.close();
  });
  socket.bind(sourcePort++, send);
}

const askedBySctp = new Map<number, number>();
const sctp = new SctpProbe(PORTS, (port) => succeed(askedBySctp.get(port) ?? 0));

function trySctp({ id, ...trip }: Trial): void {
  const own = sourcePort++;
  askedBySctp.set(own, id);
  const send = (): void => sctp.ask({ ...trip, sourcePort: own });
  const timer = setInterval(send, REPEAT_MS);
  running.set(id, () => {
    clearInterval(timer);
    askedBySctp.delete(own);
  });
  send();
}

async function serve(host: string): Promise<void> {
  const isIpv6 = host.includes(':');
  for (const port of PORTS) {
    const tcp = createServer((socket) => {
      socket.on('error', () => {});
      socket.end('hello');
    });
    const udp = createSocket({ type: isIpv6 ? 'udp6' : 'udp4', ipv6Only: isIpv6 });
    udp.on('message', (_data, from) => udp.send('hello', from.port, from.address, () => {}));
    tcp.listen({ port, host, backlog: 1024, ipv6Only: isIpv6 });
    udp.bind(port, host);
    await Promise.all([once(tcp, 'listening'), once(udp, 'listening')]);
  }
}

const TRIES: Readonly<Record<string, (trial: Trial) => void>> = {
  TCP: tryTcp,
  UDP: tryUdp,
  SCTP: trySctp,
};

await serve('0.0.0.0');
if (existsSync('/proc/net/if_inet6')) await serve('::');
print({ ready: true });
for await (const line of createInterface({ input: process.stdin })) {
  const command = JSON.parse(line) as { try?: readonly Trial[]; stop?: boolean };
  if (command.stop === true) {
    for (const stop of running.values()) stop();
    running.clear();
  }
  for (const trial of command.try ?? []) TRIES[trial.protocol]?.(trial);
}
process.exit(0);
