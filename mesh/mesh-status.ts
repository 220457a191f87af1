/** Takes the picture of the mesh that status pages, report and metrics are made from. */
import { formatCidr } from '../core/ip.js';
import { UNKNOWN_PEER } from '../core/peer-name.js';
import type { MeshParts } from './mesh-parts.js';
import type { MeshOptions } from './mesh-types.js';
import type { TargetStatus } from './peer/dial.js';
import type { Refusal } from './refusals.js';
import type { AdmittedSession } from './session.js';
import type {
  ConnectionStatus,
  MeshStatus,
  PeerConnectionStatus,
  PeerStatus,
  RouteStatus,
} from './status.js';

export interface MeshMoment {
  readonly terminationCount: number;
  readonly warnings: readonly string[];
  readonly waitingCallers: number;
  readonly nowMs: number;
  readonly wallMs: number;
}

/** Fields of connections that have no session. */
const NO_SESSION = {
  peer: null,
  encrypted: false,
  overlay: null,
  overlayReason: null,
  attributes: {},
  protocolVersion: null,
} as const;

export function buildMeshStatus(
  options: MeshOptions,
  parts: MeshParts,
  moment: MeshMoment,
): MeshStatus {
  const { topology, dialer } = parts;
  return {
    name: options.name,
    nickname: options.nickname,
    protocolMinVersion: options.minVersion,
    protocolMaxVersion: options.maxVersion,
    encryption: options.password !== null && options.password.length > 0,
    discovery: options.discovery,
    peers: peerStatuses(parts),
    connections: connectionStatuses(parts, moment),
    routes: routeStatus(options, parts),
    terminationCount: moment.terminationCount,
    targets: dialer.directTexts(),
    trustedSubnets: options.trustedSubnets.map(formatCidr),
    counters: countersOf(parts, moment),
    warnings: [...topology.warnings(moment.nowMs), ...moment.warnings],
  };
}

/** Ourselves first. Connections are listed when asked for: a large mesh has a million of them. */
function peerStatuses({ topology }: MeshParts): PeerStatus[] {
  return [...topology.peers.values()].map((entry) => {
    const { name, nickname, uid, version, shortId, connections: links } = entry;
    let connections: readonly PeerConnectionStatus[] | null = null;
    return {
      name,
      nickname,
      uid,
      version,
      shortId,
      get connections() {
        connections ??= [...links.values()].map((link) => ({
          peer: link.remotePeer,
          nickname: topology.peers.get(link.remotePeer)?.nickname ?? '',
          address: link.remoteTcpAddr,
          outbound: link.outbound,
          established: link.established,
        }));
        return connections;
      },
    };
  });
}

/** Sessions in the topology, then targets without one, then callers that were refused. */
function connectionStatuses(parts: MeshParts, moment: MeshMoment): ConnectionStatus[] {
  const statuses = [...parts.sessions.admitted()].map((session) => sessionStatus(session, parts));
  for (const target of parts.dialer.targets()) {
    const status = targetStatus(target, moment);
    if (status !== null) statuses.push(status);
  }
  return [...statuses, ...parts.refusals.list(moment.nowMs).map(refusalStatus)];
}

function sessionStatus(session: AdmittedSession, parts: MeshParts): ConnectionStatus {
  const { name, nickname, sessionKey, version } = session.introduction;
  const choice = parts.overlays.choice(session.connId);
  return {
    state: session.established ? 'established' : 'pending',
    address: session.remoteAddr,
    outbound: session.outbound,
    // The nickname may have changed with gossip since the introduction.
    peer: { name, nickname: parts.topology.peers.get(name)?.nickname ?? nickname },
    encrypted: sessionKey !== null,
    overlay: choice?.overlay ?? null,
    overlayReason: choice?.reason ?? null,
    attributes: choice?.attributes ?? {},
    lastError: session.previousEnd,
    retryAt: null,
    protocolVersion: version,
  };
}

/** @returns null for targets that are connected, or not wanted at present. */
function targetStatus(target: TargetStatus, moment: MeshMoment): ConnectionStatus | null {
  const { address, state, lastError, tryAtMs } = target;
  const common = { ...NO_SESSION, address, outbound: true, lastError };
  switch (state) {
    case 'attempting':
      return { ...common, state: lastError === null ? 'connecting' : 'retrying', retryAt: null };
    case 'waiting': {
      const retryAt =
        tryAtMs === null || tryAtMs === 'never'
          ? tryAtMs
          : Math.round(moment.wallMs + Math.max(0, tryAtMs - moment.nowMs));
      return { ...common, state: lastError === null ? 'waiting' : 'failed', retryAt };
    }
    case 'connected':
    case 'suspended':
      return null;
  }
}

function refusalStatus({ address, code, text }: Refusal): ConnectionStatus {
  const lastError = { code, text };
  return { ...NO_SESSION, state: 'failed', address, outbound: false, lastError, retryAt: null };
}

function routeStatus(options: MeshOptions, { routes }: MeshParts): RouteStatus {
  const { unicast, broadcast } = routes.routes;
  return {
    unicast: [
      { dest: options.name, via: UNKNOWN_PEER },
      ...[...unicast].map(([dest, via]) => ({ dest, via })),
    ],
    broadcast: [...broadcast].map(([source, via]) => ({ source, via })),
  };
}

function countersOf(parts: MeshParts, moment: MeshMoment): Record<string, number> {
  const { topology, dialer, gossip, overlays, counters, routes } = parts;
  return {
    ...counters.all(),
    ...topology.counters,
    ...dialer.counters,
    ...gossip.counters,
    ...overlays.counters,
    'route-recalculations': routes.recalculations,
    'gossip-broadcasts-unrouted': routes.walksRefused,
    'callers-waiting': moment.waitingCallers,
  };
}
