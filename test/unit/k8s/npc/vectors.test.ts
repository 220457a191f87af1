/** Every case of the vector file by the model, with all pods on one node and spread over two. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Cluster } from '../../../../k8s/npc/cluster.js';
import { compile } from '../../../../k8s/npc/compiler.js';
import { passes } from '../../../../k8s/npc/model.js';
import type { Pod, Protocol } from '../../../../k8s/npc/objects.js';
import {
  change,
  clusterOf,
  type Matrix,
  placements,
  policyCases,
} from '../../../support/policy-cases.js';

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

for (const [placement, nodeOf] of placements) {
  test(`network policy vectors, ${placement}`, () => {
    let count = 0;
    for (const c of policyCases) {
      if (c.group === 'host' && placement !== 'one node') continue;
      const cluster = clusterOf(c, nodeOf);
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
