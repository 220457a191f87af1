/** The network policy cases of the vector file, as objects of a cluster. */
import assert from 'node:assert/strict';
import { Cluster } from '../../k8s/npc/cluster.js';
import type { Pod } from '../../k8s/npc/objects.js';
import { parseNamespace, parsePod, parsePolicy } from '../../k8s/npc/parse.js';
import { loadVectors } from './vectors.js';

export interface PodText {
  readonly namespace: string;
  readonly name: string;
  readonly labels: Record<string, string>;
  readonly ip: string;
  readonly ports?: readonly object[];
  readonly hostNetwork?: boolean;
  readonly phase?: string;
}

export type Matrix = Record<string, Record<string, Record<string, boolean>>>;

export interface Step {
  readonly title: string;
  readonly changes: readonly { readonly op: string; readonly object: unknown }[];
  readonly expected: Matrix;
}

export interface Case {
  readonly id: string;
  readonly title: string;
  readonly group: string;
  readonly namespaces: readonly { readonly name: string; readonly labels: object }[];
  readonly pods: readonly PodText[];
  readonly externals: readonly { readonly name: string; readonly ip: string }[];
  readonly policies: readonly object[];
  readonly expected: Matrix;
  readonly steps?: readonly Step[];
}

export const { cases: policyCases } = loadVectors<{ cases: Case[] }>('network-policy-cases.json');

export type NodeOf = (pod: PodText) => string;

export function value<T>(parsed: { readonly ok: boolean; readonly value?: T }): T {
  assert.ok(parsed.ok && parsed.value !== undefined, JSON.stringify(parsed));
  return parsed.value;
}

export const podOf = (pod: PodText, nodeOf: NodeOf): Pod =>
  value(
    parsePod({
      metadata: pod,
      spec: {
        nodeName: nodeOf(pod),
        hostNetwork: pod.hostNetwork,
        containers: [{ ports: pod.ports }],
      },
      status: { podIP: pod.ip, phase: pod.phase },
    }),
  );

export const namespaceOf = (raw: unknown) => value(parseNamespace({ metadata: raw }));

export function change(cluster: Cluster, op: string, object: unknown, nodeOf: NodeOf): void {
  const isDelete = op.startsWith('delete');
  if (op.endsWith('Pod')) {
    const pod = podOf(object as PodText, nodeOf);
    if (isDelete) assert.ok(cluster.delete('pods', pod));
    else cluster.set('pods', pod);
  } else if (op.endsWith('Namespace')) cluster.set('namespaces', namespaceOf(object));
  else if (isDelete) {
    const { metadata } = object as { metadata: { namespace: string; name: string } };
    assert.ok(cluster.delete('policies', { ...metadata, uid: '' }));
  } else cluster.set('policies', value(parsePolicy(object)));
}

export function clusterOf(one: Case, nodeOf: NodeOf): Cluster {
  const cluster = new Cluster();
  cluster.replaceAll('namespaces', one.namespaces.map(namespaceOf));
  cluster.replaceAll(
    'pods',
    one.pods.map((pod) => podOf(pod, nodeOf)),
  );
  cluster.replaceAll(
    'policies',
    one.policies.map((raw) => value(parsePolicy(raw))),
  );
  return cluster;
}

export const placements: readonly (readonly [string, NodeOf])[] = [
  ['one node', () => 'n1'],
  ['two nodes', ({ ip }) => (Number(ip.split('.').at(-1)) % 2 === 0 ? 'n1' : 'n2')],
];
