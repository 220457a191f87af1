/** What the status page, the report and the metrics show. Source: reference/ipam.md 17. */
import { type Cidr, formatCidr, formatIpv4, type Ipv4 } from '../core/ip.js';
import { formatPeerName, type PeerName } from '../core/peer-name.js';
import type { Election } from './election.js';
import type { Holdings } from './holdings.js';
import type {
  IpamGauges,
  IpamOptions,
  IpamStatus,
  OwnerStatus,
  StrandedStatus,
} from './interfaces.js';
import type { Held } from './lease.js';
import type { Peers } from './peers.js';
import { cidrSize, sizeOf } from './range.js';
import type { Requests } from './requests.js';

export interface StatusParts {
  readonly options: IpamOptions;
  readonly peers: Peers;
  readonly holdings: Holdings;
  readonly requests: Requests;
  readonly election: Election;
  readonly held: Held | null;
}

export function buildStatus(parts: StatusParts, nowMs: number): IpamStatus {
  const { options, peers, holdings, requests, election } = parts;
  const { ring, space, conflicts } = holdings;
  const { awaiting } = election;
  return {
    summary: summarize(parts),
    universe: options.universe,
    universeAddresses: cidrSize(options.universe),
    defaultSubnet: options.defaultSubnet,
    activeAddresses: space.usedCount,
    vote: awaiting
      ? {
          elector: election.isElector,
          knownNodes: election.knownNodes,
          quorum: election.quorum,
        }
      : null,
    entries: ring.ranges().map((range) => ({
      token: range.start as Ipv4,
      size: sizeOf(range),
      peer: range.peer,
      nickname: peers.nicknameOf(range.peer),
      known: peers.known.has(range.peer),
      version: range.version,
    })),
    owners: ownersOf(parts, nowMs),
    pendingClaims: [...requests.claims.values()].map(({ ident, cidr }) => ({ ident, cidr })),
    pendingAllocates: [...requests.allocates.values()].map(({ ident, subnet }) => ({
      ident,
      subnet,
    })),
    conflicts: conflicts.status(nowMs),
    stranded: strandedOf(holdings),
    held: parts.held,
  };
}

export function buildGauges(parts: StatusParts): IpamGauges {
  const { options, peers, holdings, requests } = parts;
  const { ring, space, owned, conflicts } = holdings;
  const unreachable = new Set<PeerName>();
  let lost = 0;
  for (const range of ring.ranges()) {
    if (peers.known.has(range.peer)) continue;
    unreachable.add(range.peer);
    lost += sizeOf(range);
  }
  const universe = cidrSize(options.universe);
  return {
    localUsed: space.usedCount,
    max: universe,
    unreachableCount: unreachable.size,
    unreachablePercentage: (100 * lost) / universe,
    pendingAllocates: requests.allocates.size,
    pendingClaims: requests.claims.size,
    conflicts: conflicts.size,
    stranded: owned.stranded.size,
    duplicates: [...owned.stranded.values()].filter(({ duplicate }) => duplicate).length,
    ringEntries: ring.entries.length,
  };
}

/** One line per owner, each ended: the body of `/status/ipam`. */
export function formatOwners(status: IpamStatus, localPeer: PeerName): string {
  return status.owners
    .map((owner) => {
      const who = `${formatPeerName(owner.peer)}(${owner.nickname})`.padEnd(37);
      const share = ((100 * owner.addresses) / status.universeAddresses).toFixed(1);
      const count = `${owner.addresses}`.padStart(8);
      const active = owner.peer === localPeer ? `(${status.activeAddresses} active)` : '';
      const info = owner.reachable ? active : '- unreachable!';
      return `${who} ${count} IPs (${share.padStart(4, '0')}% of total) ${info}\n`;
    })
    .join('');
}

function summarize({ peers, holdings, requests, election, held }: StatusParts): string {
  const { ring } = holdings;
  if (!ring.isEmpty) {
    if (![...ring.owners()].some((peer) => peers.known.has(peer))) {
      return "all IP ranges owned by unreachable peers - use 'rmpeer' if they are dead";
    }
    // A start is over in seconds; these last, and are somebody's to mend.
    if (held === 'cloned') return "handing out nothing: another host has this peer's name";
    if (held === 'isolated') return 'handing out nothing: cut off from most owners of ranges';
    return requests.allocates.size > 0 ? 'waiting for IP(s) to become available' : 'ready';
  }
  if (!election.awaiting) return 'idle';
  if (!election.isElector) return 'priming';
  return `awaiting consensus (quorum: ${election.quorum}, known: ${election.knownNodes})`;
}

function ownersOf({ options, peers, holdings }: StatusParts, nowMs: number): OwnerStatus[] {
  const { ring, space } = holdings;
  const addresses = new Map<PeerName, number>();
  for (const range of ring.ranges()) {
    addresses.set(range.peer, (addresses.get(range.peer) ?? 0) + sizeOf(range));
  }
  const free = ring.freeByPeer(ring.range);
  const { localPeer } = options;
  const rank = (peer: PeerName): number => (peer === localPeer ? -1 : peer);
  return [...addresses]
    .sort(([a], [b]) => rank(a) - rank(b))
    .map(([peer, count]) => ({
      peer,
      nickname: peers.nicknameOf(peer),
      addresses: count,
      free: peer === localPeer ? space.freeCount : (free.get(peer) ?? 0),
      reachable: peers.known.has(peer),
      unreachableMs: peers.goneMs(peer, nowMs),
    }));
}

function strandedOf({ owned, ring }: Holdings): StrandedStatus[] {
  return [...owned.stranded].map(([address, { duplicate }]) => ({
    ident: owned.holderOf(address) ?? formatIpv4(address),
    cidr: owned.cidrOf(address) as Cidr,
    owner: ring.ownerOf(address),
    duplicate,
  }));
}

/** `c1 10.32.0.0/16`, as the report lists waiting requests. */
export function formatPendingAllocate(pending: { ident: string; subnet: Cidr }): string {
  return `${pending.ident} ${formatCidr(pending.subnet)}`;
}
