/** The vote, against recorded exchanges of the original. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { formatPeerName, type PeerName, parsePeerName } from '../../../core/peer-name.js';
import { Consensus, type NodeEntry, type ProposalId } from '../../../ipam/consensus.js';
import { loadVectors } from '../../support/vectors.js';

interface ProposalText {
  readonly name: string;
  readonly round: number;
  readonly uid: string;
}

export interface EntryText {
  readonly node: { readonly name: string; readonly uid: string };
  readonly promise: ProposalText;
  readonly accepted: ProposalText;
  readonly accepted_val: {
    readonly origin: ProposalText;
    readonly value_sorted: readonly string[];
  };
}

interface Step {
  readonly event: string;
  readonly node: string;
  readonly name?: string;
  readonly uid?: string;
  readonly quorum?: number;
  readonly from?: string;
  readonly learnt?: boolean;
  readonly claims_changed?: boolean;
  readonly consensus?: { readonly reached: boolean; readonly value_sorted?: readonly string[] };
  readonly state?: readonly EntryText[];
}

const showProposal = ({ round, proposer }: ProposalId): string =>
  `${round} ${formatPeerName(proposer.name)} ${proposer.uid}`;

const showNames = (names: readonly PeerName[]): string =>
  names.map(formatPeerName).sort().join(' ');

function showEntry({ node, claims }: NodeEntry): string {
  const { promise, accepted, acceptedValue } = claims;
  return [
    `${formatPeerName(node.name)} ${node.uid}`,
    showProposal(promise),
    showProposal(accepted),
    showProposal(acceptedValue.origin),
    showNames(acceptedValue.value),
  ].join(' | ');
}

function showText({ node, promise, accepted, accepted_val: value }: EntryText): string {
  const proposal = ({ round, name, uid }: ProposalText): string => `${round} ${name} ${uid}`;
  return [
    `${node.name} ${node.uid}`,
    proposal(promise),
    proposal(accepted),
    proposal(value.origin),
    value.value_sorted.join(' '),
  ].join(' | ');
}

test('votes go as recorded from the original', () => {
  const { scenarios } = loadVectors<{ scenarios: { name: string; steps: Step[] }[] }>(
    'ipam-paxos.json',
  );
  for (const { name, steps } of scenarios) {
    const nodes = new Map<string, Consensus>();
    for (const [i, step] of steps.entries()) {
      const where = `${name}, step ${i} ${step.event} ${step.node}`;
      if (step.event === 'new_node') {
        const self = { name: parsePeerName(step.name ?? ''), uid: BigInt(step.uid ?? 0) };
        nodes.set(step.node, new Consensus(self));
      }
      const node = nodes.get(step.node) as Consensus;
      if (step.quorum !== undefined) node.setQuorum(step.quorum);
      if (step.event === 'propose') node.propose();
      if (step.event === 'receive') {
        const sender = nodes.get(step.from ?? '') as Consensus;
        const { learnt, changed } = node.merge(sender.knowledge);
        assert.equal(learnt, step.learnt, where);
        if (step.claims_changed !== undefined) assert.equal(changed, step.claims_changed, where);
      }
      if (step.state !== undefined) {
        assert.deepEqual(
          node.knowledge.map(showEntry).sort(),
          step.state.map(showText).sort(),
          where,
        );
      }
      if (step.consensus !== undefined) {
        const agreed = node.agreed();
        assert.equal(agreed !== null, step.consensus.reached, where);
        if (agreed !== null) {
          assert.equal(showNames(agreed.value), step.consensus.value_sorted?.join(' '), where);
        }
      }
    }
  }
});

test('a node that was restored remembers its promise', () => {
  const first = { name: 1 as PeerName, uid: 7n };
  const other = new Consensus({ name: 2 as PeerName, uid: 9n });
  other.setQuorum(2);
  other.propose();
  const node = new Consensus(first);
  node.merge(other.knowledge);
  const again = new Consensus(first);
  again.restore([node.ownEntry as NodeEntry]);
  assert.deepEqual(again.ownEntry, node.ownEntry);
  assert.equal(again.ownEntry?.claims.promise.proposer.name, 2);
});

test('a round that nobody could go above is not listened to', () => {
  const node = new Consensus({ name: 1 as PeerName, uid: 7n });
  const proposer = { name: 2 as PeerName, uid: 9n };
  const promise = { round: 2n ** 64n - 1n, proposer };
  const none = { round: 0n, proposer: { name: 0 as PeerName, uid: 0n } };
  const claims = { promise, accepted: none, acceptedValue: { value: [], origin: none } };
  assert.deepEqual(node.merge([{ node: proposer, claims }]), { learnt: false, changed: false });
});
