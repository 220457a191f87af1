/** What must hold in a stable simulated network. */
import assert from 'node:assert/strict';
import type { PeerName } from '../../core/peer-name.js';
import type { SimNetwork } from './sim-network.js';
import type { SimNode } from './sim-node.js';

/** The topology as a router sees it, for comparing. */
export function viewOf(node: SimNode): string {
  const entries = [...node.mesh.topology.peers.values()].sort((a, b) => a.name - b.name);
  const lines = entries.map(({ name, uid, version, shortId, nickname, connections }) => {
    const links = [...connections.values()]
      .sort((a, b) => a.remotePeer - b.remotePeer)
      .map(
        (link) => `${link.remotePeer}${link.outbound ? '>' : '<'}${link.established ? '+' : '-'}`,
      );
    return `${name} ${nickname} ${uid} ${version} ${shortId} ${links.join(' ')}`;
  });
  return lines.join('\n');
}

/** All see the same peers, exactly these, and can reach each by data frames. */
export function isConverged(nodes: readonly SimNode[]): boolean {
  const [first] = nodes;
  if (first === undefined) return true;
  const names = new Set(nodes.map(({ name }) => name));
  const view = viewOf(first);
  return nodes.every((node) => {
    const { peers } = node.mesh.topology;
    if (peers.size !== names.size || viewOf(node) !== view) return false;
    const { unicast } = node.mesh.routes;
    return unicast.size === names.size - 1 && [...unicast.keys()].every((name) => names.has(name));
  });
}

/** Every node has a working connection to every other, once. */
export function isFullMesh(nodes: readonly SimNode[]): boolean {
  return nodes.every((node) => {
    const connections = node.status().connections.filter(({ state }) => state === 'established');
    return connections.length === nodes.length - 1;
  });
}

export function converge(network: SimNetwork, nodes: readonly SimNode[], limitMs: number): void {
  network.runUntil(() => isConverged(nodes), limitMs, 'convergence');
}

/** Follows the data plane's tables: how often a broadcast of the source arrives at each peer. */
export function broadcastDeliveries(
  nodes: readonly SimNode[],
  source: SimNode,
): ReadonlyMap<PeerName, number> {
  const byName = new Map(nodes.map((node) => [node.name, node]));
  const deliveries = new Map<PeerName, number>();
  const queue: PeerName[] = [source.name];
  for (let at = 0; at < queue.length && at < 10_000; at++) {
    const node = byName.get(queue[at] as PeerName) as SimNode;
    const hops = node.overlays[0]?.forwarding.broadcast.get(source.name) ?? [];
    for (const hop of hops) {
      deliveries.set(hop, (deliveries.get(hop) ?? 0) + 1);
      queue.push(hop);
    }
  }
  return deliveries;
}

/** Data frames: from every source to every other peer exactly once. */
export function assertExactlyOnce(network: SimNetwork, nodes: readonly SimNode[]): void {
  // Topologies agree before the last routes are recalculated; and somebody may just redial.
  let view: string;
  do {
    converge(network, nodes, 600_000);
    view = viewOf(nodes[0] as SimNode);
    network.run(1_500);
  } while (!isConverged(nodes) || viewOf(nodes[0] as SimNode) !== view);
  for (const source of nodes) {
    const deliveries = broadcastDeliveries(nodes, source);
    for (const node of nodes) {
      const expected = node === source ? undefined : 1;
      assert.equal(deliveries.get(node.name), expected, `frames ${source.name} -> ${node.name}`);
    }
  }
}

/** All short ids are owned by exactly the peer that carries them. */
export function assertUniqueShortIds(nodes: readonly SimNode[]): void {
  const ids = nodes.map((node) => node.mesh.topology.self.shortId);
  assert.equal(new Set(ids).size, nodes.length, `short ids ${ids.join(' ')}`);
}
