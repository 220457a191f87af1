/**
 * The allocator among the router's other parts: made from options, fed by the mesh, the host and
 * the container engines, started before the mesh and stopped after it.
 *
 *   mesh ── gossip, who is there ──> allocator <── attach, API
 *   engines, ports on the bridge ──> watch ──> releases
 */
import type { Clock } from '../core/clock.js';
import { RequestError } from '../core/errors.js';
import { formatCidr, formatIpv4, type Ipv4 } from '../core/ip.js';
import type { Logger } from '../core/log.js';
import type { PeerName } from '../core/peer-name.js';
import type { Random } from '../core/random.js';
import { Allocator } from '../ipam/allocator.js';
import type { IpamMeshView } from '../ipam/interfaces.js';
import { IpamRunner } from '../ipam/io/runner.js';
import type { Mesh } from '../mesh/mesh.js';
import type { Ipam } from './addressing.js';
import type { IpamControl } from './control.js';
import type { HostNetwork } from './host/host-network.js';
import { ContainerWatch } from './host/io/container-watch.js';
import { RepairTimer } from './host/io/repair-timer.js';
import type { HostModules } from './host/ports.js';
import { targetExists } from './host/target.js';
import { IpamFileStore } from './io/ipam-store.js';
import { findPreClaims, RunningIpam } from './ipam-control.js';
import type { IpamConfig } from './ipam-options.js';
import type { IpamReportInput } from './report-ipam.js';
import { WorkloadWatch } from './workload-watch.js';

export interface IpamPartOptions {
  readonly config: IpamConfig;
  readonly localPeer: PeerName;
  readonly nickname: string;
  readonly dbPrefix: string;
  readonly engineSockets: readonly string[];
  /** Outside traffic to addresses of ours keeps its source. */
  readonly keepSources: boolean;
}

export interface IpamPartModules {
  readonly mesh: Mesh;
  readonly host: HostNetwork;
  readonly hostModules: HostModules;
  /** Peers the user named, whether or not their names resolve yet. */
  readonly targetCount: () => number;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
}

export class IpamPart implements Ipam {
  readonly defaultSubnet;
  readonly runner: IpamRunner;
  readonly watch: WorkloadWatch;
  readonly control: IpamControl;
  readonly #modules: IpamPartModules;
  readonly #store: IpamFileStore;
  readonly #containers: ContainerWatch;
  readonly #timer: RepairTimer;
  readonly #localPeer: PeerName;
  /** Outside traffic to addresses of ours keeps its source. */
  readonly keepsSources: boolean;

  constructor(options: IpamPartOptions, modules: IpamPartModules) {
    const { config, localPeer, nickname, dbPrefix, engineSockets } = options;
    const { mesh, host, hostModules, clock, random, log } = modules;
    this.#modules = modules;
    this.#localPeer = localPeer;
    this.keepsSources = options.keepSources;
    this.defaultSubnet = config.defaultSubnet;
    this.#store = new IpamFileStore({ dbPrefix }, { log });
    const view: IpamMeshView = {
      peers: () => mesh.topology.peers.values(),
      isReachable: (peer) => mesh.canReach(peer),
      targetCount: modules.targetCount,
      isCloned: () => mesh.topology.hasRival(clock.nowMs()),
    };
    const { universe, defaultSubnet, init, reclaimAfterMs } = config;
    const uid = random.uint64() || 1n;
    const machine = new Allocator(
      { localPeer, nickname, uid, universe, defaultSubnet, init, reclaimAfterMs },
      { random, mesh: view },
    );
    this.runner = new IpamRunner({ machine, store: this.#store, clock, log });
    this.#containers = new ContainerWatch(
      engineSockets,
      {
        onEvent: ({ kind, id }) => this.watch.handleContainer(kind, id),
        onListed: () => void this.#look(),
      },
      log,
    );
    this.watch = new WorkloadWatch({
      events: this.runner,
      portNames: () => host.portNames(),
      isContainerRunning: (id) => this.#containers.isRunning(id),
      namespaceExists: (target) => targetExists(target, hostModules.netns),
    });
    this.#timer = new RepairTimer(() => this.#tend(), log);
    this.control = new RunningIpam(this, hostModules.engines);
  }

  /** Before the mesh starts, with the bridge in place. @throws {WeaveError} e.g. `state-newer` */
  async start(): Promise<void> {
    const { mesh, host } = this.#modules;
    const snapshot = this.#store.load();
    const filed = new Map(
      (snapshot?.owned ?? []).flatMap((owned) =>
        owned.cidrs.map(([address]): [number, typeof owned] => [address, owned]),
      ),
    );
    const { claims, ports } = await findPreClaims(host, filed);
    this.runner.start(snapshot, claims, mesh.registerChannel(this.runner.channel));
    for (const [ident, port] of ports) this.watch.note(ident, port);
    await this.watch.reconcile();
    // The call comes in the middle of the mesh's work.
    mesh.onPeersChanged = () => setImmediate(() => this.runner.handlePeersChanged());
    this.#timer.start();
    this.#containers.start();
  }

  report(): IpamReportInput {
    return {
      status: this.runner.status(),
      store: this.runner.storeStatus(),
      counters: this.runner.counters(),
    };
  }

  async stop(): Promise<void> {
    this.#timer.stop();
    this.#containers.stop();
    await this.runner.stop();
    await this.#store.close();
  }

  /** For `weave reset`: nothing is remembered. */
  async discard(): Promise<void> {
    await this.stop();
    this.#store.remove();
  }

  async #tend(): Promise<void> {
    await this.watch.look();
    if (!this.keepsSources) return;
    const own = this.runner.status().entries.filter(({ peer }) => peer === this.#localPeer);
    // A range may go around the end of the address space only as two entries.
    const ranges = own.map(({ token, size }) => {
      const last = (token + size - 1) as Ipv4;
      return `${formatIpv4(token)}-${formatIpv4(last)}`;
    });
    await this.#modules.host.keepSourcesTo(ranges);
  }

  /** A fault shows at the next look of the timer, which reports it. */
  async #look(): Promise<void> {
    await this.watch.look().catch(() => {});
  }
}

/** @throws {RequestError} `ipalloc-overlap`, naming both. */
export async function checkOverlap(config: IpamConfig, host: HostNetwork): Promise<void> {
  if (config.allowOverlap) return;
  const [route] = await host.routesInto(config.universe);
  if (route === undefined) return;
  throw new RequestError(
    'ipalloc-overlap',
    `--ipalloc-range ${formatCidr(config.universe)} overlaps with the route of this host to ` +
      `${route}: set another range, the same on all peers, or none (--ipalloc-range=), or start ` +
      'with --ipalloc-allow-overlap if the overlay may have those addresses',
  );
}
