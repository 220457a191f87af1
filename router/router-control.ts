/** What the control API may do to the running router; made of its parts by compose.ts. */
import type { Clock } from '../core/clock.js';
import { errorText } from '../core/errors.js';
import type { Logger } from '../core/log.js';
import { formatMac } from '../core/mac.js';
import type { SleeveOverlay } from '../fastdp/io/sleeve-overlay.js';
import { resolveTarget } from '../mesh/io/resolve-target.js';
import type { MeshRunner } from '../mesh/io/runner.js';
import type { ConnectItem } from '../mesh/peer/dial.js';
import { Addressing } from './addressing.js';
import type { ApiCounters } from './api/counters.js';
import type { AttachmentView, ExposureView, Report } from './api-types.js';
import type { CniPart } from './cni-part.js';
import type { RouterConfig } from './config.js';
import type {
  AttachOptions,
  CallOptions,
  CniControl,
  Control,
  IpamControl,
  NamesControl,
} from './control.js';
import type { DnsPart } from './dns-part.js';
import type { HostNetwork } from './host/host-network.js';
import { removeOriginal } from './io/import-original.js';
import { probeDevice } from './io/probe-device.js';
import type { StateStore } from './io/state-store.js';
import type { UnresolvedTargets } from './io/unresolved-targets.js';
import type { IpamPart } from './ipam-part.js';
import type { RouterMetrics } from './metrics.js';
import { Readiness } from './readiness.js';
import { buildReport } from './report.js';
import { dnsWarnings } from './report-dns.js';
import { ipamWarnings } from './report-ipam.js';
import { offloadWarnings } from './report-offloads.js';

const CONTAINER_ID = /^[0-9a-f]{64}$/;
/** How the bridge itself is called among the attachments. */
const EXPOSED_TARGET = 'weave:expose';

export interface RouterControlOptions {
  readonly config: RouterConfig;
  readonly version: string;
  readonly pid: number;
}

export interface RouterControlModules {
  readonly clock: Clock;
  readonly log: Logger;
  readonly mesh: MeshRunner;
  readonly overlay: SleeveOverlay;
  readonly host: HostNetwork;
  /** null: the name service is off. */
  readonly dns: DnsPart | null;
  /** null: off. */
  readonly ipam: IpamPart | null;
  readonly cni: CniPart;
  readonly store: StateStore;
  readonly unresolved: UnresolvedTargets;
  readonly metrics: () => Promise<RouterMetrics>;
  readonly apiCounters: ApiCounters;
  /** The user asked for an end of the process. */
  readonly onStop: () => void;
  /** Another router takes our place. */
  readonly onHandOver: () => void;
}

export class RouterControl implements Control {
  readonly #options: RouterControlOptions;
  readonly #modules: RouterControlModules;
  readonly #addressing: Addressing;
  readonly health: Readiness;
  #isReady = false;

  constructor(options: RouterControlOptions, modules: RouterControlModules) {
    this.#options = options;
    this.#modules = modules;
    this.#addressing = new Addressing(modules);
    const { mesh, overlay } = modules;
    this.health = new Readiness({
      started: () => this.#isReady,
      mesh: () => mesh.status(),
      loopAgeMs: () => overlay.loopAgeMs(),
      probeDevice: () => probeDevice(overlay),
    });
  }

  get ipam(): IpamControl | null {
    return this.#modules.ipam?.control ?? null;
  }

  get cni(): CniControl {
    return this.#modules.cni;
  }

  get names(): NamesControl | null {
    return this.#modules.dns;
  }

  setReady(isReady: boolean): void {
    this.#isReady = isReady;
  }

  ready(): boolean {
    return this.#isReady;
  }

  async report(): Promise<Report> {
    const { mesh, overlay, host, cni, unresolved, apiCounters, clock } = this.#modules;
    const dataPlane = await overlay.status().catch(() => null);
    const meshStatus = mesh.status();
    const dns = this.#modules.dns?.report() ?? null;
    const ipam = this.#modules.ipam?.report() ?? null;
    const noData = 'the data plane does not answer; see the log';
    return buildReport({
      ready: this.#isReady,
      version: this.#options.version,
      port: this.#options.config.port,
      pid: this.#options.pid,
      wallMs: clock.wallMs(),
      tapName: overlay.tapName,
      mesh: { ...meshStatus, targets: [...meshStatus.targets, ...unresolved.texts] },
      dataPlane,
      offloads: dataPlane?.offloads ?? [],
      queues: dataPlane?.queues ?? [],
      overlays: {
        sleeve: {
          CryptoLibrary: overlay.cryptoLibrary,
          Offloads: dataPlane?.offloads ?? null,
          Io: dataPlane?.io ?? null,
          Host: host.counters(),
          Cni: cni.counters(),
        },
      },
      apiRejections: apiCounters.rejections(),
      warnings: [
        ...unresolved.warnings(),
        ...offloadWarnings(dataPlane?.offloads ?? []),
        ...(dataPlane === null ? [noData] : []),
        ...(dns === null ? [] : dnsWarnings(dns)),
        ...(ipam === null ? [] : ipamWarnings(ipam)),
      ],
      dns,
      ipam,
    });
  }

  async metrics(): Promise<string> {
    const metrics = await this.#modules.metrics();
    return metrics.text(await this.report());
  }

  async connect(peers: readonly string[], replace: boolean): Promise<readonly string[]> {
    const { mesh, unresolved } = this.#modules;
    const items: ConnectItem[] = [];
    const faults: string[] = [];
    const results = await Promise.allSettled(peers.map((text) => resolveTarget(text)));
    for (const result of results) {
      if (result.status === 'fulfilled') items.push(result.value);
      else faults.push(errorText(result.reason));
    }
    // A call with nothing but faults is a mistake; forgetting all for it would be another.
    if (replace && (items.length > 0 || peers.length === 0)) unresolved.forget(null);
    const replaces = replace && (items.length > 0 || peers.length === 0);
    if (items.length > 0 || replaces) mesh.connect(items, replaces);
    return faults;
  }

  async forget(peers: readonly string[]): Promise<void> {
    this.#modules.unresolved.forget(peers);
    this.#modules.mesh.forget(peers);
  }

  async attach(
    target: string,
    addresses: readonly string[],
    options: AttachOptions & CallOptions,
  ): Promise<readonly string[]> {
    const attached = await this.#addressing.attach(target, addresses, options);
    await this.#modules.dns?.workloadAttached(target, attached, options.names ?? []);
    return attached;
  }

  async detach(target: string, addresses: readonly string[]): Promise<readonly string[]> {
    const detached = await this.#addressing.detach(target, addresses);
    this.#modules.dns?.workloadDetached(target, detached);
    return detached;
  }

  async attachments(): Promise<readonly AttachmentView[]> {
    const { host } = this.#modules;
    const bridge = await host.bridgeState();
    const mac = formatMac(bridge.mac);
    const own = { target: EXPOSED_TARGET, container: null, mac, cidrs: bridge.cidrs };
    const workloads = await host.attachments();
    const isContainer = ({ ident }: { readonly ident: string }): boolean =>
      CONTAINER_ID.test(ident);
    const names = workloads.some(isContainer)
      ? await host.containerNames()
      : new Map<string, string>();
    return [
      own,
      ...workloads.map((workload) => ({
        target: workload.target,
        container: isContainer(workload)
          ? { id: workload.ident, name: names.get(workload.ident) ?? null }
          : null,
        mac: workload.mac,
        cidrs: workload.cidrs,
      })),
    ];
  }

  async expose(
    addresses: readonly string[],
    options: { readonly masquerade: boolean } & CallOptions,
  ): Promise<readonly string[]> {
    const exposed = await this.#addressing.expose(addresses, options);
    await this.#modules.dns?.exposureChanged([]);
    this.#saveExposures();
    return exposed;
  }

  async hide(addresses: readonly string[]): Promise<readonly string[]> {
    const hidden = await this.#addressing.hide(addresses);
    await this.#modules.dns?.exposureChanged(hidden);
    this.#saveExposures();
    return hidden;
  }

  async exposures(): Promise<readonly ExposureView[]> {
    return this.#modules.host.exposures();
  }

  async reset(): Promise<void> {
    this.#isReady = false;
    const { dns, host, ipam, overlay, store } = this.#modules;
    await dns?.discard();
    // A data plane that finds its device gone makes a new one, which outlives it.
    await overlay.close();
    await host.tearDown();
    await ipam?.discard();
    store.remove();
    // It would be taken over by the next start, with ranges that were given away.
    removeOriginal(this.#options.config.dbPrefix);
  }

  stop(): void {
    this.#modules.onStop();
  }

  handOver(): void {
    this.#modules.onHandOver();
  }

  #saveExposures(): void {
    const { host, store } = this.#modules;
    const without = host.exposures().filter(({ masquerade }) => !masquerade);
    store.update({ withoutMasquerade: without.map(({ cidr }) => cidr) });
  }
}
