/** Gossip states as the golden data writes them. */
import { formatIpv4 } from '../../../core/ip.js';
import { formatPeerName, parsePeerName } from '../../../core/peer-name.js';
import type { GossipState } from '../../../ipam/codec.js';
import type { NodeEntry, ProposalId } from '../../../ipam/consensus.js';
import { type RingText, ringFrom } from './ring-vectors.js';

interface ProposalText {
  readonly name: string;
  readonly round: number;
  readonly uid: string;
}

export interface StateText {
  readonly now: string;
  readonly nicknames: Readonly<Record<string, string>>;
  readonly paxos:
    | {
        readonly node: { readonly name: string; readonly uid: string };
        readonly promise: ProposalText;
        readonly accepted: ProposalText;
        readonly accepted_val: {
          readonly origin: ProposalText;
          readonly value_sorted: readonly string[];
        };
      }[]
    | null;
  readonly ring: RingText | null;
}

const proposalFrom = ({ name, round, uid }: ProposalText): ProposalId => ({
  round: BigInt(round),
  proposer: { name: parsePeerName(name), uid: BigInt(uid) },
});

export function stateFrom(text: StateText): GossipState {
  const names = Object.entries(text.nicknames).map(
    ([name, nickname]) => [parsePeerName(name), nickname] as const,
  );
  return {
    nowSeconds: BigInt(text.now),
    nicknames: new Map(names),
    paxos:
      text.paxos?.map((entry) => ({
        node: { name: parsePeerName(entry.node.name), uid: BigInt(entry.node.uid) },
        claims: {
          promise: proposalFrom(entry.promise),
          accepted: proposalFrom(entry.accepted),
          acceptedValue: {
            value: entry.accepted_val.value_sorted.map(parsePeerName),
            origin: proposalFrom(entry.accepted_val.origin),
          },
        },
      })) ?? null,
    ring: text.ring === null ? null : ringFrom(text.ring),
    healing: null,
  };
}

const proposalText = ({ round, proposer }: ProposalId): ProposalText => ({
  name: formatPeerName(proposer.name),
  round: Number(round),
  uid: `${proposer.uid}`,
});

const entryText = ({ node, claims }: NodeEntry): NonNullable<StateText['paxos']>[number] => ({
  node: { name: formatPeerName(node.name), uid: `${node.uid}` },
  promise: proposalText(claims.promise),
  accepted: proposalText(claims.accepted),
  accepted_val: {
    origin: proposalText(claims.acceptedValue.origin),
    value_sorted: claims.acceptedValue.value.map(formatPeerName).sort(),
  },
});

/** For comparing: lists without order are sorted. */
export function stateText(state: GossipState): StateText {
  const { ring } = state;
  const paxos = state.paxos?.map(entryText) ?? null;
  paxos?.sort((a, b) => `${a.node.name}${a.node.uid}`.localeCompare(`${b.node.name}${b.node.uid}`));
  return {
    now: `${state.nowSeconds}`,
    nicknames: Object.fromEntries(
      [...state.nicknames].map(([name, nickname]) => [formatPeerName(name), nickname]),
    ),
    paxos,
    ring:
      ring === null
        ? null
        : {
            start: formatIpv4(ring.start),
            end: formatIpv4((ring.end % 2 ** 32) as typeof ring.start),
            peer: formatPeerName(ring.peer),
            entries: ring.entries.map(({ token, peer, version, free }) => ({
              token: formatIpv4(token),
              peer: formatPeerName(peer),
              version,
              free,
            })),
            seeds: ring.seeds.map(formatPeerName),
          },
  };
}
