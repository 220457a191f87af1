/** A DNS server on a port of loopback with names, resolvers and clients of a test. */
import { createSocket } from 'node:dgram';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { type DecodedPacket, decode, encode, type Packet, type RecordType } from 'dns-packet';
import { systemClock } from '../../../../core/clock.js';
import type { Cidr } from '../../../../core/ip.js';
import type { LogFields, Logger } from '../../../../core/log.js';
import { DnsServer, type DnsServerOptions } from '../../../../dns/io/dns-server.js';
import { Names } from '../../../../dns/names.js';
import { systemRandom } from '../../../../sys/random.js';
import { US } from '../entries.js';

const ANSWER_TIMEOUT_MS = 6000;

export class ServerRig {
  readonly names: Names;
  readonly folder = mkdtempSync(join(tmpdir(), 'weave-dns-'));
  readonly logged: string[] = [];
  networks: readonly Cidr[] = [];
  server!: DnsServer;

  private constructor() {
    this.names = new Names(
      { localPeer: US, domain: 'weave.local.' },
      { clock: systemClock, isKnownPeer: () => true, warn: () => {} },
    );
  }

  static async start(
    t: TestContext,
    options: Partial<DnsServerOptions> & { readonly upstreams?: readonly string[] } = {},
  ): Promise<ServerRig> {
    const rig = new ServerRig();
    t.after(() => rig.#close());
    const { upstreams = [], ...rest } = options;
    rig.writeResolvConf(upstreams);
    const note = (text: string, fields: LogFields = {}): void => {
      rig.logged.push(`${text} ${JSON.stringify(fields)}`);
    };
    const log: Logger = { error: note, warn: note, info: note, debug: () => {} };
    rig.server = new DnsServer(
      {
        domain: rig.names.domain,
        listen: { host: '127.0.0.1', port: 0 },
        ttlSeconds: 1,
        upstreamTimeoutMs: 1000,
        resolvConfPath: rig.resolvConfPath,
        allowed: [],
        ...rest,
      },
      {
        table: rig.names.table,
        overlayNetworks: () => rig.networks,
        clock: systemClock,
        random: systemRandom,
        log,
      },
    );
    await rig.server.start();
    return rig;
  }

  get resolvConfPath(): string {
    return join(this.folder, 'resolv.conf');
  }

  writeResolvConf(servers: readonly string[]): void {
    writeFileSync(this.resolvConfPath, servers.map((one) => `nameserver ${one}\n`).join(''));
  }

  /** @returns null if nothing came. */
  udp(query: Uint8Array, timeoutMs = ANSWER_TIMEOUT_MS): Promise<Buffer | null> {
    return new Promise((resolve, reject) => {
      const socket = createSocket('udp4');
      const finish = (answer: Buffer | null): void => {
        clearTimeout(timer);
        socket.close();
        resolve(answer);
      };
      const timer = setTimeout(() => finish(null), timeoutMs);
      socket.once('message', finish);
      socket.once('error', reject);
      socket.send(query, this.server.port, '127.0.0.1');
    });
  }

  /** @returns null if the connection ended without an answer. */
  tcp(query: Uint8Array): Promise<Buffer | null> {
    return new Promise((resolve) => {
      const socket = connect(this.server.port, '127.0.0.1');
      const length = Buffer.alloc(2);
      length.writeUInt16BE(query.length);
      socket.write(Buffer.concat([length, query]));
      let received = Buffer.alloc(0);
      socket.on('data', (chunk) => {
        received = Buffer.concat([received, chunk]);
        if (received.length < 2 || received.length < 2 + received.readUInt16BE()) return;
        socket.destroy();
        resolve(received.subarray(2));
      });
      socket.on('error', () => {});
      socket.on('close', () => resolve(null));
    });
  }

  async ask(
    name: string,
    type: RecordType = 'A',
    changed: Partial<Packet> = {},
    transport: 'udp' | 'tcp' = 'udp',
  ): Promise<DecodedPacket & { readonly rcode: string }> {
    const query = encode({
      ...{ type: 'query', id: 4711, flags: 0x0100 },
      questions: [{ name, type }],
      ...changed,
    } as Packet);
    const answer = await (transport === 'udp' ? this.udp(query) : this.tcp(query));
    if (answer === null) throw new Error(`no answer for ${name}`);
    return decodeAnswer(answer);
  }

  async #close(): Promise<void> {
    await this.server.close();
    rmSync(this.folder, { recursive: true });
  }
}

/** The codec reads more of the header than its types tell. */
export type Answered = DecodedPacket & { readonly rcode: string; readonly opcode: string };

export const decodeAnswer = (bytes: Buffer): Answered => decode(bytes) as Answered;
