/** Every case of the vector file by the model, with all pods on one node and spread over two. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Cluster } from '../../../../k8s/npc/cluster.js';
import { compile } from '../../../../k8s/npc/compiler.js';
import { passes } from '../../../../k8s/npc/model.js';
import type { Pod, Protocol } from '../../../../k8s/npc/objects.js';
import { parseNamespace, parsePod, parsePolicy } from '../../../../k8s/npc/parse.js';
import { loadVectors } from '../../../support/vectors.js';

interface PodText {
  readonly namespace: string;
  readonly name: string;
  readonly labels: Record<string, string>;
  readonly ip: string;
  readonly ports?: readonly object[];
  readonly hostNetwork?: boolean;
  readonly phase?: string;
}

type Matrix = Record<string, Record<string, Record<string, boolean>>>;

interface Step {
  readonly title: string;
  readonly changes: readonly { readonly op: string; readonly object: unknown }[];
  readonly expected: Matrix;
}

interface Case {
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

const { cases } = loadVectors<{ cases: Case[] }>('network-policy-cases.json');

type NodeOf = (pod: PodText) => string;

function value<T>(parsed: { readonly ok: boolean; readonly value?: T }): T {
  assert.ok(parsed.ok && parsed.value !== undefined, JSON.stringify(parsed));
  return parsed.value;
}

const podOf = (pod: PodText, nodeOf: NodeOf): Pod =>
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

const namespaceOf = (raw: unknown) => value(parseNamespace({ metadata: raw }));

function change(cluster: Cluster, op: string, object: unknown, nodeOf: NodeOf): void {
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

/** @returns pairs that were judged. */
function checkMatrix(cluster: Cluster, ips: Map<string, string>, expected: Matrix, where: string) {
  const rulesets = new Map(
    ['n1', 'n2'].map((node) => [node, compile(cluster, node, { allowMulticast: true })]),
  );
  let pairs = 0;
  for (const [probe, rows] of Object.entries(expected)) {
    const [protocol, port] = probe.split('/') as [Protocol, string];
    for (const [from, row] of Object.entries(rows)) {
      for (const [to, allowed] of Object.entries(row)) {
        const [source, target] = [cluster.pods.get(from), cluster.pods.get(to)];
        const attempt = {
          from: source?.addresses[0] ?? ips.get(from) ?? '',
          to: target?.addresses[0] ?? ips.get(to) ?? '',
          protocol,
          port: Number(port),
        };
        const judged = (direction: 'ingress' | 'egress', pod: Pod | undefined): boolean => {
          const ruleset = rulesets.get(pod?.node ?? '');
          return ruleset === undefined || passes(ruleset, direction, attempt);
        };
        // Neither a pod's traffic to itself nor the own node's passes the forward hook.
        const unjudged =
          from === to || source?.hostNetwork === true || target?.hostNetwork === true;
        const actual = unjudged || (judged('egress', source) && judged('ingress', target));
        assert.equal(actual, allowed, `${where} ${probe} ${from} > ${to}`);
        pairs += 1;
      }
    }
  }
  return pairs;
}

const placements: readonly (readonly [string, NodeOf])[] = [
  ['one node', () => 'n1'],
  ['two nodes', ({ ip }) => (Number(ip.split('.').at(-1)) % 2 === 0 ? 'n1' : 'n2')],
];

for (const [placement, nodeOf] of placements) {
  test(`network policy vectors, ${placement}`, () => {
    let count = 0;
    for (const c of cases) {
      if (c.group === 'host' && placement !== 'one node') continue;
      const cluster = new Cluster();
      cluster.replaceAll('namespaces', c.namespaces.map(namespaceOf));
      cluster.replaceAll(
        'pods',
        c.pods.map((pod) => podOf(pod, nodeOf)),
      );
      cluster.replaceAll(
        'policies',
        c.policies.map((raw) => value(parsePolicy(raw))),
      );
      const ips = new Map(c.externals.map(({ name, ip }) => [name, ip]));
      count += checkMatrix(cluster, ips, c.expected, `${c.id} ${c.title}:`);
      for (const step of c.steps ?? []) {
        for (const { op, object } of step.changes) change(cluster, op, object, nodeOf);
        count += checkMatrix(cluster, ips, step.expected, `${c.id} after ${step.title}:`);
      }
    }
    assert.ok(count > 5000, `${count} pairs`);
  });
}
