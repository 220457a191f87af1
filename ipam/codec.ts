/**
 * What peers say to each other about addresses, in bytes: gob values, for unicasts behind a byte
 * that tells the type. Fields that the original does not know stand at the end of its struct; its
 * decoder skips them. Source: reference/ipam.md 8, appendix A, B.
 *
 *   gossip, broadcast:  gossip state
 *   unicast:            0 range wanted | 1 gossip state | 2 range denied
 */
import { DecodeError } from '../core/errors.js';
import { GobDecoder, GobEncoder, gob, type ValueOf } from '../core/gob/index.js';
import type { Ipv4 } from '../core/ip.js';
import { MAX_PEERS } from '../core/limits.js';
import { type PeerName, peerNameFromNumber } from '../core/peer-name.js';
import { clip } from '../core/text.js';
import { MAX_VOTERS, type NodeEntry, type ProposalId } from './consensus.js';
import type { RingEntry, RingState } from './interfaces.js';
import { ADDRESS_LIMIT, type AddressRange } from './range.js';

/** Far above what a network of MAX_PEERS peers comes to; a ring of this size takes 1.5 MB. */
export const MAX_RING_ENTRIES = 65_536;
const MAX_NICKNAME_LENGTH = 1024;
const MAX_REASON_LENGTH = 256;

const peerList = gob.slice(gob.uint48, 'Value');
const nodeId = gob.struct('', { Name: gob.uint48, UID: gob.uint64 });
const proposalId = gob.struct('ProposalID', { Round: gob.uint64, Proposer: nodeId });
const acceptedValue = gob.struct('AcceptedValue', { Value: peerList, Origin: proposalId });
const nodeClaims = gob.struct('', {
  Promise: proposalId,
  Accepted: proposalId,
  AcceptedVal: acceptedValue,
});
const entry = gob.struct('entry', {
  Token: gob.uint32,
  Peer: gob.uint48,
  Version: gob.uint32,
  Free: gob.uint32,
});
const ring = gob.struct('Ring', {
  Start: gob.uint32,
  End: gob.uint32,
  Peer: gob.uint48,
  Entries: gob.slice(entry, 'entries'),
  Seeds: gob.slice(gob.uint48, '[]mesh.PeerName'),
});
const range = gob.struct('Range', { Start: gob.uint32, End: gob.uint32 });
const ballot = gob.struct('Ballot', {
  Step: gob.uint8,
  Target: gob.uint48,
  Round: gob.uint64,
  Reason: gob.string,
});
const stateFields = {
  Now: gob.int64,
  Nicknames: gob.map(gob.uint48, gob.string, 'map[mesh.PeerName]string'),
  Paxos: gob.optional(gob.pairs(nodeId, nodeClaims, 'GossipState')),
  Ring: gob.optional(ring),
};
const plainState = gob.struct('gossipState', stateFields);
const fullState = gob.struct('gossipState', {
  ...stateFields,
  Healers: gob.optional(gob.map(gob.uint48, gob.uint8)),
  ReclaimSeconds: gob.uint32,
  Ballot: gob.optional(ballot),
});

/** Steps of a take-over; see take-over.ts. */
export const BALLOT_STEPS = ['ask', 'ask-if-gone', 'agree', 'refuse', 'return', 'welcome'] as const;
export type BallotStep = (typeof BALLOT_STEPS)[number];

/** One message of a take-over, from the sender of the unicast that it came in. */
export interface Ballot {
  readonly step: BallotStep;
  /** Whose ranges are to pass. */
  readonly target: PeerName;
  /** Tells the sender's attempts apart; an answer repeats it. */
  readonly round: bigint;
  /** Of a refusal, one sentence; otherwise empty. */
  readonly reason: string;
}

/** What only peers of ours send. */
export interface HealingState {
  /** Peers known to resolve conflicts by themselves, the sender among them. */
  readonly healers: ReadonlySet<PeerName>;
  /** The shortest time known after which peers take over; null: none. */
  readonly reclaimAfterMs: number | null;
  readonly ballot: Ballot | null;
}

export interface GossipState {
  /** Unix seconds of the sender; nobody looks at it. */
  readonly nowSeconds: bigint;
  readonly nicknames: ReadonlyMap<PeerName, string>;
  /** null: an observer, or one that has a ring. */
  readonly paxos: readonly NodeEntry[] | null;
  readonly ring: (RingState & { readonly peer: PeerName }) | null;
  /** null: from an original router. */
  readonly healing: HealingState | null;
}

export type IpamUnicast =
  | { readonly type: 'space-request'; readonly range: AddressRange }
  | { readonly type: 'ring-update'; readonly state: GossipState }
  | { readonly type: 'denied'; readonly range: AddressRange };

const TYPE = { spaceRequest: 0, ringUpdate: 1, denied: 2 } as const;

export function encodeState(state: GossipState): Uint8Array {
  const value = {
    Now: state.nowSeconds,
    Nicknames: state.nicknames,
    Paxos:
      state.paxos?.map(({ node, claims }) => [toNode(node), toClaims(claims)] as const) ?? null,
    Ring: state.ring === null ? null : toRing(state.ring),
  };
  const { healing } = state;
  if (healing === null) return new GobEncoder().encode(plainState, value).finish();
  const { ballot: vote, reclaimAfterMs } = healing;
  const full = {
    ...value,
    Healers: new Map([...healing.healers].map((peer) => [peer as number, 1])),
    ReclaimSeconds: Math.ceil((reclaimAfterMs ?? 0) / 1000),
    Ballot:
      vote === null
        ? null
        : {
            Step: BALLOT_STEPS.indexOf(vote.step) + 1,
            Target: vote.target as number,
            Round: vote.round,
            Reason: vote.reason,
          },
  };
  return new GobEncoder().encode(fullState, full).finish();
}

/**
 * The ring's contents are for `checkMergeable` to judge.
 * @throws {DecodeError} also `ipam-state-too-large` for more than a network can hold
 */
export function decodeState(bytes: Uint8Array): GossipState {
  const value = new GobDecoder(bytes).next(fullState);
  const limits = [
    [value.Nicknames.size, MAX_PEERS, 'nicknames'],
    [value.Paxos?.length ?? 0, MAX_VOTERS, 'voters'],
    [value.Ring?.Entries.length ?? 0, MAX_RING_ENTRIES, 'ring entries'],
    [value.Ring?.Seeds.length ?? 0, MAX_PEERS, 'seeds'],
    [value.Healers?.size ?? 0, MAX_PEERS, 'peers'],
  ] as const;
  for (const [count, most, what] of limits) {
    if (count > most) {
      throw new DecodeError('ipam-state-too-large', `${count} ${what}, at most ${most} are read`);
    }
  }
  const nicknames = new Map<PeerName, string>();
  for (const [peer, nickname] of value.Nicknames) {
    nicknames.set(peerNameFromNumber(peer), clip(nickname, MAX_NICKNAME_LENGTH));
  }
  return {
    nowSeconds: value.Now,
    nicknames,
    paxos: value.Paxos?.map(([node, claims]) => fromNodeEntry(node, claims)) ?? null,
    ring: value.Ring === null ? null : fromRing(value.Ring),
    healing: fromHealing(value),
  };
}

export function encodeUnicast(message: IpamUnicast): Uint8Array {
  if (message.type === 'ring-update') {
    return prefixed(TYPE.ringUpdate, encodeState(message.state));
  }
  const { start, end } = message.range;
  const body = new GobEncoder().encode(range, { Start: start, End: end % ADDRESS_LIMIT }).finish();
  return prefixed(message.type === 'denied' ? TYPE.denied : TYPE.spaceRequest, body);
}

/**
 * @returns null for an empty message and for a type that is not known: neither is an error
 * @throws {DecodeError}
 */
export function decodeUnicast(bytes: Uint8Array): IpamUnicast | null {
  const body = bytes.subarray(1);
  switch (bytes[0]) {
    case TYPE.spaceRequest:
      return { type: 'space-request', range: decodeRange(body) };
    case TYPE.ringUpdate:
      return { type: 'ring-update', state: decodeState(body) };
    case TYPE.denied:
      return { type: 'denied', range: decodeRange(body) };
    default:
      return null;
  }
}

/** A ring by itself, as the original stores it. @throws {DecodeError} */
export function decodeRing(bytes: Uint8Array): RingState & { readonly peer: PeerName } {
  const value = new GobDecoder(bytes).next(ring);
  const count = Math.max(value.Entries.length, value.Seeds.length);
  if (count > MAX_RING_ENTRIES) {
    throw new DecodeError('ipam-state-too-large', `${count} entries, at most ${MAX_RING_ENTRIES}`);
  }
  return fromRing(value);
}

/** For the snapshot: what a voter must not forget. */
export function encodeVotes(entries: readonly NodeEntry[]): Uint8Array {
  const state = { nowSeconds: 0n, nicknames: new Map(), ring: null, healing: null };
  return encodeState({ ...state, paxos: entries });
}

function prefixed(type: number, body: Uint8Array): Uint8Array {
  const out = new Uint8Array(body.length + 1);
  out[0] = type;
  out.set(body, 1);
  return out;
}

/** @throws {DecodeError} `ipam-range-empty` */
function decodeRange(bytes: Uint8Array): AddressRange {
  const { Start: start, End: end } = new GobDecoder(bytes).next(range);
  const wide = end === 0 ? ADDRESS_LIMIT : end;
  if (start >= wide) throw new DecodeError('ipam-range-empty', `range from ${start} to ${end}`);
  return { start, end: wide };
}

type WireProposal = ValueOf<typeof proposalId>;

const toNode = (node: NodeEntry['node']): ValueOf<typeof nodeId> => ({
  Name: node.name,
  UID: node.uid,
});
const toProposal = (id: ProposalId): WireProposal => ({
  Round: id.round,
  Proposer: toNode(id.proposer),
});
const toClaims = (claims: NodeEntry['claims']): ValueOf<typeof nodeClaims> => ({
  Promise: toProposal(claims.promise),
  Accepted: toProposal(claims.accepted),
  AcceptedVal: {
    Value: claims.acceptedValue.value,
    Origin: toProposal(claims.acceptedValue.origin),
  },
});

function toRing(state: RingState & { readonly peer: PeerName }): ValueOf<typeof ring> {
  return {
    Start: state.start,
    End: state.end % ADDRESS_LIMIT,
    Peer: state.peer,
    Entries: state.entries.map(({ token, peer, version, free }) => ({
      Token: token,
      Peer: peer,
      Version: version,
      Free: Math.min(free, ADDRESS_LIMIT - 1),
    })),
    Seeds: state.seeds,
  };
}

const fromNode = (node: ValueOf<typeof nodeId>): NodeEntry['node'] => ({
  name: peerNameFromNumber(node.Name),
  uid: node.UID,
});
const fromProposal = (id: WireProposal): ProposalId => ({
  round: id.Round,
  proposer: fromNode(id.Proposer),
});

function fromNodeEntry(
  node: ValueOf<typeof nodeId>,
  claims: ValueOf<typeof nodeClaims>,
): NodeEntry {
  return {
    node: fromNode(node),
    claims: {
      promise: fromProposal(claims.Promise),
      accepted: fromProposal(claims.Accepted),
      acceptedValue: {
        value: claims.AcceptedVal.Value.map(peerNameFromNumber),
        origin: fromProposal(claims.AcceptedVal.Origin),
      },
    },
  };
}

function fromRing(value: ValueOf<typeof ring>): RingState & { readonly peer: PeerName } {
  const entries: RingEntry[] = value.Entries.map(({ Token, Peer, Version, Free }) => ({
    token: Token as Ipv4,
    peer: peerNameFromNumber(Peer),
    version: Version,
    free: Free,
  }));
  return {
    start: value.Start as Ipv4,
    end: value.End === 0 ? ADDRESS_LIMIT : value.End,
    peer: peerNameFromNumber(value.Peer),
    entries,
    seeds: value.Seeds.map(peerNameFromNumber),
  };
}

function fromHealing(value: ValueOf<typeof fullState>): HealingState | null {
  if (value.Healers === null) return null;
  const step = BALLOT_STEPS[(value.Ballot?.Step ?? 0) - 1];
  return {
    healers: new Set([...value.Healers.keys()].map(peerNameFromNumber)),
    reclaimAfterMs: value.ReclaimSeconds === 0 ? null : value.ReclaimSeconds * 1000,
    ballot:
      value.Ballot === null || step === undefined
        ? null
        : {
            step,
            target: peerNameFromNumber(value.Ballot.Target),
            round: value.Ballot.Round,
            reason: clip(value.Ballot.Reason, MAX_REASON_LENGTH),
          },
  };
}
