/**
 * Random clusters: what the compiled ruleset lets pass is what a direct reading of the
 * specification lets pass, with network policies alone and with policies of the whole cluster.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { Cluster } from '../../../../k8s/npc/cluster.js';
import { Compiler, compile } from '../../../../k8s/npc/compiler.js';
import { explain } from '../../../../k8s/npc/explain.js';
import { type Attempt, passes } from '../../../../k8s/npc/model.js';
import { parsePod } from '../../../../k8s/npc/parse.js';
import { allowed, NAMESPACES, type World } from '../../../support/policy-reading.js';
import {
  clusterFor,
  type Places,
  PORTS,
  PROTOCOLS,
  worldOf,
} from '../../../support/policy-worlds.js';

const IPV4: Places = {
  ips: Array.from({ length: 8 }, (_, index) => [`10.1.0.${index + 1}`]),
  ranges: ['0.0.0.0/0', '10.0.0.0/8', '10.1.0.0/24', '10.1.0.0/29', '10.1.0.4/30'],
  fewestPods: 2,
};
const IPV6: Places = {
  ips: Array.from({ length: 6 }, (_, index) => [`fd00::1:${index + 1}`]),
  ranges: ['0.0.0.0/0', '::/0', 'fd00::/8', 'fd00::1:0/125', 'fd00::1:4/126'],
  fewestPods: 2,
};
const OUTSIDE = { 4: ['10.1.0.200', '192.0.2.1'], 6: ['fd00::1:200', '2001::1'] };
const NODES = ['n0', 'n1'];

const clusterOf = (world: World): Cluster => clusterFor(world, (index) => `n${index % 2}`);

function attemptsOf(world: World, outside: readonly string[]): Attempt[] {
  const addresses = [...world.pods.flatMap(({ ips }) => ips), ...outside];
  return addresses.flatMap((from) =>
    addresses.flatMap((to) =>
      PROTOCOLS.flatMap((protocol) => PORTS.map((port) => ({ from, to, protocol, port }))),
    ),
  );
}

const inWords = ({ from, to, protocol, port }: Attempt): string =>
  `${from} > ${to} ${protocol}/${port}`;

function checkWorld(world: World, outside: readonly string[], clusterPolicies: boolean): void {
  const cluster = clusterOf(world);
  const options = { allowMulticast: true, clusterPolicies };
  const nodes = NODES.map((node) => compile(cluster, node, options));
  for (const attempt of attemptsOf(world, outside)) {
    const actual = nodes.every(
      (node) => passes(node, 'egress', attempt) && passes(node, 'ingress', attempt),
    );
    assert.equal(actual, allowed(world, attempt), inWords(attempt));
  }
}

test('random policies let pass what the specification lets pass', () => {
  fc.assert(
    fc.property(worldOf(IPV4, 0), (world) => checkWorld(world, OUTSIDE[4], false)),
    { numRuns: 300 },
  );
});

test('so they do with policies of the whole cluster before and after them', () => {
  fc.assert(
    fc.property(worldOf(IPV4, 5), (world) => checkWorld(world, OUTSIDE[4], true)),
    { numRuns: 400 },
  );
});

test('so they do with IPv6', () => {
  fc.assert(
    fc.property(worldOf(IPV6, 4), (world) => checkWorld(world, OUTSIDE[6], true)),
    { numRuns: 150 },
  );
});

test('explanations of random policies end in the same verdict', () => {
  fc.assert(
    fc.property(worldOf(IPV4, 4), fc.nat(), (world, pick) => {
      const attempts = attemptsOf(world, OUTSIDE[4]).filter(({ from, to }) => from !== to);
      for (let at = pick % 37; at < attempts.length; at += 37) {
        const attempt = attempts[at];
        if (attempt === undefined) continue;
        const { allowed: told, lines } = explain(clusterOf(world), attempt);
        assert.equal(told, allowed(world, attempt), `${inWords(attempt)}: ${lines.join(', ')}`);
      }
    }),
    { numRuns: 100 },
  );
});

test('policies of the cluster have no effect unless they are asked for', () => {
  const options = { allowMulticast: true };
  fc.assert(
    fc.property(worldOf(IPV4, 4), (world) => {
      const without = clusterOf({ ...world, clusterPolicies: [] });
      assert.deepEqual(compile(clusterOf(world), 'n0', options), compile(without, 'n0', options));
    }),
  );
});

/** Object by object, as events come. */
function follow(cluster: Cluster, next: Cluster): void {
  for (const kind of ['pods', 'policies', 'namespaces', 'clusterPolicies'] as const) {
    for (const [key, object] of cluster[kind]) {
      if (!next[kind].has(key)) cluster.delete(kind, object);
    }
  }
  for (const pod of next.pods.values()) cluster.set('pods', pod);
  for (const policy of next.policies.values()) cluster.set('policies', policy);
  for (const namespace of next.namespaces.values()) cluster.set('namespaces', namespace);
  for (const all of next.clusterPolicies.values()) cluster.set('clusterPolicies', all);
}

test('a compiler that follows changes gives what a new one gives', () => {
  const options = { allowMulticast: true, clusterPolicies: true };
  fc.assert(
    fc.property(fc.array(worldOf(IPV4, 4), { minLength: 2, maxLength: 5 }), (worlds) => {
      const cluster = new Cluster();
      const compiler = new Compiler(cluster, 'n0', options);
      for (const random of worlds) {
        follow(cluster, clusterOf(random));
        assert.deepEqual(compiler.compile(), compile(clusterOf(random), 'n0', options));
      }
    }),
    { numRuns: 200 },
  );
});

const EMPTY: World = {
  namespaceLabels: [{}, {}, {}],
  pods: [],
  policies: [],
  clusterPolicies: [],
};

test('what a change does not concern stays the same object', () => {
  const parsed = (name: string, namespace: string) => {
    const pod = parsePod({
      metadata: { name, namespace },
      spec: { nodeName: 'n0' },
      status: { podIP: name === 'p' ? '10.1.0.1' : '10.1.0.2' },
    });
    assert.ok(pod.ok);
    return pod.value;
  };
  const policies = NAMESPACES.map((namespace) => ({
    namespace,
    podSelector: {},
    ingress: [{ from: [{ podSelector: {} }] }],
  }));
  const from = [{ namespaces: { matchLabels: { 'kubernetes.io/metadata.name': 'a' } } }];
  const clusterPolicies = ['Admin', 'Baseline'].map((tier) => ({
    ...{ name: tier, tier, priority: 1, subject: { namespaces: {} } },
    ingress: [{ action: 'Deny', from }],
  }));
  const cluster = clusterOf({ ...EMPTY, policies, clusterPolicies });
  cluster.set('pods', parsed('p', 'a'));
  const compiler = new Compiler(cluster, 'n0', { allowMulticast: true, clusterPolicies: true });
  const before = compiler.compile();
  cluster.set('pods', parsed('q', 'b'));
  const after = compiler.compile();
  assert.ok(before.sets.size > 0 && after.sets.size > before.sets.size);
  for (const [name, set] of before.sets) assert.equal(after.sets.get(name), set);
  for (const [name, chain] of before.chains) assert.equal(after.chains.get(name), chain);
});
