/**
 * The plain text pages under /status, made from the report alone. Byte for byte the original's,
 * but for one deliberate difference: the attributes at the end of a connection line are separated
 * by a blank (`encrypted=true mtu=1414`), where the original ran them together.
 * Source: reference/http-api.md 7, cli.md 5 and 10.
 */
import type { NullableList, Report, ReportConnection, ReportDns, ReportIpam } from './api-types.js';

/** Page name (the path's last part) to its renderer; null is a part that is off. */
export const statusPages: ReadonlyMap<string, (report: Report) => string | null> = new Map([
  ['targets', targetsPage],
  ['connections', connectionsPage],
  ['peers', peersPage],
  ['dns', dnsPage],
  ['ipam', ipamPage],
]);

const listOf = <T>(list: NullableList<T>): readonly T[] => list ?? [];
const lines = (rows: readonly string[]): string => rows.map((row) => `${row}\n`).join('');
const row = (label: string, value: string | number): string => `${label.padStart(15)}: ${value}`;
const joined = (list: NullableList<string>): string => listOf(list).join(', ') || 'none';

export function statusPage(report: Report): string {
  const blocks = [[row('Version', `${report.Version} (${versionCheckText(report)})`)]];
  blocks.push(routerBlock(report));
  if (report.IPAM != null) blocks.push(ipamBlock(report.IPAM, report));
  if (report.DNS != null) blocks.push(dnsBlock(report.DNS));
  if (report.Proxy != null) {
    blocks.push([row('Service', 'proxy'), row('Address', joined(report.Proxy.Addresses))]);
  }
  if (report.Plugin != null) blocks.push(pluginBlock(report.Plugin));
  return blocks.map(lines).join('\n');
}

function versionCheckText(report: Report): string {
  const check = report.VersionCheck;
  const next = check.NextCheckAt.replace(/^(\d+)-(\d+)-(\d+)T([\d:]+).*$/, '$1/$2/$3 $4');
  if (!check.Enabled) return 'version check update disabled';
  if (!check.Success) return `failed to check latest version - see logs; next check at ${next}`;
  if (check.NewVersion !== '') return `version ${check.NewVersion} available - please upgrade!`;
  return `up to date; next check at ${next}`;
}

function routerBlock(report: Report): string[] {
  const router = report.Router;
  const { ProtocolMinVersion: min, ProtocolMaxVersion: max } = router;
  return [
    row('Service', 'router'),
    row('Protocol', `${router.Protocol} ${min === max ? max : `${min}..${max}`}`),
    row('Name', `${router.Name}(${router.NickName})`),
    row('Encryption', router.Encryption ? 'enabled' : 'disabled'),
    row('PeerDiscovery', router.PeerDiscovery ? 'enabled' : 'disabled'),
    row('Targets', listOf(router.Targets).length),
    row('Connections', connectionCounts(listOf(router.Connections))),
    row('Peers', peerCounts(report)),
    row('TrustedSubnets', joined(router.TrustedSubnets)),
  ];
}

/** Counts of zero are left out, and the parenthesis when all are. */
function counted(total: number, counts: readonly (readonly [number, string])[]): string {
  const parts = counts.filter(([count]) => count > 0).map(([count, word]) => `${count} ${word}`);
  return parts.length === 0 ? `${total}` : `${total} (${parts.join(', ')})`;
}

function connectionCounts(connections: readonly ReportConnection[]): string {
  const states = ['established', 'pending', 'retrying', 'failed', 'connecting'];
  const counts = states.map((state): [number, string] => [
    connections.filter((connection) => connection.State === state).length,
    state,
  ]);
  return counted(connections.length, counts);
}

function peerCounts(report: Report): string {
  const peers = listOf(report.Router.Peers);
  let established = 0;
  let pending = 0;
  for (const peer of peers) {
    for (const { Established: works } of listOf(peer.Connections)) {
      if (works) established++;
      else pending++;
    }
  }
  const counts = [
    ...(established > 0 ? [`${established} established`] : []),
    ...(pending > 0 ? [`${pending} pending`] : []),
  ];
  if (counts.length === 0) return `${peers.length}`;
  return `${peers.length} (with ${counts.join(', ')} connections)`;
}

function ipamBlock(ipam: ReportIpam, report: Report): string[] {
  return [
    row('Service', 'ipam'),
    row('Status', ipamStatus(ipam, report)),
    row('Range', ipam.Range),
    row('DefaultSubnet', ipam.DefaultSubnet),
  ];
}

/**
 * Our allocator says it itself. For a report without that, the first sentence that applies; only
 * peers in the topology are reachable.
 */
function ipamStatus(ipam: ReportIpam, report: Report): string {
  const own = report.WeaveNet?.Ipam?.Summary;
  if (own !== undefined) return own;
  const entries = listOf(ipam.Entries);
  const pending = listOf(ipam.PendingAllocates).length + listOf(ipam.PendingClaims).length;
  if (entries.length > 0) {
    const known = new Set(listOf(report.Router.Peers).map((peer) => peer.Name));
    const reachable = (entry: (typeof entries)[number]): boolean =>
      entry.Size > 0 && (entry.IsKnownPeer || known.has(entry.Peer));
    if (!entries.some(reachable)) {
      return "all IP ranges owned by unreachable peers - use 'rmpeer' if they are dead";
    }
    return pending > 0 ? 'waiting for IP(s) to become available' : 'ready';
  }
  if (ipam.Paxos === null) return 'idle';
  if (!ipam.Paxos.Elector) return 'priming';
  return `awaiting consensus (quorum: ${ipam.Paxos.Quorum}, known: ${ipam.Paxos.KnownNodes})`;
}

const liveEntries = (dns: ReportDns) => listOf(dns.Entries).filter((e) => e.Tombstone === 0);

function dnsBlock(dns: ReportDns): string[] {
  return [
    row('Service', 'dns'),
    row('Domain', dns.Domain),
    row('Upstream', joined(dns.Upstream)),
    row('TTL', dns.TTL),
    row('Entries', liveEntries(dns).length),
  ];
}

function pluginBlock(plugin: NonNullable<Report['Plugin']>): string[] {
  const second = plugin.Config['EnableV2'] === true;
  return [
    row('Service', second ? 'plugin (v2)' : 'plugin (legacy)'),
    ...(second ? [] : [row('DriverName', plugin.DriverName)]),
  ];
}

function targetsPage(report: Report): string {
  return lines(listOf(report.Router.Targets));
}

const arrow = (outbound: boolean): string => (outbound ? '->' : '<-');

function connectionsPage(report: Report): string {
  const rows = listOf(report.Router.Connections).map((connection) => {
    const attributes = Object.entries(connection.Attrs ?? {})
      .filter(([key]) => key !== 'name')
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([key, value]) => `${key}=${value}`)
      .join(' ');
    const { Address: address, State: state, Info: info } = connection;
    const start = `${arrow(connection.Outbound)} ${address.padEnd(21)} ${state.padEnd(11)}`;
    return `${start} ${info} ${attributes}`;
  });
  return lines(rows);
}

function peersPage(report: Report): string {
  const rows = listOf(report.Router.Peers).flatMap((peer) => [
    `${peer.Name}(${peer.NickName})`,
    ...listOf(peer.Connections).map((connection) => {
      const who = `${connection.Name}(${connection.NickName})`.padEnd(37);
      const state = connection.Established ? 'established' : 'pending';
      return `   ${arrow(connection.Outbound)} ${connection.Address.padEnd(21)} ${who} ${state}`;
    }),
  ]);
  return lines(rows);
}

function dnsPage(report: Report): string | null {
  const dns = report.DNS;
  if (dns == null) return null;
  const rows = liveEntries(dns).map((entry) => {
    const domain = `.${dns.Domain}`;
    const name = entry.Hostname.endsWith(domain)
      ? entry.Hostname.slice(0, -domain.length)
      : entry.Hostname;
    const id = entry.ContainerID.slice(0, 12).padStart(12);
    return `${name.padEnd(12)} ${entry.Address.padEnd(15)} ${id} ${entry.Origin}`;
  });
  return lines(rows);
}

/** One line per peer that owns ranges, ourselves first. */
function ipamPage(report: Report): string | null {
  const ipam = report.IPAM;
  if (ipam == null) return null;
  const owners = new Map<string, { size: number; nickname: string; known: boolean }>();
  for (const entry of listOf(ipam.Entries)) {
    const owner = owners.get(entry.Peer) ?? {
      size: 0,
      nickname: entry.Nickname,
      known: entry.IsKnownPeer,
    };
    owners.set(entry.Peer, { ...owner, size: owner.size + entry.Size });
  }
  const own = report.Router.Name;
  const order = [...owners].sort(([a], [b]) => Number(b === own) - Number(a === own));
  const rows = order.map(([peer, owner]) => {
    const percent = ((100 * owner.size) / ipam.RangeNumIPs).toFixed(1).padStart(4, '0');
    const known = owner.known ? '' : '- unreachable!';
    const note = peer === own ? `(${ipam.ActiveIPs} active)` : known;
    const who = `${peer}(${owner.nickname})`.padEnd(37);
    return `${who} ${String(owner.size).padStart(8)} IPs (${percent}% of total) ${note}`;
  });
  return lines(rows);
}
