/**
 * Prometheus metrics, made from the report at the time of a scrape. First the original's names,
 * labels and scales, which dashboards and alerts depend on; then ours. Families of parts that are
 * off don't exist: `weave_flows` at 0, for one, would fire an alert.
 * Source: reference/metrics.md 2, 4.
 */
import {
  Counter,
  collectDefaultMetrics,
  Gauge,
  type MetricConfiguration,
  Registry,
} from 'prom-client';
import type { Report, ReportConnection, ReportExtras } from './api-types.js';
import { createDnsMetrics } from './metrics-dns.js';

/** Delay of the event loop beyond what its timer asked for, since the last reading. */
export interface EventLoopDelay {
  /** Seconds. Reading starts a new period. */
  read(): { readonly p50: number; readonly p99: number; readonly max: number };
}

export interface MetricsModules {
  readonly eventLoopDelay: EventLoopDelay;
  /** Values of process_* and of the runtime, null for none. */
  readonly processMetrics: {
    /** Processor time of this process before this call, microseconds: the library starts at 0. */
    readonly usedBefore: { readonly user: number; readonly system: number };
  } | null;
}

/** Counters of the control plane that tell how introductions ended: `handshake-` and the code. */
const HANDSHAKE = /^handshakes?-(.+)$/;
const HELD_REASONS = ['starting', 'isolated', 'cloned'];
const STATES = ['established', 'pending', 'retrying', 'failed', 'connecting'];

type DataPlane = NonNullable<ReportExtras['DataPlane']>;

export class RouterMetrics {
  readonly #registry = new Registry();
  readonly #eventLoopDelay: EventLoopDelay;
  readonly #fill: ((report: Report) => void)[] = [];
  /** Scrapes share the registry, so one waits for the other. */
  #busy: Promise<unknown> = Promise.resolve();

  constructor(modules: MetricsModules) {
    this.#eventLoopDelay = modules.eventLoopDelay;
    if (modules.processMetrics !== null) this.#addProcess(modules.processMetrics.usedBefore);
    this.#addConnections();
    this.#addAddresses();
    this.#addTraffic();
    this.#addEvents();
    this.#fill.push(createDnsMetrics(this.#registry));
  }

  /** @returns text format 0.0.4. */
  text(report: Report): Promise<string> {
    const run = async (): Promise<string> => {
      for (const fill of this.#fill) fill(report);
      return await this.#registry.metrics();
    };
    const result = this.#busy.then(run, run);
    this.#busy = result.catch(() => {});
    return result;
  }

  #gauge(name: string, help: string, labelNames: readonly string[] = []): Gauge {
    return new Gauge(this.#config(name, help, labelNames));
  }

  #config(name: string, help: string, labelNames: readonly string[]): MetricConfiguration<string> {
    return { name, help, labelNames: [...labelNames], registers: [this.#registry] };
  }

  /**
   * A counter whose value lives elsewhere: set anew at each scrape. Absent labels vanish, as the
   * series of a peer do that has left.
   */
  #counter(
    name: string,
    help: string,
    labelNames: readonly string[],
    values: (report: Report) => Iterable<readonly [Record<string, string>, number]>,
  ): void {
    const counter = new Counter(this.#config(name, help, labelNames));
    this.#fill.push((report) => {
      counter.reset();
      for (const [labels, value] of values(report)) counter.inc(labels, value);
    });
  }

  #addProcess({ user, system }: { readonly user: number; readonly system: number }): void {
    collectDefaultMetrics({ register: this.#registry });
    for (const [name, micros] of [
      ['process_cpu_user_seconds_total', user],
      ['process_cpu_system_seconds_total', system],
      ['process_cpu_seconds_total', user + system],
    ] as const) {
      const counter = this.#registry.getSingleMetric(name) as Counter | undefined;
      counter?.inc(micros / 1e6);
    }
  }

  #addConnections(): void {
    const connections = this.#gauge(
      'weave_connections',
      'Connections and targets of this peer by state, overlay and encryption.',
      // Alphabetical, since scripts search for the text of a series.
      ['encryption', 'state', 'type'],
    );
    this.#fill.push((report) => {
      connections.reset();
      for (const connection of report.Router.Connections ?? []) {
        // Another state would make a series that no dashboard sums up.
        if (!STATES.includes(connection.State)) continue;
        const { state, type, encrypted } = connectionLabels(connection);
        connections.inc({ encryption: 'yes', state, type }, encrypted ? 1 : 0);
        connections.inc({ encryption: '', state, type }, encrypted ? 0 : 1);
      }
    });
    this.#counter(
      'weave_connection_terminations_total',
      'Connections ended since start, those to ourselves excepted.',
      [],
      (report) => [[{}, report.Router.TerminationCount]],
    );
    const info = this.#gauge('weave_ready', 'Whether all parts of the router have started.');
    const peers = this.#gauge('weave_peers', 'Peers in the topology, this one included.');
    const delay = this.#gauge(
      'weave_event_loop_delay_seconds',
      'Delay of the control thread since the last scrape: median, 99th percentile, maximum.',
      ['quantile'],
    );
    this.#fill.push((report) => {
      info.set(report.Ready ? 1 : 0);
      peers.set(report.Router.Peers?.length ?? 0);
      const { p50, p99, max } = this.#eventLoopDelay.read();
      delay.set({ quantile: '0.5' }, p50);
      delay.set({ quantile: '0.99' }, p99);
      delay.set({ quantile: '1' }, max);
    });
  }

  /** Registered when the parts are seen for the first time, and so absent while they are off. */
  #addAddresses(): void {
    const gauges = new Map<string, Gauge>();
    let hasEvents = false;
    const set = (name: string, help: string, value: number, labels = {}): void => {
      let gauge = gauges.get(name);
      if (gauge === undefined) {
        gauge = this.#gauge(name, help, Object.keys(labels));
        gauges.set(name, gauge);
      }
      gauge.set(labels, value);
    };
    this.#fill.push(({ IPAM: ipam, DNS: dns, Router: router, WeaveNet: own }) => {
      if (ipam != null) {
        set('weave_ips', 'Addresses in use on this peer.', ipam.ActiveIPs, { state: 'local-used' });
        set('weave_max_ips', 'Size of the whole allocation range.', ipam.RangeNumIPs);
        const lost = (ipam.Entries ?? []).filter((entry) => !entry.IsKnownPeer);
        const peers = new Set(lost.map((entry) => entry.Peer)).size;
        set('weave_ipam_unreachable_count', 'Unreachable peers that own ranges.', peers);
        const share = lost.reduce((sum, entry) => sum + entry.Size, 0) / ipam.RangeNumIPs;
        const help = 'Share of the range owned by unreachable peers, 0 to 100.';
        set('weave_ipam_unreachable_percentage', help, 100 * share);
        const allocates = ipam.PendingAllocates?.length ?? 0;
        set('weave_ipam_pending_allocates', 'Waiting allocations.', allocates);
        set('weave_ipam_pending_claims', 'Waiting claims.', ipam.PendingClaims?.length ?? 0);
      }
      const extras = own?.Ipam;
      if (extras != null) {
        if (!hasEvents) this.#addAllocatorEvents();
        hasEvents = true;
        const conflicts = 'Ranges that peers contradict each other about.';
        set('weave_ipam_conflicts', conflicts, extras.Conflicts.length);
        const stranded = 'Addresses in use here whose range belongs to another peer.';
        set('weave_ipam_stranded', stranded, extras.Stranded.length);
        const twice = extras.Stranded.filter(({ Duplicate }) => Duplicate).length;
        set('weave_ipam_duplicates', 'Of those, in use elsewhere, too.', twice);
        const held = 'Whether addresses are held back, by reason; see weave ipam check.';
        for (const reason of HELD_REASONS) {
          set('weave_ipam_held', held, extras.Held === reason ? 1 : 0, { reason });
        }
        set('weave_ipam_ring_entries', 'Ranges in the ring.', extras.RingEntries);
      }
      if (dns != null) {
        const local = (dns.Entries ?? []).filter(
          (entry) => entry.Tombstone === 0 && entry.Origin === router.Name,
        );
        set('weave_dns_entries', 'Live names that originate here.', local.length);
      }
    });
  }

  /** Only once the allocator is seen, like its gauges. */
  #addAllocatorEvents(): void {
    this.#counter(
      'weave_ipam_events_total',
      'Events of the allocator by name.',
      ['event'],
      (report) =>
        Object.entries(report.WeaveNet?.Ipam?.Counters ?? {}).map(
          ([event, count]) => [{ event }, count] as const,
        ),
    );
    this.#counter(
      'weave_ipam_saves_total',
      'Attempts to store addresses and ranges, by result.',
      ['result'],
      (report) => {
        const ipam = report.WeaveNet?.Ipam;
        if (ipam == null) return [];
        return [
          [{ result: 'ok' }, ipam.Saves],
          [{ result: 'failed' }, ipam.SaveFailures],
        ];
      },
    );
  }

  #addTraffic(): void {
    const perPeer = (
      name: string,
      help: string,
      sent: (traffic: DataPlane['Traffic'][number]) => number,
      received: (traffic: DataPlane['Traffic'][number]) => number,
    ): void => {
      this.#counter(name, help, ['peer', 'direction'], (report) =>
        (report.WeaveNet?.DataPlane?.Traffic ?? []).flatMap((traffic) => [
          [{ peer: traffic.Peer, direction: 'sent' }, sent(traffic)] as const,
          [{ peer: traffic.Peer, direction: 'received' }, received(traffic)] as const,
        ]),
      );
    };
    perPeer(
      'weave_frames_total',
      'Ethernet frames exchanged with a neighbour, relayed ones included.',
      (traffic) => traffic.FramesSent,
      (traffic) => traffic.FramesReceived,
    );
    perPeer(
      'weave_bytes_total',
      'Bytes of Ethernet frames exchanged with a neighbour.',
      (traffic) => traffic.BytesSent,
      (traffic) => traffic.BytesReceived,
    );
    perPeer(
      'weave_datagrams_total',
      'UDP datagrams exchanged with a neighbour.',
      (traffic) => traffic.DatagramsSent,
      (traffic) => traffic.DatagramsReceived,
    );
    const single: [string, string, (plane: DataPlane) => number][] = [
      ['weave_frames_captured_total', 'Frames taken from the bridge.', (p) => p.FramesCaptured],
      ['weave_frames_injected_total', 'Frames given to the bridge.', (p) => p.FramesInjected],
      ['weave_seals_total', 'Datagrams sealed.', (p) => p.DatagramsSealed],
      ['weave_opens_total', 'Datagrams opened.', (p) => p.DatagramsOpened],
      ['weave_key_changes_total', 'Changes of the keys that seal data.', (p) => p.KeyChanges],
      ['weave_mss_clamped_total', 'TCP segment sizes lowered to a path.', (p) => p.MssClamped],
      ['weave_mac_moves_total', 'MAC addresses seen at another place.', (p) => p.MacMoves],
    ];
    for (const [name, help, value] of single) {
      this.#counter(name, help, [], (report) => {
        const plane = report.WeaveNet?.DataPlane;
        return plane == null ? [] : [[{}, value(plane)]];
      });
    }
    const offloads = this.#gauge(
      'weave_offload_enabled',
      'Whether the kernel does this work for many frames at once.',
      ['offload'],
    );
    this.#fill.push((report) => {
      offloads.reset();
      for (const { Name: offload, Enabled } of report.WeaveNet?.DataPlane?.Offloads ?? []) {
        offloads.set({ offload }, Enabled ? 1 : 0);
      }
    });
    this.#counter(
      'weave_drops_total',
      'Frames and datagrams dropped, by reason.',
      ['reason'],
      (report) =>
        Object.entries(report.WeaveNet?.DataPlane?.Drops ?? {}).map(
          ([reason, count]) => [{ reason }, count] as const,
        ),
    );
  }

  #addEvents(): void {
    this.#counter(
      'weave_handshakes_total',
      'Introductions of peers by how they ended.',
      ['result'],
      (report) =>
        Object.entries(report.WeaveNet?.Counters ?? {}).flatMap(([event, count]) => {
          const result = HANDSHAKE.exec(event)?.[1];
          return result === undefined ? [] : [[{ result }, count] as const];
        }),
    );
    this.#counter(
      'weave_mesh_events_total',
      'Events of the control plane by name.',
      ['event'],
      (report) =>
        Object.entries(report.WeaveNet?.Counters ?? {})
          .filter(([event]) => !HANDSHAKE.test(event))
          .map(([event, count]) => [{ event }, count] as const),
    );
    this.#counter(
      'weave_api_rejections_total',
      'API requests that were refused, by reason.',
      ['reason'],
      (report) =>
        Object.entries(report.WeaveNet?.ApiRejections ?? {}).map(
          ([reason, count]) => [{ reason }, count] as const,
        ),
    );
  }
}

function connectionLabels(connection: ReportConnection) {
  const { Attrs: attributes, State: state } = connection;
  // Without a data path there is no overlay to name.
  const live = state === 'established' || state === 'pending';
  const name = live ? attributes?.['name'] : undefined;
  return {
    state,
    type: typeof name === 'string' ? name : 'unknown',
    encrypted: attributes?.['encrypted'] === true,
  };
}
