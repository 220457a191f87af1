/**
 * What the allocator takes and gives; the host side (persistence, API, workloads, the mesh) builds
 * on these shapes alone. The class `Allocator` in allocator.ts implements `IpamMachine`.
 *
 * The caller owns time, files and sockets. After every input, gossip included, it takes actions
 * until `pollAction` answers null and carries each out before it takes the next: `persist` comes
 * before all that depends on what it stores, so that a crash between any two actions leaves no
 * address in two hands. Texts of errors and pages are the original's where it had them.
 * Source: reference/ipam.md 7, 8, 10 to 13, 16, 17.
 */
import type { Timeout } from '../core/clock.js';
import type { Cidr, Ipv4 } from '../core/ip.js';
import type { LogFields } from '../core/log.js';
import type { PeerName } from '../core/peer-name.js';
import type { Random } from '../core/random.js';
import type { GossipChannel, GossipData } from '../mesh/gossip-channel.js';

/** Name of the gossip channel, as the original has it. */
export const IPAM_CHANNEL = 'IPallocation';
/** Identifier of a caller that does not know its workload: the address itself is stored. */
export const ANONYMOUS_IDENT = '_';
/** Identifier of the host's own addresses on the bridge. */
export const EXPOSE_IDENT = 'weave:expose';

/** How the address range gets its first owners. */
export type IpamInit =
  /** By vote. `peers` is how many the user expects; null or 0: guessed from the targets. */
  | { readonly mode: 'consensus'; readonly peers: number | null }
  /** Without contact: every peer divides the range among the same names. */
  | { readonly mode: 'seed'; readonly peers: readonly PeerName[] }
  /** By others; this peer has no vote. */
  | { readonly mode: 'observer' };

export interface IpamOptions {
  readonly localPeer: PeerName;
  readonly nickname: string;
  /** Random, not 0, new at each start unless a snapshot brings one along. */
  readonly uid: bigint;
  /** `--ipalloc-range`, a clean network of at least 4 addresses; see `parseSubnet`. */
  readonly universe: Cidr;
  /** `--ipalloc-default-subnet`, or the range. Overlaps the range, may be larger. */
  readonly defaultSubnet: Cidr;
  readonly init: IpamInit;
  /**
   * `--ipalloc-reclaim-after`: ranges of a peer that has been unreachable for so long pass to
   * others when a majority agrees. null: only by `takeOver`. At least 5 minutes.
   */
  readonly reclaimAfterMs: number | null;
}

/** A peer as the topology has it. */
export interface KnownPeer {
  readonly name: PeerName;
  readonly nickname: string;
}

/** What the allocator asks the mesh, at any time. */
export interface IpamMeshView {
  /** All peers of the topology, ourselves included. */
  peers(): Iterable<KnownPeer>;
  /** Reachable by a unicast right now. True for ourselves. */
  isReachable(peer: PeerName): boolean;
  /** Targets of the router (command line, connect) that are not ourselves: guess of the quorum. */
  targetCount(): number;
  /** Another living host has our name, or had it two minutes ago. */
  isCloned(): boolean;
}

export interface IpamModules {
  readonly random: Random;
  readonly mesh: IpamMeshView;
}

/** Identifies a request until its `complete` action. Positive, never used again. */
export type RequestId = number;

export interface AllocateRequest {
  readonly ident: string;
  /** Clean, at least 4 addresses, overlapping the range. null: the default subnet. */
  readonly subnet: Cidr | null;
  /** The identifier names a workload whose end we are told of: release its addresses then. */
  readonly watched: boolean;
}

export interface ClaimRequest {
  readonly ident: string;
  readonly cidr: Cidr;
  readonly watched: boolean;
  /**
   * Report success before the owner of the address has agreed, if it is unknown or unreachable.
   * The claim stays pending after that; a later refusal shows in `explain` and the metrics.
   */
  readonly optimistic: boolean;
}

/**
 * Why a request failed. Codes: `ipam-cancelled`, `ipam-out-of-range`, `ipam-address-in-use`,
 * `ipam-not-free`, `ipam-owned-by-peer`, `ipam-unreachable-owner`, `ipam-leaving`,
 * `ipam-too-many-requests`, `ipam-take-over-refused`.
 */
export interface IpamFailure {
  readonly status: 'failed';
  readonly code: string;
  readonly text: string;
}

export type IpamResult =
  | {
      readonly status: 'granted';
      readonly request: 'allocate';
      readonly cidr: Cidr;
      /** False: the identifier had it before. True: free it if nobody can be told any more. */
      readonly fresh: boolean;
    }
  | { readonly status: 'granted'; readonly request: 'claim'; readonly fresh: boolean }
  | { readonly status: 'granted'; readonly request: 'prime' }
  | {
      readonly status: 'granted';
      readonly request: 'take-over';
      /** Addresses that passed to us; 0 for a peer that owns nothing or is not known. */
      readonly addresses: number;
    }
  | IpamFailure;

export type IpamAction =
  /** Store it durably, replacing what was stored. If that fails the router must stop. */
  | { readonly type: 'persist'; readonly snapshot: IpamSnapshot }
  /** By the channel's `GossipSender`; losing it does no harm. */
  | { readonly type: 'unicast'; readonly destination: PeerName; readonly payload: Uint8Array }
  | { readonly type: 'broadcast'; readonly data: GossipData }
  | { readonly type: 'complete'; readonly id: RequestId; readonly result: IpamResult }
  | {
      readonly type: 'log';
      readonly level: 'warn' | 'info' | 'debug';
      readonly text: string;
      readonly fields: LogFields;
    };

/** An address that somebody holds. */
export interface OwnedAddresses {
  readonly ident: string;
  readonly watched: boolean;
  /** In order of their coming. */
  readonly cidrs: readonly Cidr[];
}

export interface RingEntry {
  /** Start of a range that ends at the next entry's token, around the end of the ring. */
  readonly token: Ipv4;
  readonly peer: PeerName;
  /** u32, raised with every change. */
  readonly version: number;
  /** Free addresses in the range as its owner said last; a hint. */
  readonly free: number;
}

export interface RingState {
  readonly start: Ipv4;
  /** Behind the last address: up to 2^32. */
  readonly end: number;
  /** By token. Empty: nobody owns anything yet. */
  readonly entries: readonly RingEntry[];
  /** First owners, ascending. Rings of different seeds don't mix. */
  readonly seeds: readonly PeerName[];
}

/**
 * All that must outlive a restart. Plain data without bigints, fit for JSON; readers must accept
 * unknown keys. Peer names are in their number form.
 */
export interface IpamSnapshot {
  readonly localPeer: number;
  readonly universe: { readonly start: number; readonly end: number };
  readonly ring: {
    readonly seeds: readonly number[];
    /** token, peer, version, free */
    readonly entries: readonly (readonly [number, number, number, number])[];
  };
  readonly owned: readonly {
    readonly ident: string;
    readonly watched: boolean;
    /** address, prefix length */
    readonly cidrs: readonly (readonly [number, number])[];
    /** Those of `cidrs` whose range another peer has: they are claimed back. */
    readonly stranded: readonly number[];
  }[];
  /** A voter must not forget its promises; null before the first vote and once there is a ring. */
  readonly vote: string | null;
  /** UID in decimal, so that a restarted voter is the same voter. */
  readonly uid: string;
  /** The shortest time known of after which peers take over: see IpamOptions.reclaimAfterMs. */
  readonly reclaimAfterMs: number | null;
}

/** An address of a workload or the host that was there before us; `null` ident: unknown. */
export interface PreClaim {
  readonly ident: string | null;
  readonly cidr: Cidr;
  readonly watched: boolean;
}

/** What became of the stored data: all but the first two are to be set aside, not overwritten. */
export type RestoreOutcome = 'restored' | 'empty' | 'other-peer' | 'other-range' | 'damaged';

/** Ranges of one owner. */
export interface OwnerStatus {
  readonly peer: PeerName;
  readonly nickname: string;
  readonly addresses: number;
  /** Of those, free as the owner said last. */
  readonly free: number;
  readonly reachable: boolean;
  /** Milliseconds since it was last reachable, as far as this run knows; 0 if it is. */
  readonly unreachableMs: number;
}

/** A range over which peers contradict each other and that is therefore not handed out. */
export interface ConflictStatus {
  readonly start: Ipv4;
  readonly end: number;
  readonly ours: PeerName;
  readonly theirs: PeerName;
  readonly sinceMs: number;
  /** One sentence. */
  readonly reason: string;
}

/** An address in use here whose range belongs to another peer. */
export interface StrandedStatus {
  readonly ident: string;
  readonly cidr: Cidr;
  readonly owner: PeerName;
  /** The owner gave it to somebody else: it is in use twice. */
  readonly duplicate: boolean;
}

export interface IpamStatus {
  /** Text behind `Status: ` of the status page. */
  readonly summary: string;
  readonly universe: Cidr;
  readonly universeAddresses: number;
  readonly defaultSubnet: Cidr;
  /** Addresses handed out of our own ranges. */
  readonly activeAddresses: number;
  /** Non-null while a vote is awaited. */
  readonly vote: {
    readonly elector: boolean;
    readonly knownNodes: number;
    readonly quorum: number;
  } | null;
  /** In ring order; a range around the end is two. Empty without a ring. */
  readonly entries: readonly {
    readonly token: Ipv4;
    readonly size: number;
    readonly peer: PeerName;
    readonly nickname: string;
    readonly known: boolean;
    readonly version: number;
  }[];
  /** Ours first, then by name. */
  readonly owners: readonly OwnerStatus[];
  readonly pendingClaims: readonly { readonly ident: string; readonly cidr: Cidr }[];
  readonly pendingAllocates: readonly { readonly ident: string; readonly subnet: Cidr }[];
  readonly conflicts: readonly ConflictStatus[];
  readonly stranded: readonly StrandedStatus[];
  /** Why new addresses wait although there are some; null: they do not. See lease.ts. */
  readonly held: 'starting' | 'isolated' | 'cloned' | null;
}

/** Values of the metrics; the first six are the original's. */
export interface IpamGauges {
  readonly localUsed: number;
  readonly max: number;
  /** Peers that own ranges and are not in the topology. */
  readonly unreachableCount: number;
  /** Of the range's addresses, 0 to 100. */
  readonly unreachablePercentage: number;
  readonly pendingAllocates: number;
  readonly pendingClaims: number;
  readonly conflicts: number;
  readonly stranded: number;
  readonly duplicates: number;
  readonly ringEntries: number;
}

/** Behind an interface so that the API can be tested without a ring. */
export interface IpamMachine extends GossipChannel {
  /**
   * Call once, before any other input and before the channel is registered.
   * @param snapshot as the last `persist` action had it, or null. One of another peer or another
   *   range is not used; the outcome tells, so that the caller can set the file aside.
   * @param preClaims addresses found in use, e.g. on the bridge
   */
  start(
    snapshot: IpamSnapshot | null,
    preClaims: readonly PreClaim[],
    nowMs: number,
  ): RestoreOutcome;

  /** All four end with one `complete` action, now or later. */
  allocate(request: AllocateRequest, nowMs: number): RequestId;
  claim(request: ClaimRequest, nowMs: number): RequestId;
  /** Completes when the range has owners, and makes that happen. */
  prime(nowMs: number): RequestId;
  /**
   * The ranges of a dead peer become ours, if all that can be asked agree that it is dead.
   * @param peer nickname or name in text form
   * @param force although not everybody could be asked; never while the peer is in the topology
   */
  takeOver(peer: string, force: boolean, nowMs: number): RequestId;
  /** The caller is gone: the request completes as cancelled unless it is complete. */
  cancel(id: RequestId, nowMs: number): void;

  /** Never waits. @throws {RequestError} `ipam-not-found`, with the original's text */
  free(ident: string, address: Ipv4, nowMs: number): void;
  /** All of an identifier. @throws {RequestError} `ipam-not-found`, with the original's text */
  freeAll(ident: string, nowMs: number): void;
  /** Addresses of an identifier within a subnet (null: the default), first and last excluded. */
  lookup(ident: string, subnet: Cidr | null): readonly Cidr[];
  list(): readonly OwnedAddresses[];

  /** A workload ended: its requests are cancelled, its addresses released after 30 s. */
  workloadDied(ident: string, nowMs: number): void;
  /** It lives (again): its addresses stay. */
  workloadStarted(ident: string, nowMs: number): void;
  /** It is gone for good: its addresses are released at once. */
  workloadGone(ident: string, nowMs: number): void;
  /** Releases all watched identifiers that are not among the living. */
  reconcileWorkloads(living: ReadonlySet<string>, nowMs: number): void;

  /**
   * We leave for good: requests are cancelled, our ranges pass to an heir. What was allocated is
   * given away too. Later requests fail with `ipam-leaving`.
   */
  leave(nowMs: number): void;
  /** The topology changed: peers came or went. Cheap; call it after every change. */
  handlePeersChanged(nowMs: number): void;

  handleTimeout(nowMs: number): void;
  nextTimeout(): Timeout | null;
  /** See the head of this file. */
  pollAction(): IpamAction | null;

  status(nowMs: number): IpamStatus;
  gauges(): IpamGauges;
  /** Events by stable name, for metrics. */
  readonly counters: Readonly<Record<string, number>>;
  /** `weave ipam check`: what is wrong or waits, why, and what would resolve it. */
  explain(nowMs: number): readonly string[];
}
