/**
 * The name service among the router's other parts: made from options, fed by the mesh, the host and
 * the container engines. Names are there before the mesh starts, since neighbours tell at once what
 * they remember of us.
 *
 *   mesh ── gossip ──> names <── API, attach, engines
 *                        └──> DNS server ── other names ──> the host's resolvers
 */
import type { Clock } from '../core/clock.js';
import { errorText, RequestError } from '../core/errors.js';
import { type Cidr, networkOf, parseCidr } from '../core/ip.js';
import type { Logger } from '../core/log.js';
import type { PeerName } from '../core/peer-name.js';
import type { Random } from '../core/random.js';
import type { NameServer } from '../dns/io/dns-server.js';
import { DnsThread } from '../dns/io/dns-thread.js';
import { NamesTimer } from '../dns/io/names-timer.js';
import { localAddresses } from '../dns/io/served-networks.js';
import { registerNameChannels } from '../dns/name-channel.js';
import { type NameFilter, Names } from '../dns/names.js';
import { parseAddress, type RecordData } from '../dns/record-data.js';
import { LimitedLog } from '../mesh/limited-log.js';
import type { Mesh } from '../mesh/mesh.js';
import type { AddNameOptions, NamesControl } from './control.js';
import type { DnsConfig } from './dns-options.js';
import type { HostNetwork } from './host/host-network.js';
import { bridgePorts } from './host/io/bridge-ports.js';
import { inspectContainer } from './host/io/container-inspector.js';
import { ContainerWatch } from './host/io/container-watch.js';
import { RepairTimer } from './host/io/repair-timer.js';
import { NamesStore } from './io/names-store.js';
import type { DnsReportInput } from './report-dns.js';
import { addressOf, WorkloadNames } from './workload-names.js';

/** The host's own names on the overlay. */
export const EXPOSE_IDENT = 'weave:expose';
const PORTS_INTERVAL_MS = 1000;

export interface DnsPartOptions {
  readonly config: DnsConfig;
  readonly localPeer: PeerName;
  readonly bridge: string;
  /** That addresses are allocated from; null: none. */
  readonly range: Cidr | null;
  readonly dbPrefix: string;
  readonly engineSockets: readonly string[];
}

export interface DnsPartModules {
  readonly mesh: Mesh;
  readonly host: HostNetwork;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
}

export class DnsPart implements NamesControl {
  readonly #options: DnsPartOptions;
  readonly #modules: DnsPartModules;
  readonly #names: Names;
  readonly #timer: NamesTimer;
  readonly #server: NameServer;
  readonly #store: NamesStore;
  readonly #workloads: WorkloadNames;
  readonly #containers: ContainerWatch;
  readonly #portsTimer: RepairTimer;
  #networks: readonly Cidr[] = [];
  #ports = '';

  constructor(options: DnsPartOptions, modules: DnsPartModules) {
    const { config, localPeer, dbPrefix, engineSockets } = options;
    const { mesh, clock, random, log } = modules;
    this.#options = options;
    this.#modules = modules;
    const limited = new LimitedLog({ log });
    this.#names = new Names(
      { localPeer, domain: config.domain },
      {
        clock,
        isKnownPeer: (name) => mesh.topology.peers.has(name),
        warn: (kind, text, fields) => limited.warn(kind, text, fields, clock.nowMs()),
      },
    );
    this.#timer = new NamesTimer(this.#names, clock);
    this.#names.onOwnChanged = () => this.#store.touch();
    const { listen, ttlSeconds, upstreamTimeoutMs, resolvConfPath, allowed } = config;
    this.#server = new DnsThread(
      {
        domain: this.#names.domain,
        listen,
        ttlSeconds,
        upstreamTimeoutMs,
        resolvConfPath,
        allowed,
      },
      { table: this.#names.table, overlayNetworks: () => this.#networks, clock, random, log },
    );
    this.#containers = new ContainerWatch(
      engineSockets,
      {
        onEvent: ({ kind, id }) => {
          if (kind !== 'started') this.#workloads.handleContainerEnd(id);
        },
        onListed: () => void this.#listed(),
      },
      log,
    );
    this.#workloads = new WorkloadNames(config.naming, {
      names: this.#names,
      inspect: (target) => inspectContainer(engineSockets, target),
      isContainerRunning: (id) => this.#containers.isRunning(id),
      log,
    });
    this.#store = new NamesStore(
      { dbPrefix, localPeer },
      {
        log,
        names: () =>
          this.#names.own().map(({ hostname, containerId, type, data }) => {
            const isHost = containerId === EXPOSE_IDENT;
            const attached = isHost || this.#workloads.isAttached(containerId);
            return { hostname, containerId, type, data, attached };
          }),
      },
    );
    this.#portsTimer = new RepairTimer(() => this.#lookAtPorts(), log);
  }

  get domain(): string {
    return this.#names.domain;
  }

  /** With the bridge in place and before the mesh starts. @throws {WeaveError} */
  async start(): Promise<void> {
    const { mesh, clock } = this.#modules;
    await this.#restore();
    const names = this.#names;
    registerNameChannels((channel) => mesh.registerChannel(channel), { names, clock });
    mesh.onPeerGone((name) => names.handlePeerGone(name, clock.nowMs()));
    this.#timer.start();
    await this.#server.start();
    this.#portsTimer.start(PORTS_INTERVAL_MS);
    this.#containers.start();
  }

  async stop(): Promise<void> {
    this.#timer.stop();
    this.#portsTimer.stop();
    this.#containers.stop();
    this.#store.flush();
    await this.#server.close();
  }

  /** For `weave reset`: nothing is remembered. */
  async discard(): Promise<void> {
    await this.stop();
    this.#store.remove();
  }

  report(): DnsReportInput {
    const { domain, table, counters } = this.#names;
    return {
      domain,
      ttlSeconds: this.#options.config.ttlSeconds,
      address: this.addressAndPort(),
      entries: [...table.all()],
      tombstones: table.tombstoneCount,
      counters,
      server: this.#server.status(),
    };
  }

  /** What workloads are to ask: of all addresses one that they are likely to reach. */
  address(): string {
    const { host } = this.#options.config.listen;
    const { addresses } = this.#server.status();
    if (host !== null && host !== '0.0.0.0' && host !== '::') return host;
    const served = localAddresses().filter(({ address }) => addresses.includes(address));
    const of = (name: string) =>
      served.find(({ interfaceName, isIpv4 }) => isIpv4 && interfaceName === name);
    const chosen =
      of('docker0') ?? of(this.#options.bridge) ?? served.find(({ isInternal }) => !isInternal);
    return chosen?.address ?? host ?? '0.0.0.0';
  }

  addressAndPort(): string {
    const address = this.address();
    const { port } = this.#options.config.listen;
    return `${address.includes(':') ? `[${address}]` : address}:${port}`;
  }

  list() {
    return [...this.#names.table.all()];
  }

  async add(
    containerId: string,
    record: RecordData,
    name: string | null,
    { checkAlive }: AddNameOptions,
  ): Promise<void> {
    const id = checkAlive ? await this.#workloads.identify(containerId) : containerId;
    const hostname = name ?? (checkAlive ? await this.#workloads.nameOf(containerId) : null);
    if (hostname === null) return;
    if (!this.#names.isLocal(hostname)) {
      // As the original has it: a container may well have a name of another domain.
      const fields = { name: hostname, container: id, data: record.data, domain: this.domain };
      this.#modules.log.info('Ignoring registration: not a subdomain of our domain', fields);
      return;
    }
    this.#names.register(hostname, id, record);
    if (checkAlive && (await this.#isDead(containerId))) this.#names.remove({ containerId: id });
  }

  async remove(filter: NameFilter): Promise<void> {
    const { containerId } = filter;
    const id = containerId === undefined ? undefined : await this.#workloads.identify(containerId);
    this.#names.remove(filter);
    if (id !== undefined && id !== containerId) {
      this.#names.remove({ ...filter, containerId: id });
    }
  }

  async workloadAttached(
    target: string,
    cidrs: readonly string[],
    names: readonly string[],
  ): Promise<void> {
    await this.#workloads.attached(target, cidrs, names);
    await this.#learnNetworks();
  }

  workloadDetached(target: string, cidrs: readonly string[]): void {
    this.#workloads.detached(target, cidrs);
  }

  /** The host got or lost an address on the overlay. */
  async exposureChanged(hidden: readonly string[]): Promise<void> {
    for (const cidr of hidden) {
      const record = parseAddress(addressOf(cidr));
      this.#names.remove({ containerId: EXPOSE_IDENT, record });
    }
    await this.#learnNetworks();
    await this.#server.refresh();
  }

  async #isDead(target: string): Promise<boolean> {
    const container = await inspectContainer(this.#options.engineSockets, target).catch(() => null);
    return container !== null && !container.isRunning;
  }

  /** Names of what is still there come back as they were. */
  async #restore(): Promise<void> {
    const stored = this.#store.load();
    this.#ports = this.#portList();
    const { workloads, exposed } = await this.#learnNetworks();
    const present = new Set(workloads.map(({ target }) => target));
    const isPresent = ({ containerId, data }: (typeof stored)[number]): boolean =>
      containerId === EXPOSE_IDENT
        ? exposed.some((cidr) => addressOf(cidr) === data)
        : present.has(containerId) || this.#workloads.isAttached(containerId);
    await this.#workloads.reconcile(workloads);
    for (const name of stored) {
      if (name.attached && !isPresent(name)) continue;
      try {
        this.#names.register(name.hostname, name.containerId, name);
      } catch (error) {
        if (!(error instanceof RequestError)) throw error;
        this.#modules.log.warn('a stored name was not restored', { error: errorText(error) });
      }
    }
  }

  /** Reverse names of networks in which this host takes part are nobody else's business. */
  async #learnNetworks() {
    const { host } = this.#modules;
    const [workloads, bridge] = await Promise.all([host.attachments(), host.bridgeState()]);
    const exposed = bridge.cidrs;
    const cidrs = [...exposed, ...workloads.flatMap((workload) => workload.cidrs)];
    const { range } = this.#options;
    const networks = cidrs.map((cidr) => networkOf(parseCidr(cidr)));
    this.#networks = range === null ? networks : [range, ...networks];
    return { workloads, exposed };
  }

  async #lookAtPorts(): Promise<void> {
    const ports = this.#portList();
    if (ports === this.#ports) return;
    const { workloads } = await this.#learnNetworks();
    await this.#workloads.reconcile(workloads);
    this.#ports = ports;
    this.#store.touch();
  }

  /** Without a bridge nothing can be told. */
  #portList(): string {
    return bridgePorts(this.#options.bridge)?.join(' ') ?? this.#ports;
  }

  async #listed(): Promise<void> {
    try {
      const { workloads } = await this.#learnNetworks();
      await this.#workloads.handleListed(workloads);
    } catch (error) {
      this.#modules.log.warn('containers could not be named', { error: errorText(error) });
    }
  }
}
