/**
 * Wires all parts into one router, starts them in order and stops them in reverse. The only file
 * that knows every part.
 *
 *   workloads — bridge — TAP ┐                       ┌ UDP — peers
 *                            └ data plane (worker) ──┘
 *                                   ▲ Overlay
 *   API, CLI — control ──────── mesh (main thread) ──── TCP — peers
 */
import { systemClock } from '../core/clock.js';
import { errorCode, errorText } from '../core/errors.js';
import { parseIpv4 } from '../core/ip.js';
import type { Logger } from '../core/log.js';
import type { Mac } from '../core/mac.js';
import { formatPeerName, type PeerName } from '../core/peer-name.js';
import { randomBelow } from '../core/random.js';
import { SleeveOverlay } from '../fastdp/io/sleeve-overlay.js';
import { KEY_LIMITS } from '../fastdp/key-schedule.js';
import { MeshRunner } from '../mesh/io/runner.js';
import { Tcp } from '../mesh/io/tcp.js';
import { isLanTarget } from '../mesh/lan-neighbours.js';
import { Mesh } from '../mesh/mesh.js';
import { parseTargetAddress } from '../mesh/peer/target-address.js';
import { systemRandom } from '../sys/random.js';
import { ApiCounters } from './api/counters.js';
import { choosePeerName } from './choose-peer-name.js';
import { CniPart } from './cni-part.js';
import type { LoadedConfig } from './config.js';
import { handleDeviceEvent } from './device-events.js';
import type { DnsPart } from './dns-part.js';
import { HostNetwork } from './host/host-network.js';
import { createHostModules } from './host/io/modules.js';
import { RepairTimer } from './host/io/repair-timer.js';
import { parseLinks } from './host/link-state.js';
import { DEFAULT_TAP_NAME } from './host/names.js';
import type { HostModules } from './host/ports.js';
import { importOriginal } from './io/import-original.js';
import { readSystemIds } from './io/local-files.js';
import { QuietCollection } from './io/quiet-collection.js';
import { ServiceManager } from './io/service-manager.js';
import { StateStore } from './io/state-store.js';
import { TakeOver } from './io/take-over.js';
import { preferControlThread } from './io/thread-priority.js';
import { UnresolvedTargets } from './io/unresolved-targets.js';
import { checkOverlap, IpamPart, type IpamPartModules } from './ipam-part.js';
import { lazyMetrics } from './lazy-metrics.js';
import { RouterControl, type RouterControlModules } from './router-control.js';
import { chooseStartTargets } from './start-targets.js';

export interface RouterModules {
  readonly log: Logger;
  readonly version: string;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** The user asked for an end, or a part that nothing works without is gone (`fault`). */
  readonly onEnd: (fault: string | null) => void;
  /** Another router takes our place on this host. */
  readonly onHandOver: () => void;
}

/** Peers to be called at the start, and whether the mesh knows of them yet. */
interface TargetPlan {
  readonly targets: readonly string[];
  areCalled: boolean;
}

/** Short ids have 12 bits. */
const SHORT_IDS = 4096;

/** Parts in the order of their start, each with what undoes it. */
type Undo = () => void | Promise<void>;

export class Router {
  readonly #loaded: LoadedConfig;
  readonly #modules: RouterModules;
  readonly #undo: Undo[] = [];
  readonly #store: StateStore;
  #stopping: Promise<void> | null = null;

  constructor(loaded: LoadedConfig, modules: RouterModules) {
    this.#loaded = loaded;
    this.#modules = modules;
    this.#store = new StateStore({ dbPrefix: loaded.config.dbPrefix }, modules);
  }

  /** @throws {WeaveError} with a sentence for the user; everything started is stopped again. */
  async start(): Promise<void> {
    try {
      await this.#start();
    } catch (error) {
      await this.stop();
      throw error;
    }
  }

  /** Orderly end. The bridge, the workloads and their addresses stay. */
  stop(): Promise<void> {
    this.#stopping ??= this.#stopAll();
    return this.#stopping;
  }

  async #stopAll(): Promise<void> {
    for (let undo = this.#undo.pop(); undo !== undefined; undo = this.#undo.pop()) {
      try {
        await undo();
      } catch (error) {
        const fields = { code: errorCode(error), error: errorText(error) };
        this.#modules.log.error('a part of the router did not stop in order', fields);
      }
    }
  }

  async #start(): Promise<void> {
    const { config } = this.#loaded;
    const { log } = this.#modules;
    for (const peer of config.peers) parseTargetAddress(peer);
    const { dbPrefix, name: ownName, ipam } = config;
    const takeOver = new TakeOver(config, { clock: systemClock, log });
    // Released last: whoever gets the lock finds all state written.
    this.#undo.push(() => takeOver.release());
    await takeOver.begin();
    const universe = ipam?.universe ?? null;
    const imported = { store: this.#store, random: systemRandom, log };
    await importOriginal({ dbPrefix, name: ownName, universe }, imported);
    // Of a router that still runs, this says name and exposures; it is read again after its end.
    this.#store.load();
    const { procPath, engineSockets } = config;
    const hostModules = createHostModules({ procPath, engineSockets }, log);
    const name = await this.#chooseName(hostModules);
    const host = this.#makeHost(name, hostModules);
    if (config.ipam !== null) await checkOverlap(config.ipam, host);
    const tcp = new Tcp({ host: config.host ?? '', port: config.port }, { log });
    // The largest library loads while this thread would only wait for the tools of the next step.
    const apiModule = import('./api/server.js');
    // Refuses if another router has the bridge, before it changes anything.
    const overlay = await this.#startOverlay(name, host, async () => {
      await apiModule;
      await takeOver.finish();
      this.#store.load();
      await host.setUp();
    });
    const { state } = this.#store;
    const targets = chooseStartTargets({
      given: config.peers,
      resume: config.resume,
      stored: { given: state.givenTargets, targets: state.targets, started: state.started },
    });
    const plan = { targets, areCalled: false };
    const parts = await this.#startMesh(name, tcp, { overlay, host, hostModules, plan });
    const { mesh, unresolved } = parts;
    const cni = this.#makeCni(hostModules, parts.ipam);
    const control = await this.#startApi(await apiModule, { ...parts, cni, overlay, host });
    this.#store.update({
      peerName: formatPeerName(name),
      givenTargets: [...config.peers],
      targets: [...targets],
      started: true,
    });
    this.#startRepairs(host);
    this.#startCollection();
    control.setReady(true);
    this.#notifyReady(name, overlay);
    mesh.connect(await unresolved.add(targets), false);
    plan.areCalled = true;
  }

  async #chooseName(hostModules: HostModules): Promise<PeerName> {
    const { config } = this.#loaded;
    const links = parseLinks(await hostModules.ip.query(hostModules.netns.host, ['link', 'show']));
    const { name, source } = choosePeerName(
      {
        option: config.name,
        bridgeMac: links.find((link) => link.name === config.bridge)?.mac ?? null,
        stored: this.#store.state.peerName,
        systemIds: readSystemIds(config.hostRoot),
      },
      systemRandom,
    );
    const fields = { peer: formatPeerName(name), nickname: config.nickname, source };
    this.#modules.log.info('our peer name', fields);
    return name;
  }

  #makeHost(name: PeerName, hostModules: HostModules): HostNetwork {
    const { config } = this.#loaded;
    const saved = this.#store.state.withoutMasquerade;
    return new HostNetwork(
      {
        bridge: config.bridge,
        tapName: DEFAULT_TAP_NAME,
        mtu: config.mtu,
        peerMac: name as number as Mac,
        apiPort: config.http?.kind === 'tcp' ? config.http.port : null,
        savedExposures: saved.map((cidr) => ({ cidr, masquerade: false })),
      },
      hostModules,
    );
  }

  /** @param bridgeReady prepares the host; the TAP device must not be opened before. */
  async #startOverlay(
    name: PeerName,
    host: HostNetwork,
    bridgeReady: () => Promise<void>,
  ): Promise<SleeveOverlay> {
    const { config } = this.#loaded;
    const { log } = this.#modules;
    const overlay = await SleeveOverlay.start(
      {
        localPeer: name,
        port: config.port,
        address: config.host === null ? 0 : parseIpv4(config.host),
        tapName: DEFAULT_TAP_NAME,
        // With its place in the bridge, whatever the router does.
        persistTap: true,
        offloads: config.offloads,
        queues: config.queues,
        busyPoll: config.busyPoll,
        keyLimits: { ...KEY_LIMITS, intervalMs: config.rekeyIntervalMs },
      },
      { log, openAfter: bridgeReady },
    );
    this.#undo.push(() => overlay.close());
    const { log: deviceLog, onEnd } = this.#modules;
    const attachTap = (): Promise<void> => host.attachTap();
    overlay.onDeviceEvent = (event) =>
      handleDeviceEvent(event, { attachTap, onEnd, log: deviceLog });
    preferControlThread(this.#modules.log);
    await host.attachTap();
    return overlay;
  }

  async #startMesh(
    name: PeerName,
    tcp: Tcp,
    parts: {
      readonly overlay: SleeveOverlay;
      readonly host: HostNetwork;
      readonly hostModules: HostModules;
      readonly plan: TargetPlan;
    },
  ): Promise<Pick<RouterControlModules, 'mesh' | 'dns' | 'ipam' | 'unresolved'>> {
    const { config, password } = this.#loaded;
    const { log, version } = this.#modules;
    const { overlay, plan } = parts;
    const mesh = new Mesh(
      {
        name,
        nickname: config.nickname,
        uid: systemRandom.uint64() || 1n,
        shortId: randomBelow(systemRandom, SHORT_IDS),
        port: config.port,
        password,
        minVersion: config.minProtocolVersion,
        maxVersion: config.maxProtocolVersion,
        discovery: config.discovery,
        connLimit: config.connLimit,
        trustedSubnets: config.trustedSubnets,
        ciphers: config.ciphers,
        extraFeatures: { Software: `weave-net/${version}` },
      },
      { random: systemRandom, clock: systemClock, overlays: [overlay], log },
    );
    const onTargetsChanged = (texts: readonly string[]): void =>
      this.#store.update({ targets: texts.filter((text) => !isLanTarget(text)) });
    const runner = new MeshRunner({ mesh, tcp, clock: systemClock, log, onTargetsChanged });
    const unresolved = new UnresolvedTargets({
      log,
      onResolved: (item) => runner.connect([item], false),
    });
    this.#undo.push(() => unresolved.stop());
    const targetCount = (): number =>
      plan.areCalled ? mesh.targetCount() + unresolved.texts.length : plan.targets.length;
    const ipam = await this.#startIpam(name, { mesh, ...parts, targetCount });
    const dns = await this.#startDns(name, mesh, parts.host);
    await runner.start();
    this.#undo.push(() => runner.stop());
    if (config.lanDiscovery) await this.#startLan(name, runner);
    return { mesh: runner, dns, ipam, unresolved };
  }

  async #startLan(name: PeerName, runner: MeshRunner): Promise<void> {
    const { LanPart } = await import('./io/lan-part.js');
    const { port, bridge } = this.#loaded.config;
    const { log } = this.#modules;
    const part = new LanPart(
      { name, port, bridge, password: this.#loaded.password },
      { mesh: runner, clock: systemClock, random: systemRandom, log },
    );
    runner.addCounters(() => part.counters);
    await part.start();
    this.#undo.push(() => part.stop());
  }

  async #startDns(name: PeerName, mesh: Mesh, host: HostNetwork): Promise<DnsPart | null> {
    const { dns: config, ipam, bridge, dbPrefix, engineSockets } = this.#loaded.config;
    const range = ipam?.universe ?? null;
    if (config === null) return null;
    const dns = await import('./dns-part.js');
    const part = new dns.DnsPart(
      { config, localPeer: name, bridge, range, dbPrefix, engineSockets },
      { mesh, host, clock: systemClock, random: systemRandom, log: this.#modules.log },
    );
    this.#undo.push(() => part.stop());
    await part.start();
    return part;
  }

  async #startIpam(
    name: PeerName,
    parts: Pick<IpamPartModules, 'mesh' | 'host' | 'hostModules' | 'targetCount'>,
  ): Promise<IpamPart | null> {
    const { config } = this.#loaded;
    if (config.ipam === null) return null;
    const { nickname, dbPrefix, engineSockets, noMasqLocal: keepSources } = config;
    const ipam = new IpamPart(
      { config: config.ipam, localPeer: name, nickname, dbPrefix, engineSockets, keepSources },
      { ...parts, clock: systemClock, random: systemRandom, log: this.#modules.log },
    );
    await ipam.start();
    this.#undo.push(() => ipam.stop());
    return ipam;
  }

  #makeCni(hostModules: HostModules, ipam: IpamPart | null): CniPart {
    const { bridge, procPath, dbPrefix } = this.#loaded.config;
    const { log } = this.#modules;
    const part = new CniPart({ bridge, procPath, dbPrefix }, { hostModules, ipam, log });
    this.#undo.push(() => part.stop());
    return part;
  }

  async #startApi(
    { ApiServer }: typeof import('./api/server.js'),
    parts: Pick<
      RouterControlModules,
      'mesh' | 'dns' | 'ipam' | 'cni' | 'overlay' | 'host' | 'unresolved'
    >,
  ): Promise<RouterControl> {
    const { config } = this.#loaded;
    const { log, version, onEnd, onHandOver } = this.#modules;
    const apiCounters = new ApiCounters();
    const control = new RouterControl(
      { config, version, pid: process.pid },
      {
        ...parts,
        clock: systemClock,
        log,
        store: this.#store,
        metrics: lazyMetrics(),
        apiCounters,
        onStop: () => {
          // Nothing is left to remember after a reset.
          if (control.ready()) this.#store.update({ started: false });
          onEnd(null);
        },
        onHandOver,
      },
    );
    await parts.cni.start(control);
    const { http, status, socketPath } = config;
    const server = new ApiServer(
      { http, status, metrics: config.metrics, socketPath },
      { control, counters: apiCounters, log },
    );
    await server.start();
    this.#undo.push(() => server.close());
    log.info('control API', { addresses: server.addresses.join(' ') });
    return control;
  }

  #startRepairs(host: HostNetwork): void {
    const timer = new RepairTimer(() => host.reconcile(), this.#modules.log);
    timer.start();
    this.#undo.push(() => timer.stop());
  }

  #startCollection(): void {
    const collection = new QuietCollection();
    collection.start();
    this.#undo.push(() => collection.stop());
  }

  #notifyReady(name: PeerName, overlay: SleeveOverlay): void {
    const { log, env } = this.#modules;
    const service = new ServiceManager(
      { socketPath: env['NOTIFY_SOCKET'], watchdogMicros: env['WATCHDOG_USEC'] },
      { log, loopAgeMs: () => overlay.loopAgeMs() },
    );
    service.ready(`peer ${formatPeerName(name)}`);
    this.#undo.push(() => service.stopping());
  }
}
