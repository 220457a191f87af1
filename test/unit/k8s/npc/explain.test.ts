/** Explanations give the verdict of the vector cases and name the policies it came from. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { explain } from '../../../../k8s/npc/explain.js';
import type { Protocol } from '../../../../k8s/npc/objects.js';
import { clusterOf, policyCases } from '../../../support/policy-cases.js';

test('explanations of the vector cases agree with what is expected', () => {
  let count = 0;
  for (const one of policyCases) {
    if (one.group === 'host') continue;
    const cluster = clusterOf(one, () => 'n1');
    const outside = new Map(one.externals.map(({ name, ip }) => [name, ip]));
    const ipOf = (key: string): string =>
      cluster.pods.get(key)?.addresses[0] ?? outside.get(key) ?? '';
    for (const [probe, rows] of Object.entries(one.expected)) {
      const [protocol, port] = probe.split('/') as [Protocol, string];
      for (const [from, row] of Object.entries(rows)) {
        for (const [to, allowed] of Object.entries(row)) {
          const attempt = { from: ipOf(from), to: ipOf(to), protocol, port: Number(port) };
          const explanation = explain(cluster, attempt);
          assert.equal(explanation.allowed, allowed, `${one.id} ${probe} ${from} > ${to}`);
          count += 1;
        }
      }
    }
  }
  assert.ok(count > 3000, `${count} pairs`);
});

test('a denial names the policy that isolates', () => {
  const one = policyCases.find(({ id }) => id === 'np-004');
  assert.ok(one !== undefined);
  const cluster = clusterOf(one, () => 'n1');
  const attempt = { from: '10.32.1.1', to: '10.32.2.1', protocol: 'TCP', port: 80 } as const;
  assert.deepEqual(explain(cluster, attempt).lines, [
    'x/a (10.32.1.1) to y/a (10.32.2.1), TCP port 80',
    'egress: policy x/deny isolates the pod and has no rule for this',
    'egress: dropped',
    'ingress: no policy isolates the pod: passes',
    'denied',
  ]);
});
