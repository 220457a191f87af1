/** What holds for every packet: order among other rules, multicast, selectors of any size. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Cluster } from '../../../../k8s/npc/cluster.js';
import { compile } from '../../../../k8s/npc/compiler.js';
import { passes } from '../../../../k8s/npc/model.js';
import { parseNamespace, parsePod, parsePolicy } from '../../../../k8s/npc/parse.js';
import { baseChain } from '../../../../k8s/npc/render.js';
import { startRuleset } from '../../../../k8s/npc/ruleset.js';

const NODE = 'n1';

function cluster(namespaces: number): Cluster {
  const all = new Cluster();
  const put = (raw: object, index: number): void => {
    const pod = parsePod(raw);
    assert.ok(pod.ok, `${index}`);
    all.set('pods', pod.value);
  };
  for (let index = 0; index < namespaces; index++) {
    const name = `ns-${index}`;
    const namespace = parseNamespace({ metadata: { name, labels: { team: 'a' } } });
    assert.ok(namespace.ok);
    all.set('namespaces', namespace.value);
    put(
      {
        metadata: { namespace: name, name: 'p', labels: {} },
        spec: { nodeName: NODE },
        status: { phase: 'Running', podIP: `10.40.${index >> 8}.${index & 255}` },
      },
      index,
    );
  }
  const policy = parsePolicy({
    metadata: { namespace: 'ns-0', name: 'team' },
    spec: {
      podSelector: {},
      ingress: [{ from: [{ namespaceSelector: { matchLabels: { team: 'a' } } }] }],
    },
  });
  assert.ok(policy.ok);
  all.set('policies', policy.value);
  return all;
}

test('one selector holds any number of namespaces, in as many rules as for one', () => {
  const many = compile(cluster(3000), NODE, { allowMulticast: true });
  const attempt = { to: '10.40.0.0', protocol: 'TCP', port: 80 } as const;
  assert.ok(passes(many, 'ingress', { ...attempt, from: '10.40.11.183' }));
  assert.ok(!passes(many, 'ingress', { ...attempt, from: '10.41.0.1' }));
  const few = compile(cluster(1), NODE, { allowMulticast: true });
  assert.deepEqual([...many.chains.keys()], [...few.chains.keys()]);
});

test('multicast is accepted before any policy, or judged like everything else', () => {
  const rules = (allowMulticast: boolean): readonly string[] =>
    baseChain('ingress', startRuleset({ bridge: 'weave', allowMulticast })).rules;
  const accepts = ['ip daddr 224.0.0.0/4 accept', 'ip6 daddr ff00::/8 accept'];
  const allowed = rules(true);
  for (const accept of accepts) {
    assert.ok(allowed.includes(accept));
    assert.ok(allowed.indexOf(accept) < allowed.findIndex((rule) => rule.includes('vmap')));
    assert.ok(!rules(false).includes(accept));
  }
});

test('policies are judged after service translation and before ordinary filters', () => {
  for (const direction of ['egress', 'ingress'] as const) {
    const { priority } = baseChain(
      direction,
      startRuleset({ bridge: 'weave', allowMulticast: true }),
    );
    assert.ok(priority > -100 && priority < 0, `${direction} ${priority}`);
  }
});
