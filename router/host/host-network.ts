/**
 * The host's side of the network as the router sees it: bridge, workloads, exposed addresses and
 * packet-filter rules. One queue serialises all calls, since each reads the state of the host,
 * decides, and changes it through external programs. Nothing here is undone when the router stops:
 * workloads of this host go on talking to each other.
 * Source: reference/host-network.md.
 */
import { ConfigError } from '../../core/errors.js';
import { type Cidr, cidrContains, formatCidr, networkOf, parseCidr } from '../../core/ip.js';
import { formatMac, type Mac, parseMac } from '../../core/mac.js';
import { parseHostCidr } from './addresses.js';
import { type Attachment, Attachments } from './attachments.js';
import { Bridge } from './bridge.js';
import { MAX_BRIDGE_MTU, MIN_BRIDGE_MTU } from './bridge-plan.js';
import { type ExposureRecord, Exposures } from './exposures.js';
import { type LinkState, parseRoutes } from './link-state.js';
import { checkInterfaceName } from './names.js';
import type { HostModules } from './ports.js';
import { SerialQueue } from './serial-queue.js';
import { type AttachOptions, type WorkloadIdentity, Workloads } from './workloads.js';

/** Calls that may wait for their turn; more are refused with `host-busy`. */
const MAX_WAITING_CALLS = 256;

export interface HostNetworkOptions {
  /** `--weave-bridge` */
  readonly bridge: string;
  readonly tapName: string;
  /** `--mtu`; null when not given: an existing bridge keeps its MTU, a new one gets 1376. */
  readonly mtu: number | null;
  /** MAC of a new bridge: the peer name. */
  readonly peerMac: Mac;
  /** TCP port of the control API on 127.0.0.1, or null if it has none. */
  readonly apiPort: number | null;
  /** What `exposures()` gave before the last stop. Only `masquerade` is taken from it. */
  readonly savedExposures?: readonly ExposureRecord[];
}

export interface HostCounters {
  readonly attaches: number;
  readonly attachFailures: number;
  readonly detaches: number;
  readonly ruleRepairs: number;
  readonly bridgeRepairs: number;
  readonly tapRepairs: number;
  readonly addressRepairs: number;
}

export class HostNetwork {
  readonly #queue = new SerialQueue(MAX_WAITING_CALLS);
  readonly #bridge: Bridge;
  readonly #workloads: Workloads;
  readonly #attachments: Attachments;
  readonly #exposures: Exposures;
  readonly #options: HostNetworkOptions;
  readonly #modules: HostModules;
  #isUp = false;
  readonly #counters = {
    attaches: 0,
    attachFailures: 0,
    detaches: 0,
    ruleRepairs: 0,
    bridgeRepairs: 0,
    tapRepairs: 0,
    addressRepairs: 0,
  };

  /** @throws {ConfigError} for names and sizes that no interface can have. */
  constructor(options: HostNetworkOptions, modules: HostModules) {
    checkInterfaceName('--weave-bridge', options.bridge);
    checkInterfaceName('the TAP device', options.tapName);
    checkMtu(options.mtu);
    const { bridge, tapName, mtu, apiPort } = options;
    this.#options = options;
    this.#modules = modules;
    this.#bridge = new Bridge(
      { bridge, tapName, mtu, peerMac: formatMac(options.peerMac) },
      modules,
    );
    this.#workloads = new Workloads(this.#bridge, modules);
    this.#attachments = new Attachments(this.#bridge, modules);
    this.#exposures = new Exposures(
      { bridge, apiPort, saved: options.savedExposures ?? [] },
      this.#bridge,
      modules,
    );
  }

  /**
   * Creates or adopts the bridge, lays the rules, takes up addresses found on the bridge. Call it
   * before the data plane opens the TAP device: an open one means that another router runs.
   * @throws {WeaveError} `router-running`, `bridge-type-differs`, `bridge-name-taken`,
   * `tool-missing`, `ip-failed`, `nft-failed`. May be called again.
   */
  setUp(): Promise<void> {
    return this.#queue.run(async () => {
      await this.#bridge.setUp();
      await this.#exposures.restore();
      await this.#attachments.clampMtu();
      this.#isUp = true;
    });
  }

  /** Puts the TAP device, which the data plane holds open by now, on the bridge. Repeatable. */
  attachTap(): Promise<void> {
    return this.#queue.run(() => this.#bridge.attachTap());
  }

  /** Who a target is, before addresses are allocated for it. @throws {RequestError} */
  identify(target: string): Promise<WorkloadIdentity> {
    return this.#queue.run(() => this.#workloads.identify(target));
  }

  /** Names of the ports of the bridge: a workload's goes with its namespace. */
  portNames(): Promise<ReadonlySet<string>> {
    return this.#queue.run(async () => {
      const ports = await this.#bridge.links();
      return new Set(
        ports.filter(({ master }) => master === this.#options.bridge).map(({ name }) => name),
      );
    });
  }

  /**
   * Idempotent; on failure the workload is as it was before.
   * @param target netns name, absolute path, process id, container name or id.
   * @param cidrs `a.b.c.d/n`, at least one.
   * @returns the addresses as they are on the workload now.
   * @throws {RequestError} for a bad target or address.
   */
  attach(target: string, cidrs: readonly string[], options: AttachOptions): Promise<string[]> {
    return this.#queue.run(async () => {
      try {
        const present = await this.#workloads.attach(target, cidrs, options);
        this.#counters.attaches += 1;
        return present;
      } catch (error) {
        this.#counters.attachFailures += 1;
        throw error;
      }
    });
  }

  /**
   * @param cidrs exact, prefix included; an empty list means all of the workload.
   * @returns what was removed. The interface goes with the last address.
   * @throws {RequestError} `link-not-found`, `address-not-attached`: nothing was changed.
   */
  detach(target: string, cidrs: readonly string[], interfaceName?: string): Promise<string[]> {
    return this.#queue.run(async () => {
      const removed = await this.#workloads.detach(target, cidrs, interfaceName);
      this.#counters.detaches += 1;
      return removed;
    });
  }

  /** Idempotent; a repeated call with another `masquerade` changes just that. */
  expose(cidr: string, options: { readonly masquerade: boolean }): Promise<void> {
    return this.#queue.run(() => this.#exposures.expose(cidr, options.masquerade));
  }

  /** Idempotent. */
  hide(cidr: string): Promise<void> {
    return this.#queue.run(() => this.#exposures.hide(cidr));
  }

  /** Outside traffic to these ranges `a.b.c.d-e.f.g.h` keeps its source address. Repeatable. */
  keepSourcesTo(ranges: readonly string[]): Promise<void> {
    return this.#queue.run(() => this.#exposures.keepSourcesTo(ranges));
  }

  /** For status pages, and for the caller to store (see `savedExposures`). */
  exposures(): ExposureRecord[] {
    return this.#exposures.list();
  }

  attachments(): Promise<Attachment[]> {
    return this.#queue.run(() => this.#attachments.list());
  }

  /** @returns names of running containers by full id, as far as engines tell them. */
  containerNames(): Promise<ReadonlyMap<string, string>> {
    return this.#modules.engines.names();
  }

  /** MAC and IPv4 addresses of the bridge: the line `weave:expose` of `weave ps`. */
  bridgeState(): Promise<{ readonly mac: Mac; readonly mtu: number; readonly cidrs: string[] }> {
    return this.#queue.run(async () => {
      const { bridge } = await this.#bridge.require();
      const cidrs = bridge.addresses.map(formatCidr);
      return { mac: parseMac(bridge.mac), mtu: bridge.mtu, cidrs };
    });
  }

  /**
   * Warnings for the user about addresses that routes of this host lead elsewhere.
   * @returns one sentence for each clash.
   */
  routeClashes(cidrs: readonly string[]): Promise<string[]> {
    return this.#queue.run(async () => {
      const { ip, netns } = this.#modules;
      const routes = parseRoutes(await ip.query(netns.host, ['-4', 'route', 'show']));
      const foreign = routes.filter((route) => route.device !== this.#options.bridge);
      return cidrs.flatMap((text) => clashes(parseHostCidr(text), foreign));
    });
  }

  /**
   * Routes of this host that lead somewhere else, as far as they lie in a network or around it.
   * @returns fragments like `10.40.0.0/16 over "eth1"`. Works before `setUp`.
   */
  routesInto(network: Cidr): Promise<string[]> {
    return this.#queue.run(async () => {
      const { ip, netns } = this.#modules;
      const routes = parseRoutes(await ip.query(netns.host, ['-4', 'route', 'show']));
      return routes
        .filter(({ destination, device }) => {
          if (destination === 'default' || device === this.#options.bridge) return false;
          return overlap(network, parseDestination(destination));
        })
        .map(({ destination, device }) => `${destination} over "${device}"`);
    });
  }

  /**
   * Compares the host with what it should be and repairs it; called every few seconds.
   * @returns whether anything had to be repaired.
   */
  reconcile(): Promise<boolean> {
    return this.#queue.run(async () => {
      // Before `setUp` and after `tearDown` nothing is wanted.
      if (!this.#isUp) return false;
      const counters = this.#counters;
      const before = repairsOf(counters);
      let links = await this.#bridge.links();
      const wanted = (link: LinkState): boolean => link.name === this.#options.bridge;
      if (!links.some(wanted)) {
        this.#modules.log.warn('The bridge is gone; making it again', {
          bridge: this.#options.bridge,
        });
        await this.#bridge.setUp();
        counters.bridgeRepairs += 1;
        links = await this.#bridge.links();
      }
      if (await this.#bridge.repairTap(links)) counters.tapRepairs += 1;
      this.#bridge.reportFaults(links);
      const bridge = links.find(wanted) ?? (await this.#bridge.require()).bridge;
      counters.addressRepairs += await this.#exposures.repairAddresses(bridge);
      if (await this.#exposures.repairRules()) counters.ruleRepairs += 1;
      return repairsOf(counters) > before;
    });
  }

  /**
   * For `weave reset`: removes rules, bridge and every `vethwe…` interface, so that workloads lose
   * theirs. Packet-filter rules that Weave Net 2 laid with iptables are not touched.
   * @throws {WeaveError} `reset-incomplete`
   */
  tearDown(): Promise<void> {
    return this.#queue.run(async () => {
      this.#isUp = false;
      const exists = (await this.#bridge.links()).some(
        (link) => link.name === this.#options.bridge,
      );
      if (exists) await this.#attachments.removeRules();
      await this.#exposures.tearDown();
      await this.#bridge.tearDown();
    });
  }

  counters(): HostCounters {
    return { ...this.#counters };
  }
}

function repairsOf(counters: HostCounters): number {
  const { ruleRepairs, bridgeRepairs, tapRepairs, addressRepairs } = counters;
  return ruleRepairs + bridgeRepairs + tapRepairs + addressRepairs;
}

function checkMtu(mtu: number | null): void {
  if (mtu === null) return;
  if (Number.isInteger(mtu) && mtu >= MIN_BRIDGE_MTU && mtu <= 65535) return;
  throw new ConfigError(
    '--mtu',
    `${mtu} is no MTU: expected ${MIN_BRIDGE_MTU} to ${MAX_BRIDGE_MTU} ` +
      '(up to 65535 is accepted and taken as the latter)',
  );
}

const parseDestination = (text: string): Cidr =>
  networkOf(parseCidr(text.includes('/') ? text : `${text}/32`));

const overlap = (a: Cidr, b: Cidr): boolean =>
  cidrContains(networkOf(a), b.address) || cidrContains(networkOf(b), a.address);

function clashes(cidr: Cidr, routes: readonly { destination: string; device: string }[]): string[] {
  return routes
    .filter(({ destination }) => {
      if (destination === 'default') return false;
      return cidrContains(parseDestination(destination), cidr.address);
    })
    .map(
      ({ destination, device }) =>
        `${formatCidr(cidr)} lies in ${destination}, which this host reaches over "${device}"`,
    );
}
