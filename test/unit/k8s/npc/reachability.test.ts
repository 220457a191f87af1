/**
 * Random clusters: what the compiled ruleset lets pass is what a direct reading of the
 * specification lets pass. The reading works on the objects as a user writes them and shares no
 * code with the compiler or the parser.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { Cluster } from '../../../../k8s/npc/cluster.js';
import { Compiler, compile } from '../../../../k8s/npc/compiler.js';
import { passes } from '../../../../k8s/npc/model.js';
import type { Protocol } from '../../../../k8s/npc/objects.js';
import { parseNamespace, parsePod, parsePolicy } from '../../../../k8s/npc/parse.js';

type Labels = Record<string, string>;
interface SelectorText {
  matchLabels?: Labels;
  matchExpressions?: { key: string; operator: string; values?: string[] }[];
}
interface PeerText {
  podSelector?: SelectorText;
  namespaceSelector?: SelectorText;
  ipBlock?: { cidr: string; except?: string[] };
}
interface PortText {
  protocol?: string;
  port?: number | string;
  endPort?: number;
}
interface PolicyText {
  namespace: string;
  podSelector: SelectorText;
  policyTypes?: string[];
  ingress?: { from?: PeerText[]; ports?: PortText[] }[];
  egress?: { to?: PeerText[]; ports?: PortText[] }[];
}
interface PodText {
  namespace: string;
  labels: Labels;
  ip: string;
  finished: boolean;
  web: number;
}

const PROTOCOLS = ['TCP', 'UDP', 'SCTP'] as const;
const NAMESPACES = ['a', 'b', 'c'];

// --- the reading of the specification ---

function selected(selector: SelectorText, labels: Labels): boolean {
  for (const [key, wanted] of Object.entries(selector.matchLabels ?? {})) {
    if (labels[key] !== wanted) return false;
  }
  for (const { key, operator, values = [] } of selector.matchExpressions ?? []) {
    const has = key in labels;
    const isListed = has && values.includes(labels[key] ?? '');
    if (operator === 'In' && !isListed) return false;
    if (operator === 'NotIn' && isListed) return false;
    if (operator === 'Exists' && !has) return false;
    if (operator === 'DoesNotExist' && has) return false;
  }
  return true;
}

const number = (ip: string): number => ip.split('.').reduce((sum, part) => sum * 256 + +part, 0);

function inRange(cidr: string, ip: string): boolean {
  const [network = '', bits = ''] = cidr.split('/');
  const size = 2 ** (32 - Number(bits));
  return Math.floor(number(network) / size) === Math.floor(number(ip) / size);
}

interface World {
  namespaceLabels: Labels[];
  pods: PodText[];
  policies: PolicyText[];
}

const podAt = ({ pods }: World, ip: string): PodText | undefined =>
  pods.find((pod) => pod.ip === ip && !pod.finished);

function peerFits(world: World, policy: PolicyText, peer: PeerText, ip: string): boolean {
  if (peer.ipBlock !== undefined) {
    const { cidr, except = [] } = peer.ipBlock;
    return inRange(cidr, ip) && !except.some((range) => inRange(range, ip));
  }
  const pod = podAt(world, ip);
  if (pod === undefined) return false;
  const labels = world.namespaceLabels[NAMESPACES.indexOf(pod.namespace)] ?? {};
  const fits =
    peer.namespaceSelector === undefined
      ? pod.namespace === policy.namespace
      : selected(peer.namespaceSelector, labels);
  return fits && selected(peer.podSelector ?? {}, pod.labels);
}

function portFits(world: World, port: PortText, to: string, protocol: string, actual: number) {
  if ((port.protocol ?? 'TCP') !== protocol) return false;
  if (port.port === undefined) return true;
  if (typeof port.port === 'string') {
    const pod = podAt(world, to);
    return protocol === 'TCP' && port.port === 'web' && pod?.web === actual;
  }
  return actual >= port.port && actual <= (port.endPort ?? port.port);
}

function allowed(world: World, from: string, to: string, protocol: string, port: number): boolean {
  for (const direction of ['Ingress', 'Egress'] as const) {
    const subject = podAt(world, direction === 'Ingress' ? to : from);
    if (subject === undefined) continue;
    let isIsolated = false;
    let isAllowed = false;
    for (const policy of world.policies) {
      const types = policy.policyTypes ?? ['Ingress', ...(policy.egress?.length ? ['Egress'] : [])];
      if (policy.namespace !== subject.namespace || !types.includes(direction)) continue;
      if (!selected(policy.podSelector, subject.labels)) continue;
      isIsolated = true;
      const rules =
        direction === 'Ingress'
          ? (policy.ingress ?? []).map((rule) => ({ peers: rule.from, ports: rule.ports }))
          : (policy.egress ?? []).map((rule) => ({ peers: rule.to, ports: rule.ports }));
      const other = direction === 'Ingress' ? from : to;
      isAllowed ||= rules.some(
        ({ peers = [], ports = [] }) =>
          (peers.length === 0 || peers.some((peer) => peerFits(world, policy, peer, other))) &&
          (ports.length === 0 || ports.some((p) => portFits(world, p, to, protocol, port))),
      );
    }
    if (isIsolated && !isAllowed) return false;
  }
  return true;
}

// --- random worlds ---

const labels = fc.dictionary(fc.constantFrom('x', 'y'), fc.constantFrom('1', '2'), { maxKeys: 2 });
const selector: fc.Arbitrary<SelectorText> = fc.record(
  {
    matchLabels: labels,
    matchExpressions: fc.array(
      fc.oneof(
        fc.record({
          key: fc.constantFrom('x', 'y'),
          operator: fc.constantFrom('In', 'NotIn'),
          values: fc.subarray(['1', '2', '3'], { minLength: 1 }),
        }),
        fc.record({
          key: fc.constantFrom('x', 'y'),
          operator: fc.constantFrom('Exists', 'DoesNotExist'),
        }),
      ),
      { maxLength: 1 },
    ),
  },
  { requiredKeys: [] },
);
const ranges = fc.constantFrom(
  '0.0.0.0/0',
  '10.0.0.0/8',
  '10.1.0.0/24',
  '10.1.0.0/29',
  '10.1.0.4/30',
);
const peer: fc.Arbitrary<PeerText> = fc.oneof(
  fc.record({ podSelector: selector }),
  fc.record({ namespaceSelector: selector }),
  fc.record({ podSelector: selector, namespaceSelector: selector }),
  fc.record({
    ipBlock: fc.record({ cidr: ranges, except: fc.array(ranges, { maxLength: 2 }) }),
  }),
);
const port: fc.Arbitrary<PortText> = fc.oneof(
  fc.record({ protocol: fc.constantFrom(...PROTOCOLS) }),
  fc.record(
    { protocol: fc.constantFrom(...PROTOCOLS), port: fc.constantFrom(80, 81, 90) },
    { requiredKeys: ['port'] },
  ),
  fc.constant({ port: 'web' }),
  fc.constant({ port: 80, endPort: 85 }),
);
const peers = fc.array(peer, { maxLength: 2 });
const ports = fc.array(port, { maxLength: 2 });
const policy: fc.Arbitrary<PolicyText> = fc.record(
  {
    namespace: fc.constantFrom(...NAMESPACES),
    podSelector: selector,
    policyTypes: fc.subarray(['Ingress', 'Egress'], { minLength: 1 }),
    ingress: fc.array(fc.record({ from: peers, ports }), { maxLength: 2 }),
    egress: fc.array(fc.record({ to: peers, ports }), { maxLength: 2 }),
  },
  { requiredKeys: ['namespace', 'podSelector'] },
);
const world: fc.Arbitrary<World> = fc.record({
  namespaceLabels: fc.array(labels, { minLength: 3, maxLength: 3 }),
  pods: fc
    .array(
      fc.record({
        namespace: fc.constantFrom(...NAMESPACES),
        labels,
        finished: fc.boolean(),
        web: fc.constantFrom(80, 81),
      }),
      { minLength: 2, maxLength: 8 },
    )
    .map((all) => all.map((pod, index) => ({ ...pod, ip: `10.1.0.${index + 1}` }))),
  policies: fc.array(policy, { maxLength: 5 }),
});

function clusterOf({ namespaceLabels, pods, policies }: World): Cluster {
  const cluster = new Cluster();
  for (const [index, name] of NAMESPACES.entries()) {
    const parsed = parseNamespace({ metadata: { name, labels: namespaceLabels[index] } });
    assert.ok(parsed.ok);
    cluster.set('namespaces', parsed.value);
  }
  for (const [index, pod] of pods.entries()) {
    const parsed = parsePod({
      metadata: { name: `p${index}`, namespace: pod.namespace, labels: pod.labels },
      spec: {
        nodeName: `n${index % 2}`,
        containers: [{ ports: [{ name: 'web', containerPort: pod.web }] }],
      },
      status: { podIP: pod.ip, phase: pod.finished ? 'Succeeded' : 'Running' },
    });
    assert.ok(parsed.ok);
    cluster.set('pods', parsed.value);
  }
  for (const [index, { namespace, ...spec }] of policies.entries()) {
    const parsed = parsePolicy({ metadata: { name: `q${index}`, namespace }, spec });
    assert.ok(parsed.ok);
    cluster.set('policies', parsed.value);
  }
  return cluster;
}

test('random policies let pass what the specification lets pass', () => {
  fc.assert(
    fc.property(world, (random) => {
      const cluster = clusterOf(random);
      const nodes = ['n0', 'n1'].map((node) => compile(cluster, node, { allowMulticast: true }));
      const addresses = [...random.pods.map(({ ip }) => ip), '10.1.0.200', '192.0.2.1'];
      for (const from of addresses) {
        for (const to of addresses) {
          for (const protocol of PROTOCOLS as readonly Protocol[]) {
            for (const destination of [80, 81, 85, 90]) {
              const attempt = { from, to, protocol, port: destination };
              const actual = nodes.every(
                (node) => passes(node, 'egress', attempt) && passes(node, 'ingress', attempt),
              );
              assert.equal(
                actual,
                allowed(random, from, to, protocol, destination),
                `${from} > ${to} ${protocol}/${destination}`,
              );
            }
          }
        }
      }
    }),
    { numRuns: 300 },
  );
});

/** Object by object, as events come. */
function follow(cluster: Cluster, next: Cluster): void {
  for (const kind of ['pods', 'policies', 'namespaces'] as const) {
    for (const [key, object] of cluster[kind]) {
      if (!next[kind].has(key)) cluster.delete(kind, object);
    }
  }
  for (const pod of next.pods.values()) cluster.set('pods', pod);
  for (const policy of next.policies.values()) cluster.set('policies', policy);
  for (const namespace of next.namespaces.values()) cluster.set('namespaces', namespace);
}

test('a compiler that follows changes gives what a new one gives', () => {
  const options = { allowMulticast: true };
  fc.assert(
    fc.property(fc.array(world, { minLength: 2, maxLength: 5 }), (worlds) => {
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
  const cluster = clusterOf({ namespaceLabels: [{}, {}, {}], pods: [], policies });
  cluster.set('pods', parsed('p', 'a'));
  const compiler = new Compiler(cluster, 'n0', { allowMulticast: true });
  const before = compiler.compile();
  cluster.set('pods', parsed('q', 'b'));
  const after = compiler.compile();
  assert.ok(before.sets.size > 0 && after.sets.size > before.sets.size);
  for (const [name, set] of before.sets) assert.equal(after.sets.get(name), set);
  for (const [name, chain] of before.chains) assert.equal(after.chains.get(name), chain);
});
