/**
 * A resolver that behaves by the name it is asked for, on one port for UDP and TCP. Otherwise it
 * answers everything with 192.0.2.1, like the one that the golden data was made with.
 */
import { createSocket, type Socket as UdpSocket } from 'node:dgram';
import { createServer, type Server } from 'node:net';
import { decode, encode } from 'dns-packet';

export interface UpstreamQuery {
  readonly proto: 'udp' | 'tcp';
  readonly qname: string;
  readonly qtype: string;
  readonly id: number;
}

const RCODES: Readonly<Record<string, number>> = { nx: 3, refused: 5, servfail: 2 };
const TC = 0x0200;

export class ScriptedUpstream {
  readonly queries: UpstreamQuery[] = [];
  /** Milliseconds before each answer. */
  delayMs = 0;
  readonly #udp: UdpSocket;
  readonly #tcp: Server;
  port = 0;
  #closed = false;

  private constructor(address: string) {
    this.#udp = createSocket(address.includes(':') ? 'udp6' : 'udp4');
    this.#tcp = createServer();
  }

  static async start(address = '127.0.0.1', port = 0): Promise<ScriptedUpstream> {
    const upstream = new ScriptedUpstream(address);
    await upstream.#listen(address, port);
    return upstream;
  }

  async close(): Promise<void> {
    this.#closed = true;
    await new Promise<void>((resolve) => this.#udp.close(() => resolve()));
    await new Promise<void>((resolve) => this.#tcp.close(() => resolve()));
  }

  async #listen(address: string, port: number): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      this.#tcp.once('error', reject);
      this.#tcp.listen(port, address, () => resolve());
    });
    const bound = this.#tcp.address();
    this.port = bound !== null && typeof bound === 'object' ? bound.port : 0;
    await new Promise<void>((resolve) => this.#udp.bind(this.port, address, () => resolve()));
    this.#udp.on('message', (message, { address: from, port: fromPort }) => {
      this.#answer(message, 'udp', (answer) => this.#udp.send(answer, fromPort, from));
    });
    this.#tcp.on('connection', (socket) => {
      socket.on('error', () => socket.destroy());
      let received = Buffer.alloc(0);
      socket.on('data', (chunk) => {
        received = Buffer.concat([received, chunk]);
        if (received.length < 2 || received.length < 2 + received.readUInt16BE()) return;
        this.#answer(received.subarray(2), 'tcp', (answer) => {
          const length = Buffer.alloc(2);
          length.writeUInt16BE(answer.length);
          socket.write(Buffer.concat([length, answer]));
        });
        received = Buffer.alloc(0);
      });
    });
  }

  #answer(message: Buffer, proto: 'udp' | 'tcp', send: (answer: Buffer) => void): void {
    const { id = 0, questions = [], flags = 0 } = decode(message);
    const name = questions[0]?.name ?? '';
    if (name.endsWith('.weave-loop-probe.invalid')) return;
    const question = questions.slice(0, 1);
    this.queries.push({ proto, qname: `${name}.`, qtype: question[0]?.type ?? '', id });
    const [word = ''] = name.split('.');
    if (word === 'silent') return;
    const isCut = word === 'trunc' && proto === 'udp';
    const rcode = RCODES[word] ?? 0;
    const count = rcode !== 0 || isCut ? 0 : word === 'many' ? 20 : word === 'huge' ? 80 : 1;
    const answers = Array.from({ length: count }, (_, i) => ({
      ...{ type: 'A' as const, name, ttl: 60 },
      data: `192.0.2.${word === 'many' || word === 'huge' ? i : 1}`,
    }));
    const answer = encode({
      type: 'response',
      id: word === 'wrongid' ? id ^ 1 : id,
      flags: (flags & 0x0110) | 0x0080 | rcode | (isCut ? TC : 0),
      questions: question,
      answers,
    });
    if (this.delayMs === 0) send(answer);
    else setTimeout(() => !this.#closed && send(answer), this.delayMs);
  }
}
