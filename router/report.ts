/**
 * The report: one object that status pages, templates and metrics are made from. Its keys, their
 * order and their spelling are the original's; what is new stands under `WeaveNet`. Texts that
 * peers made up pass through `printable`, since the report ends on terminals and in scripts.
 * Source: reference/http-api.md 7 (connection states), 8.
 */
import { formatMac } from '../core/mac.js';
import { formatPeerName, type PeerName, UNKNOWN_PEER } from '../core/peer-name.js';
import { printable } from '../core/text.js';
import type { QueueCounters } from '../fastdp/io/messages.js';
import type { OffloadState } from '../fastdp/io/offloads.js';
import type { DataPlaneStatus } from '../fastdp/status.js';
import type { ConnectionStatus, MeshStatus, PeerStatus } from '../mesh/status.js';
import type {
  Report,
  ReportConnection,
  ReportExtras,
  ReportMac,
  ReportPeer,
  ReportRouter,
} from './api-types.js';
import { buildDnsExtras, buildDnsReport, type DnsReportInput } from './report-dns.js';
import { buildIpamExtras, buildIpamReport, type IpamReportInput } from './report-ipam.js';
import { mapOf, presentList } from './report-json.js';
import { reportOffloads } from './report-offloads.js';

export interface ReportInput {
  readonly ready: boolean;
  readonly version: string;
  readonly port: number;
  readonly pid: number;
  readonly wallMs: number;
  /** Name of the device that takes frames from the bridge. */
  readonly tapName: string;
  readonly mesh: MeshStatus;
  /** null while the data plane does not answer. */
  readonly dataPlane: DataPlaneStatus | null;
  /** Of the data plane's thread; empty unless it answers. */
  readonly offloads?: readonly OffloadState[];
  /** One for each thread of the data plane. */
  readonly queues?: readonly QueueCounters[];
  /** Diagnostics of each overlay by its name. */
  readonly overlays: Readonly<Record<string, unknown>>;
  readonly apiRejections: Readonly<Record<string, number>>;
  /** Sentences from other parts than the mesh. */
  readonly warnings: readonly string[];
  /** null: the name service is off. */
  readonly dns: DnsReportInput | null;
  /** null: the allocator is off. */
  readonly ipam?: IpamReportInput | null;
}

/** The original's zero time. */
const NEVER = '0001-01-01T00:00:00Z';

export function buildReport(input: ReportInput): Report {
  return {
    Ready: input.ready,
    Version: input.version,
    VersionCheck: { Enabled: false, Success: false, NewVersion: '', NextCheckAt: NEVER },
    Router: buildRouter(input),
    IPAM: input.ipam == null ? undefined : buildIpamReport(input.ipam.status),
    DNS: input.dns === null ? undefined : buildDnsReport(input.dns),
    Proxy: undefined,
    Plugin: undefined,
    WeaveNet: buildExtras(input),
  };
}

/** Routes wait to be asked for: metrics and most pages don't, and a large mesh has many. */
function buildRouter(input: ReportInput): ReportRouter {
  const { mesh, dataPlane } = input;
  let unicast: ReportRouter['UnicastRoutes'] | undefined;
  let broadcast: ReportRouter['BroadcastRoutes'] | undefined;
  return {
    Protocol: 'weave',
    ProtocolMinVersion: mesh.protocolMinVersion,
    ProtocolMaxVersion: mesh.protocolMaxVersion,
    Encryption: mesh.encryption,
    PeerDiscovery: mesh.discovery,
    Name: formatPeerName(mesh.name),
    NickName: printable(mesh.nickname),
    Port: input.port,
    Peers: mesh.peers.map(buildPeer),
    get UnicastRoutes() {
      unicast ??= unicastRoutes(mesh);
      return unicast;
    },
    get BroadcastRoutes() {
      broadcast ??= broadcastRoutes(mesh);
      return broadcast;
    },
    Connections: mesh.connections.map((connection) => buildConnection(connection, mesh.encryption)),
    TerminationCount: mesh.terminationCount,
    Targets: mesh.targets.map(printable),
    OverlayDiagnostics: mapOf(input.overlays),
    TrustedSubnets: presentList([...mesh.trustedSubnets]),
    Interface: `${input.tapName} (via TAP)`,
    CaptureStats: mapOf<number>(
      dataPlane === null
        ? {}
        : {
            PacketsReceived: dataPlane.framesCaptured,
            PacketsInjected: dataPlane.framesInjected,
          },
    ),
    MACs: dataPlane === null ? [] : buildMacs(dataPlane, mesh, input.wallMs),
  };
}

/** Metrics and most pages never look at the connections of peers, so those wait to be asked for. */
function buildPeer(peer: PeerStatus): ReportPeer {
  let connections: ReportPeer['Connections'] | undefined;
  return {
    Name: formatPeerName(peer.name),
    NickName: printable(peer.nickname),
    UID: peer.uid,
    ShortID: peer.shortId ?? 0,
    Version: peer.version,
    get Connections() {
      connections ??= peer.connections.map((connection) => ({
        Name: formatPeerName(connection.peer),
        NickName: printable(connection.nickname),
        Address: printable(connection.address),
        Outbound: connection.outbound,
        Established: connection.established,
      }));
      return connections;
    },
  };
}

/** The original lists a route to itself, through nobody. */
function unicastRoutes(mesh: MeshStatus): readonly { Dest: string; Via: string }[] {
  const routes = mesh.routes.unicast.map((route) => ({
    Dest: formatPeerName(route.dest),
    Via: formatPeerName(route.via),
  }));
  const own = formatPeerName(mesh.name);
  if (routes.some((route) => route.Dest === own)) return routes;
  return [{ Dest: own, Via: formatPeerName(UNKNOWN_PEER) }, ...routes];
}

/** In a star of n peers its centre has some n² neighbours to list, so each text is made once. */
function broadcastRoutes(mesh: MeshStatus): ReportRouter['BroadcastRoutes'] {
  const texts = new Map<PeerName, string>();
  const textOf = (name: PeerName): string => {
    let text = texts.get(name);
    if (text === undefined) {
      text = formatPeerName(name);
      texts.set(name, text);
    }
    return text;
  };
  return mesh.routes.broadcast.map((route) => ({
    Source: textOf(route.source),
    Via: route.via.map(textOf),
  }));
}

function buildConnection(connection: ConnectionStatus, password: boolean): ReportConnection {
  const { overlay, attributes } = connection;
  return {
    Address: connection.address,
    Outbound: connection.outbound,
    State: connection.state,
    Info: connectionInfo(connection, password),
    Attrs: overlay === null ? null : mapOf({ name: overlay, ...attributes }),
  };
}

function connectionInfo(connection: ConnectionStatus, password: boolean): string {
  const { state, retryAt } = connection;
  const errorText = printable(connection.lastError?.text ?? '');
  switch (state) {
    case 'established':
    case 'pending': {
      const word = isDataEncrypted(connection) ? 'encrypted' : 'unencrypted';
      const peer = connection.peer;
      const who = peer === null ? '' : `${formatPeerName(peer.name)}(${printable(peer.nickname)})`;
      const seal = password ? `${word.padEnd(11)} ` : '';
      return `${seal}${(connection.overlay ?? 'none').padEnd(6)} ${who}`;
    }
    case 'connecting':
      return '';
    case 'retrying':
      return errorText;
    case 'failed':
      return `${errorText}, retry: ${retryText(retryAt)}`;
    case 'waiting':
      return `until: ${retryText(retryAt)}`;
  }
}

/**
 * A session sealed with a password may still carry data in the clear (trusted subnets). The overlay
 * tells once it knows its MTU; before that the session's own state is the better guess.
 */
function isDataEncrypted(connection: ConnectionStatus): boolean {
  const { encrypted, mtu } = connection.attributes;
  if (typeof encrypted === 'boolean') return encrypted;
  return mtu === undefined && connection.encrypted;
}

/** `2026-11-22 20:31:05.966 +0000 UTC`; scripts of the original's users search for `never`. */
function retryText(at: number | 'never' | null): string {
  if (at === 'never') return 'never';
  if (at === null) return 'now';
  return new Date(at).toISOString().replace('T', ' ').replace('Z', ' +0000 UTC');
}

function nicknames(mesh: MeshStatus): ReadonlyMap<PeerName, string> {
  return new Map(mesh.peers.map((peer) => [peer.name, printable(peer.nickname)]));
}

function buildMacs(dataPlane: DataPlaneStatus, mesh: MeshStatus, wallMs: number): ReportMac[] {
  const names = nicknames(mesh);
  return dataPlane.macs.map((entry) => ({
    Mac: formatMac(entry.mac),
    Name: formatPeerName(entry.peer),
    NickName: names.get(entry.peer) ?? '',
    LastSeen: new Date(wallMs - entry.ageMs).toISOString(),
  }));
}

function buildExtras(input: ReportInput): ReportExtras {
  const { mesh, dataPlane } = input;
  const names = nicknames(mesh);
  return {
    Warnings: presentList([...mesh.warnings, ...input.warnings].map(printable)),
    Connections: presentList(
      mesh.connections.map((connection) => ({
        Address: connection.address,
        Overlay: connection.overlay,
        OverlayReason: connection.overlayReason && printable(connection.overlayReason),
        ErrorCode: connection.lastError?.code ?? null,
        ProtocolVersion: connection.protocolVersion,
      })),
    ),
    Counters: mapOf(mesh.counters),
    ApiRejections: mapOf(input.apiRejections),
    DataPlane:
      dataPlane === null
        ? null
        : {
            FramesCaptured: dataPlane.framesCaptured,
            FramesInjected: dataPlane.framesInjected,
            DatagramsSealed: dataPlane.datagramsSealed,
            DatagramsOpened: dataPlane.datagramsOpened,
            KeyChanges: dataPlane.keyChanges,
            MacMoves: dataPlane.macMoves,
            MssClamped: dataPlane.mssClamped,
            ...reportOffloads(input.offloads ?? []),
            Queues: (input.queues ?? []).map(({ framesCaptured, framesInjected }) => ({
              FramesCaptured: framesCaptured,
              FramesInjected: framesInjected,
            })),
            Drops: mapOf(dataPlane.drops),
            Traffic: presentList(
              dataPlane.traffic.map((traffic) => ({
                Peer: formatPeerName(traffic.peer),
                NickName: names.get(traffic.peer) ?? '',
                FramesSent: traffic.framesSent,
                BytesSent: traffic.bytesSent,
                FramesReceived: traffic.framesReceived,
                BytesReceived: traffic.bytesReceived,
                DatagramsSent: traffic.datagramsSent,
                DatagramsReceived: traffic.datagramsReceived,
              })),
            ),
          },
    Dns: input.dns === null ? null : buildDnsExtras(input.dns),
    Ipam: input.ipam == null ? null : buildIpamExtras(input.ipam),
    Process: { Pid: input.pid },
  };
}
