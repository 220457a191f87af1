/**
 * The name server of this host: sockets, resolvers and timers around the pure parts. Each query
 * goes through `#handle` in this order:
 *
 *   admitted? ── stranger: REFUSED, sparingly ── flood: dropped
 *      └──> responder ── answer ──> client
 *                 └──── forward ──> the host's resolvers ──> client
 */
import { encode, RECURSION_DESIRED } from 'dns-packet';
import type { Clock } from '../../core/clock.js';
import type { Cidr } from '../../core/ip.js';
import type { Logger } from '../../core/log.js';
import type { Random } from '../../core/random.js';
import { TCP_PAYLOAD_BYTES, UDP_PAYLOAD_BYTES } from '../answer-template.js';
import { DnsCounters, type DnsCounts, type DropReason } from '../dns-counters.js';
import type { NameTable } from '../name-table.js';
import type { Query, Rcode } from '../query.js';
import { RCODES } from '../query.js';
import { isServerAddress } from '../resolv-conf.js';
import { Responder } from '../responder.js';
import { Sources } from '../sources.js';
import { Upstreams } from '../upstreams.js';
import { Zone } from '../zone.js';
import type { Transport } from './exchange.js';
import { Forwarder } from './forwarder.js';
import { Listeners, type ListenOptions } from './listeners.js';
import { ResolvConfFile } from './resolv-conf-file.js';
import { ServedNetworks } from './served-networks.js';

export interface DnsServerOptions {
  /** Canonical. */
  readonly domain: string;
  readonly listen: ListenOptions;
  readonly ttlSeconds: number;
  /** How long one resolver may take. */
  readonly upstreamTimeoutMs: number;
  /** Port of resolvers; 53 unless a test says otherwise. */
  readonly upstreamPort?: number;
  /** null: nobody is asked for other names. */
  readonly resolvConfPath: string | null;
  /** CIDRs served beside the networks of this host. */
  readonly allowed: readonly string[];
}

export interface DnsServerModules {
  /** Names are looked up in it. */
  readonly table: NameTable;
  readonly overlayNetworks: () => readonly Cidr[];
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
}

/** What the router needs of the name server, wherever it runs. */
export interface NameServer {
  /** @throws {WeaveError} `dns-listen-failed` */
  start(): Promise<void>;
  /** Follows the addresses of this host at once. */
  refresh(): Promise<void>;
  status(): DnsServerStatus;
  close(): Promise<void>;
}

export interface DnsServerStatus {
  readonly upstreams: readonly string[];
  /** Served now, without the port. */
  readonly addresses: readonly string[];
  readonly failures: readonly string[];
  readonly loops: readonly string[];
  readonly counts: DnsCounts;
}

/** Addresses of this host come and go: `weave expose`, the Docker bridge. */
const REFRESH_INTERVAL_MS = 2000;
const DNS_PORT = 53;
/** No query of one question is longer, whatever options it has. */
const MAX_QUERY_BYTES = 4096;

interface Client {
  readonly address: string;
  readonly transport: Transport;
  /** @param answer null: silence, and over TCP the end of the connection. */
  readonly reply: (answer: Buffer | null) => void;
}

export class DnsServer implements NameServer {
  readonly #modules: DnsServerModules;
  readonly #counters = new DnsCounters();
  readonly #networks: ServedNetworks;
  readonly #sources: Sources;
  readonly #upstreams: Upstreams;
  readonly #forwarder: Forwarder;
  readonly #responder: Responder;
  readonly #listeners: Listeners;
  readonly #resolvConf: ResolvConfFile | null;
  /** BOUNDED by the servers of a resolv.conf. */
  readonly #loops = new Set<string>();
  #configured: readonly string[] = [];
  /** Counts changes of the overlay's networks, which answers depend on as on the table. */
  #networksKey = '';
  #networksRevision = 0;
  #timer: NodeJS.Timeout | null = null;

  constructor(options: DnsServerOptions, modules: DnsServerModules) {
    const { clock, random, log, table } = modules;
    this.#modules = modules;
    this.#networks = new ServedNetworks(options.allowed);
    this.#sources = new Sources((address) => this.#networks.serves(address));
    this.#upstreams = new Upstreams({
      random,
      onLoop: (address) => this.#noteLoop(address),
    });
    const { upstreamTimeoutMs: timeoutMs, upstreamPort, ttlSeconds } = options;
    this.#forwarder = new Forwarder(
      { timeoutMs, ...(upstreamPort === undefined ? {} : { port: upstreamPort }) },
      { upstreams: this.#upstreams, counters: this.#counters, clock, random },
    );
    const zone = new Zone({ domain: options.domain, ttlSeconds }, modules);
    this.#responder = new Responder(
      { maxUdpBytes: UDP_PAYLOAD_BYTES },
      {
        zone,
        random,
        counters: this.#counters,
        revision: () => table.revision + this.#networksRevision,
        onProbe: (name) => this.#upstreams.noteQuery(name),
      },
    );
    this.#listeners = new Listeners(options.listen, {
      log,
      isServed: (client) => this.#networks.serves(client),
      onDatagram: (message, { address }, send) => {
        const reply = (answer: Buffer | null): void => {
          if (answer !== null) send(answer);
        };
        this.#handle(message, { address, transport: 'udp', reply });
      },
      onMessage: (message, address, reply) =>
        this.#handle(message, { address, transport: 'tcp', reply }),
    });
    const path = options.resolvConfPath;
    this.#resolvConf =
      path === null
        ? null
        : new ResolvConfFile(
            { path },
            { log, onServers: (servers) => this.#setUpstreams(servers) },
          );
  }

  /** @throws {WeaveError} `dns-listen-failed` */
  async start(): Promise<void> {
    await this.#listeners.start();
    this.#resolvConf?.start();
    this.#timer = setInterval(() => void this.refresh(), REFRESH_INTERVAL_MS);
    this.#timer.unref();
  }

  async close(): Promise<void> {
    if (this.#timer !== null) clearInterval(this.#timer);
    this.#resolvConf?.stop();
    this.#forwarder.close();
    await this.#listeners.close();
  }

  /** Follows the addresses of this host at once. */
  async refresh(): Promise<void> {
    this.#forwarder.trim();
    if (this.#networks.refresh()) this.#sources.forget();
    const networks = this.#modules.overlayNetworks();
    const key = networks.map(({ address, prefixLength }) => `${address}/${prefixLength}`).join();
    if (key !== this.#networksKey) this.#networksRevision++;
    this.#networksKey = key;
    const before = this.#listeners.addresses.length;
    await this.#listeners.refresh();
    // What we listen on must not be asked by ourselves.
    if (this.#listeners.addresses.length !== before) this.#setUpstreams(this.#configured);
  }

  /** Port bound, for tests that ask for any. */
  get port(): number {
    return this.#listeners.port;
  }

  status(): DnsServerStatus {
    return {
      upstreams: this.#upstreams.addresses,
      addresses: this.#listeners.addresses,
      failures: this.#listeners.failures,
      loops: [...this.#loops],
      counts: this.#counters.read(),
    };
  }

  #handle(message: Buffer, client: Client): void {
    const { clock } = this.#modules;
    const startedMs = clock.nowMs();
    const admission = this.#sources.admit(client.address, startedMs);
    if (admission === 'flood') {
      this.#drop('flood', client);
      return;
    }
    if (admission === 'stranger') {
      this.#refuseStranger(message, client, startedMs);
      return;
    }
    if (message.length > MAX_QUERY_BYTES) {
      this.#drop('too-large', client);
      return;
    }
    const verdict = this.#responder.handleQuery(message);
    switch (verdict.kind) {
      case 'drop':
        this.#drop(verdict.reason, client);
        return;
      case 'forward':
        this.#forward(message, verdict.query, client, startedMs);
        return;
      case 'answer': {
        if (verdict.isError && !this.#sources.mayTellError(client.address, startedMs)) {
          this.#drop('error-rate', client);
          return;
        }
        const limit = client.transport === 'udp' ? verdict.udpLimitBytes : TCP_PAYLOAD_BYTES;
        const id = message.readUInt16BE(0);
        client.reply(verdict.template.render(id, limit, this.#modules.random));
        verdict.count.count++;
        this.#counters.observe(clock.nowMs() - startedMs);
      }
    }
  }

  /** A short REFUSED tells the misconfigured; it is never longer than what was asked with. */
  #refuseStranger(message: Buffer, client: Client, nowMs: number): void {
    this.#counters.drop('stranger');
    const isQuery = message.length >= 12 && ((message[2] as number) & 0x80) === 0;
    if (!isQuery || !this.#sources.mayTellError(client.address, nowMs)) {
      client.reply(null);
      return;
    }
    const answer = Buffer.alloc(12);
    message.copy(answer, 0, 0, 2);
    answer[2] = 0x80 | ((message[2] as number) & 0x79);
    answer[3] = RCODES.REFUSED;
    client.reply(answer);
  }

  #forward(message: Buffer, query: Query, client: Client, startedMs: number): void {
    const { clock } = this.#modules;
    const finish = (rcode: string): void => {
      this.#counters.queryCount(query.type, rcode).count++;
      this.#counters.observe(clock.nowMs() - startedMs);
    };
    const fail = (rcode: Rcode): void => {
      const { template, udpLimitBytes } = this.#responder.failure(query, rcode);
      client.reply(template.render(query.id, udpLimitBytes, this.#modules.random));
      finish(rcode);
    };
    const taken = this.#forwarder.forward(message, {
      client: client.address,
      transport: client.transport,
      limitBytes: query.edns?.udpBytes ?? 512,
      deliver: (answer) => {
        if (answer === null) {
          fail('SERVFAIL');
          return;
        }
        client.reply(answer);
        finish(rcodeText((answer[3] as number) & 15));
      },
    });
    if (!taken) fail('REFUSED');
  }

  #drop(reason: DropReason, client: Client): void {
    this.#counters.drop(reason);
    client.reply(null);
  }

  /** Names instead of addresses, and ourselves, are left out. */
  #setUpstreams(servers: readonly string[]): void {
    const { log } = this.#modules;
    const isNew = servers !== this.#configured;
    this.#configured = servers;
    // On another port we are nobody's name server.
    const ours = new Set(this.#listeners.port === DNS_PORT ? this.#listeners.addresses : []);
    const usable = servers.filter((server) => isServerAddress(server) && !ours.has(server));
    const left = servers.filter((server) => !usable.includes(server));
    if (isNew && left.length > 0) {
      log.warn('name servers left out: not an address, or ourselves', { servers: left.join(' ') });
    }
    for (const { address, name } of this.#upstreams.set(usable)) {
      this.#loops.delete(address);
      this.#forwarder.probe(
        address,
        encode({
          type: 'query',
          flags: RECURSION_DESIRED,
          questions: [{ type: 'TXT', name }],
        }),
      );
    }
  }

  #noteLoop(address: string): void {
    this.#loops.add(address);
    this.#counters.upstreamFailed('loop');
    const text = 'a name server sends our queries back to us; it is not asked any more';
    this.#modules.log.warn(text, { server: address });
  }
}

const RCODE_TEXTS = new Map<number, string>(
  Object.entries(RCODES).map(([text, number]) => [number, text]),
);

const rcodeText = (rcode: number): string => RCODE_TEXTS.get(rcode) ?? `RCODE${rcode}`;
