/**
 * What the nodes of a cluster write down about each other, in annotations of one ConfigMap: which
 * peer runs on which node, and who is taking the addresses of a peer that is gone. The original's
 * form, so that nodes of both kinds share it. Source: reference/kubernetes.md 7.
 */
import { z } from 'zod';

const PREFIX = 'kube-peers.weave.works/';
const PEERS = `${PREFIX}peers`;

export interface ClusterPeer {
  /** MAC form. */
  readonly peer: string;
  readonly node: string;
}

export interface ClusterRecord {
  readonly peers: readonly ClusterPeer[];
  /** By the peer that is gone: who takes its addresses. */
  readonly takers: ReadonlyMap<string, string>;
}

export type Annotations = Readonly<Record<string, string>>;

/** Also part of an annotation's name, where anything else could stand for another annotation. */
const peerName = z.string().regex(/^[0-9a-f]{2}(:[0-9a-f]{2}){5}$/i);
const peersSchema = z.object({
  Peers: z.array(z.object({ PeerName: peerName, NodeName: z.string() })).nullish(),
});

/** Names of annotations take few characters. */
const keyOf = (peer: string): string => PREFIX + peer.replace(/[^A-Za-z0-9\-_./]/g, '_');

/** @throws {SyntaxError | z.ZodError} if the list of peers is damaged. */
export function readRecord(annotations: Annotations): ClusterRecord {
  const text = annotations[PEERS] ?? '{"Peers":[]}';
  const { Peers } = peersSchema.parse(JSON.parse(text));
  const peers = (Peers ?? []).map(({ PeerName, NodeName }) => ({ peer: PeerName, node: NodeName }));
  const takers = new Map<string, string>();
  for (const { peer } of peers) {
    const taker = annotations[keyOf(peer)];
    if (taker !== undefined) takers.set(peer, taker);
  }
  return { peers, takers };
}

/** Markers of peers that are not in the record go; annotations of others stay. */
export function writeRecord(annotations: Annotations, record: ClusterRecord): Annotations {
  const kept = Object.entries(annotations).filter(([key]) => !key.startsWith(PREFIX));
  const list = record.peers.map(({ peer, node }) => ({ PeerName: peer, NodeName: node }));
  const markers = [...record.takers].map(([peer, taker]): [string, string] => [keyOf(peer), taker]);
  return Object.fromEntries([...kept, [PEERS, JSON.stringify({ Peers: list })], ...markers]);
}

export const withPeer = (record: ClusterRecord, { peer, node }: ClusterPeer): ClusterRecord => ({
  ...record,
  peers: [...record.peers.filter((entry) => entry.peer !== peer), { peer, node }],
});

export const withTaker = (record: ClusterRecord, gone: string, taker: string): ClusterRecord => ({
  ...record,
  takers: new Map([...record.takers, [gone, taker]]),
});

/** What it was taking is left to others. */
export function withoutPeer(record: ClusterRecord, gone: string): ClusterRecord {
  const peers = record.peers.filter(({ peer }) => peer !== gone);
  const takers = [...record.takers].filter(([peer, taker]) => peer !== gone && taker !== gone);
  return { peers, takers: new Map(takers) };
}

/**
 * Peers whose addresses nobody uses any more: their node is gone, or runs under another peer name
 * now, which only that node itself can tell.
 */
export function gonePeers(
  record: ClusterRecord,
  self: ClusterPeer,
  nodes: ReadonlySet<string>,
): readonly ClusterPeer[] {
  return record.peers.filter(
    ({ peer, node }) => peer !== self.peer && (node === self.node || !nodes.has(node)),
  );
}
