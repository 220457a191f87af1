/** The record of a cluster's peers: written by one, and one at a time. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import {
  type Annotations,
  gonePeers,
  readRecord,
  withoutPeer,
  withTaker,
  writeRecord,
} from '../../../../k8s/node/cluster-record.js';
import { Membership, type MembershipAction } from '../../../../k8s/node/membership.js';

const A = '7a:00:00:00:00:0a';
const B = '7a:00:00:00:00:0b';
const C = '7a:00:00:00:00:0c';
const D = '7a:00:00:00:00:0d';
const KEY = 'kube-peers.weave.works/';
/** Beyond any rest. */
const LATER_MS = 3_600_000;

/** As the original writes it. */
function annotations(peers: Record<string, string>, takers: Record<string, string> = {}) {
  const list = Object.entries(peers).map(([PeerName, NodeName]) => ({ PeerName, NodeName }));
  const markers = Object.entries(takers).map(([peer, taker]) => [
    KEY + peer.replaceAll(':', '_'),
    taker,
  ]);
  return { [`${KEY}peers`]: JSON.stringify({ Peers: list }), ...Object.fromEntries(markers) };
}

class Rig {
  readonly membership: Membership;
  nowMs = 0;

  constructor(nodes: readonly string[] | null = ['node-a', 'node-b']) {
    const self = { peer: A, node: 'node-a' };
    this.membership = new Membership(self, { random: () => 0.5 }, 0);
    if (nodes !== null) this.membership.handleNodes(new Set(nodes), 0);
  }

  /** The next action, after as much time as it takes. */
  next(): MembershipAction | null {
    this.nowMs = Math.max(this.nowMs, this.membership.nextTimeout()?.atMs ?? 0);
    this.membership.handleTimeout(this.nowMs);
    return this.membership.pollAction();
  }

  /** Answers `read` with this. */
  read(stored: Annotations | null, resourceVersion = '1'): MembershipAction | null {
    assert.deepEqual(this.next(), { kind: 'read' });
    const record = stored === null ? null : { annotations: stored, resourceVersion };
    this.membership.handleRecord(record, this.nowMs);
    return this.membership.pollAction();
  }

  get rests(): boolean {
    return (this.membership.nextTimeout()?.atMs ?? 0) > this.nowMs + 60_000;
  }
}

describe('the record of a cluster', () => {
  it('is that of the original, and what others annotated stays', () => {
    const stored = { ...annotations({ [A]: 'node-a', [B]: 'node-b' }, { [B]: A }), other: 'x' };
    const record = readRecord(stored);
    assert.deepEqual(record.peers[1], { peer: B, node: 'node-b' });
    assert.equal(record.takers.get(B), A);
    assert.deepEqual(writeRecord(stored, record), stored);
    assert.deepEqual(writeRecord(stored, withoutPeer(record, B)), {
      ...annotations({ [A]: 'node-a' }),
      other: 'x',
    });
  });

  it('drops the marks of a peer that goes', () => {
    const record = readRecord(annotations({ [A]: 'node-a', [B]: 'b', [C]: 'c' }, { [B]: C }));
    assert.equal(withoutPeer(record, C).takers.size, 0);
    assert.equal(withTaker(record, B, A).takers.get(B), A);
  });

  it('tells who is gone: no node, or our node under another name', () => {
    const record = readRecord(annotations({ [A]: 'node-a', [B]: 'node-a', [C]: 'c', [D]: 'd' }));
    const gone = gonePeers(record, { peer: A, node: 'node-a' }, new Set(['node-a', 'd']));
    assert.deepEqual(
      gone.map(({ peer }) => peer),
      [B, C],
    );
  });
});

describe('membership', () => {
  it('makes the record, and enters this node', () => {
    const rig = new Rig();
    const action = rig.read(null);
    assert.deepEqual(action, {
      kind: 'write',
      annotations: annotations({ [A]: 'node-a' }),
      resourceVersion: null,
    });
    const stored = { annotations: annotations({ [A]: 'node-a' }), resourceVersion: '2' };
    rig.membership.handleRecord(stored, rig.nowMs);
    assert.equal(rig.membership.isListed, true);
    assert.ok(rig.rests);
  });

  it('takes over from a node that is gone, in four steps', () => {
    const rig = new Rig(['node-a']);
    const before = annotations({ [A]: 'node-a', [B]: 'node-b' });
    assert.deepEqual(rig.read(before), { kind: 'look-up', node: 'node-b' });
    rig.membership.handleNode(false, rig.nowMs);
    const marked = annotations({ [A]: 'node-a', [B]: 'node-b' }, { [B]: A });
    assert.deepEqual(rig.next(), { kind: 'write', annotations: marked, resourceVersion: '1' });
    rig.membership.handleRecord({ annotations: marked, resourceVersion: '2' }, rig.nowMs);
    // Between the two the node may have come back.
    assert.deepEqual(rig.next(), { kind: 'look-up', node: 'node-b' });
    rig.membership.handleNode(false, rig.nowMs);
    assert.deepEqual(rig.next(), { kind: 'remove', peer: B, node: 'node-b' });
    rig.membership.handleRemoved();
    const after = annotations({ [A]: 'node-a' });
    assert.deepEqual(rig.next(), { kind: 'write', annotations: after, resourceVersion: '2' });
    rig.membership.handleRecord({ annotations: after, resourceVersion: '3' }, rig.nowMs);
    assert.ok(rig.rests);
  });

  it('leaves a peer whose addresses somebody else takes, unless that one is gone, too', () => {
    const peers = { [A]: 'node-a', [B]: 'node-b', [C]: 'node-c' };
    const rig = new Rig(['node-a', 'node-c']);
    assert.equal(rig.read(annotations(peers, { [B]: C })), null);
    assert.ok(rig.rests);
    const later = new Rig(['node-a']);
    const without = annotations({ [A]: 'node-a', [B]: 'node-b' }, { [B]: C });
    assert.deepEqual(later.read(without), { kind: 'look-up', node: 'node-b' });
  });

  it('goes on where a conflict stopped it, without taking over twice', () => {
    const rig = new Rig(['node-a']);
    const marked = annotations({ [A]: 'node-a', [B]: 'node-b' }, { [B]: A });
    assert.deepEqual(rig.read(marked), { kind: 'look-up', node: 'node-b' });
    rig.membership.handleNode(false, rig.nowMs);
    assert.equal(rig.next()?.kind, 'remove');
    rig.membership.handleRemoved();
    assert.equal(rig.next()?.kind, 'write');
    rig.membership.handleConflict(rig.nowMs);
    const action = rig.read({ ...marked, other: 'x' }, '7');
    const after = { ...annotations({ [A]: 'node-a' }), other: 'x' };
    assert.deepEqual(action, { kind: 'write', annotations: after, resourceVersion: '7' });
  });

  it('concludes nothing from a list that is behind', () => {
    const rig = new Rig(['node-a']);
    rig.read(annotations({ [A]: 'node-a', [B]: 'node-b' }));
    rig.membership.handleNode(true, rig.nowMs);
    assert.ok(rig.rests);
  });

  it('concludes nothing without the nodes, and looks when one left', () => {
    const rig = new Rig(null);
    rig.read(annotations({ [A]: 'node-a', [B]: 'node-b' }));
    assert.match(rig.membership.problem ?? '', /not known yet/);
    assert.ok(rig.rests);
    rig.membership.handleNodes(new Set(['node-a', 'node-b']), rig.nowMs);
    assert.ok((rig.membership.nextTimeout()?.atMs ?? LATER_MS) <= rig.nowMs + 5_000);
    assert.equal(rig.read(annotations({ [A]: 'node-a', [B]: 'node-b' })), null);
    rig.membership.handleNodes(new Set(['node-a', 'node-b', 'node-c']), rig.nowMs);
    assert.ok(rig.rests, 'a new node is no reason to look');
    rig.membership.handleNodes(new Set(['node-a', 'node-c']), rig.nowMs);
    assert.ok((rig.membership.nextTimeout()?.atMs ?? LATER_MS) <= rig.nowMs + 5_000);
  });

  it('waits while the router refuses, longer each time', () => {
    const rig = new Rig(['node-a']);
    const marked = annotations({ [A]: 'node-a', [B]: 'node-b' }, { [B]: A });
    const waits: number[] = [];
    for (let round = 0; round < 10; round++) {
      assert.deepEqual(rig.read(marked), { kind: 'look-up', node: 'node-b' });
      rig.membership.handleNode(false, rig.nowMs);
      assert.equal(rig.next()?.kind, 'remove');
      rig.membership.handleFailure('the peer is alive', rig.nowMs);
      waits.push((rig.membership.nextTimeout()?.atMs ?? 0) - rig.nowMs);
    }
    assert.match(rig.membership.problem ?? '', /alive/);
    assert.ok((waits[0] ?? LATER_MS) < 1_000);
    assert.ok(waits.every((wait, index) => wait >= (waits[index - 1] ?? 0) && wait <= 60_000));
  });

  it('says that another node has its name, and that its own node is unknown', () => {
    const clone = new Rig();
    assert.equal(clone.read(annotations({ [A]: 'node-b' })), null);
    assert.match(clone.membership.problem ?? '', /"node-b" has our peer name/);
    const moved = new Rig(['node-a']);
    assert.equal(moved.read(annotations({ [A]: 'node-b' }))?.kind, 'write');
    const unknown = new Rig(['node-b']);
    assert.equal(unknown.read(annotations({})), null);
    assert.match(unknown.membership.problem ?? '', /no node "node-a"/);
  });

  it('touches nothing when the record is damaged', () => {
    const odd = '{"Peers":[{"PeerName":"peers","NodeName":"x"}]}';
    for (const text of ['{', '[]', '{"Peers":[{"PeerName":1}]}', odd]) {
      const rig = new Rig();
      assert.equal(rig.read({ [`${KEY}peers`]: text }), null, text);
      assert.match(rig.membership.problem ?? '', /damaged/);
    }
  });
});
