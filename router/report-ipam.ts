/** The allocator's part of the report. Keys and order are the original's; ours are the extras. */
import { formatCidr, formatIpv4 } from '../core/ip.js';
import { formatPeerName } from '../core/peer-name.js';
import { printable } from '../core/text.js';
import type { IpamStatus } from '../ipam/interfaces.js';
import type { IpamStoreStatus } from '../ipam/io/runner.js';
import type { ReportIpam, ReportIpamExtras } from './api-types.js';
import { mapOf, presentList } from './report-json.js';

export interface IpamReportInput {
  readonly status: IpamStatus;
  readonly store: IpamStoreStatus;
  readonly counters: Readonly<Record<string, number>>;
}

export function buildIpamReport(status: IpamStatus): ReportIpam {
  const { vote } = status;
  return {
    Paxos:
      vote === null
        ? null
        : { Elector: vote.elector, KnownNodes: vote.knownNodes, Quorum: vote.quorum },
    Range: formatCidr(status.universe),
    RangeNumIPs: status.universeAddresses,
    ActiveIPs: status.activeAddresses,
    DefaultSubnet: formatCidr(status.defaultSubnet),
    Entries: status.entries.map((entry) => ({
      Token: formatIpv4(entry.token),
      Size: entry.size,
      Peer: formatPeerName(entry.peer),
      Nickname: printable(entry.nickname),
      IsKnownPeer: entry.known,
      Version: entry.version,
    })),
    PendingClaims: status.pendingClaims.map(({ ident, cidr }) => ({
      Ident: printable(ident),
      CIDR: { Addr: formatIpv4(cidr.address), PrefixLen: cidr.prefixLength },
    })),
    PendingAllocates: status.pendingAllocates.map(
      ({ ident, subnet }) => `${printable(ident)} ${formatCidr(subnet)}`,
    ),
  };
}

export function buildIpamExtras({ status, store, counters }: IpamReportInput): ReportIpamExtras {
  return {
    Summary: status.summary,
    Owners: presentList(
      status.owners.map((owner) => ({
        Peer: formatPeerName(owner.peer),
        NickName: printable(owner.nickname),
        Addresses: owner.addresses,
        Free: owner.free,
        Reachable: owner.reachable,
        UnreachableSeconds: Math.round(owner.unreachableMs / 1000),
      })),
    ),
    Conflicts: presentList(
      status.conflicts.map((conflict) => ({
        Start: formatIpv4(conflict.start),
        Size: conflict.end - conflict.start,
        Ours: formatPeerName(conflict.ours),
        Theirs: formatPeerName(conflict.theirs),
        Seconds: Math.round(conflict.sinceMs / 1000),
        Reason: printable(conflict.reason),
      })),
    ),
    Stranded: presentList(
      status.stranded.map(({ ident, cidr, owner, duplicate }) => ({
        Ident: printable(ident),
        Cidr: formatCidr(cidr),
        Owner: formatPeerName(owner),
        Duplicate: duplicate,
      })),
    ),
    Held: status.held,
    RingEntries: status.entries.length,
    Saves: store.saves,
    SaveFailures: store.failures,
    Counters: mapOf(counters),
  };
}

/** Conditions that a person should mend. */
export function ipamWarnings({ status, store }: IpamReportInput): string[] {
  const warnings: string[] = [];
  if (store.fault !== null) warnings.push(`addresses can not be stored: ${store.fault}`);
  for (const { reason } of status.conflicts) warnings.push(reason);
  for (const { cidr, ident, owner, duplicate } of status.stranded) {
    if (!duplicate) continue;
    warnings.push(
      `${formatCidr(cidr)} of ${ident} is in use twice: its range belongs to ` +
        `${formatPeerName(owner)}, which gave it to somebody else; detach and attach it again`,
    );
  }
  return warnings;
}
