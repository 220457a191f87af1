/** Pictures of mesh and data plane that tests of the report change here and there. */
import { parseMac } from '../../../core/mac.js';
import { parsePeerName } from '../../../core/peer-name.js';
import type { DataPlaneStatus } from '../../../fastdp/status.js';
import type { ConnectionStatus, MeshStatus } from '../../../mesh/status.js';
import type { Report } from '../../../router/api-types.js';
import { RouterMetrics } from '../../../router/metrics.js';
import { buildReport, type ReportInput } from '../../../router/report.js';

export const one = parsePeerName('82:00:00:00:00:01');
export const two = parsePeerName('82:00:00:00:00:02');

export function connection(changed: Partial<ConnectionStatus>): ConnectionStatus {
  return {
    state: 'established',
    address: '198.51.100.12:6783',
    outbound: true,
    peer: { name: two, nickname: 'host2' },
    encrypted: true,
    overlay: 'sleeve',
    overlayReason: 'the only one both ends have',
    attributes: { mtu: 1414, encrypted: true },
    lastError: null,
    retryAt: null,
    protocolVersion: 2,
    ...changed,
  };
}

export function mesh(changed: Partial<MeshStatus> = {}): MeshStatus {
  return {
    name: one,
    nickname: 'host1',
    protocolMinVersion: 1,
    protocolMaxVersion: 2,
    encryption: true,
    discovery: true,
    peers: [
      {
        name: one,
        nickname: 'host1',
        uid: 18446744073709551615n,
        version: 4n,
        shortId: null,
        connections: [
          {
            peer: two,
            nickname: 'host2',
            address: '198.51.100.12:6783',
            outbound: true,
            established: true,
          },
        ],
      },
      { name: two, nickname: 'host2', uid: 1n, version: 1n, shortId: 9, connections: [] },
    ],
    connections: [connection({})],
    routes: {
      unicast: [{ dest: two, via: two }],
      broadcast: [
        { source: one, via: [two] },
        { source: two, via: [] },
      ],
    },
    terminationCount: 3,
    targets: ['198.51.100.12'],
    trustedSubnets: [],
    counters: { 'handshake-accepted': 2, 'gossip-sent': 7 },
    warnings: ['two hosts share a name'],
    ...changed,
  };
}

export const dataPlane: DataPlaneStatus = {
  macs: [{ mac: parseMac('96:5b:87:6b:08:a4'), peer: two, ageMs: 1500 }],
  traffic: [
    {
      peer: two,
      framesSent: 10,
      bytesSent: 1000,
      framesReceived: 20,
      bytesReceived: 2000,
      datagramsSent: 5,
      datagramsReceived: 6,
    },
  ],
  drops: { 'no-route': 4 },
  framesCaptured: 11,
  framesInjected: 12,
  datagramsSealed: 13,
  datagramsOpened: 14,
  keyChanges: 15,
  macMoves: 1,
  mssClamped: 0,
};

export function input(changed: Partial<ReportInput> = {}): ReportInput {
  return {
    ready: true,
    version: '3.0.0',
    port: 6783,
    pid: 42,
    wallMs: Date.UTC(2026, 10, 22, 20, 31, 5, 966),
    tapName: 'vethwe-tap',
    mesh: mesh(),
    dataPlane,
    overlays: { sleeve: null },
    apiRejections: { 'foreign-origin': 1 },
    warnings: [],
    dns: null,
    ...changed,
  };
}

export async function metrics(
  changed: Partial<ReportInput> = {},
  parts: Partial<Report> = {},
): Promise<string> {
  const report = { ...buildReport(input(changed)), ...parts };
  const eventLoopDelay = { read: () => ({ p50: 0.001, p99: 0.002, max: 0.003 }) };
  const exporter = new RouterMetrics({ eventLoopDelay, processMetrics: null });
  // Twice, since counters must not add up over scrapes.
  await exporter.text(report);
  return await exporter.text(report);
}
