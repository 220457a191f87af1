/** Random pods, namespaces and policies, and the same as objects of a cluster. */
import fc from 'fast-check';
import { Cluster } from '../../k8s/npc/cluster.js';
import { parseNamespace, parsePod, parsePolicy } from '../../k8s/npc/parse.js';
import { parseClusterPolicy } from '../../k8s/npc/parse-cluster.js';
import { value } from './policy-cases.js';
import {
  type ClusterPeerText,
  type ClusterPolicyText,
  type ClusterRuleText,
  type Labels,
  NAMESPACES,
  type PeerText,
  type PodText,
  type PolicyText,
  type PortText,
  type ProtocolText,
  type SelectorText,
  type World,
} from './policy-reading.js';

export const PROTOCOLS = ['TCP', 'UDP', 'SCTP'] as const;
/** Those between which the ports and ranges of policies make a difference. */
export const PORTS = [80, 81, 85, 90] as const;

/** Where the pods are. */
export interface Places {
  /** Of each pod its addresses. */
  readonly ips: readonly (readonly string[])[];
  readonly ranges: readonly string[];
  readonly fewestPods: number;
}

const labels: fc.Arbitrary<Labels> = fc.dictionary(
  fc.constantFrom('x', 'y'),
  fc.constantFrom('1', '2'),
  { maxKeys: 2 },
);
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
const port: fc.Arbitrary<PortText> = fc.oneof(
  fc.record({ protocol: fc.constantFrom(...PROTOCOLS) }),
  fc.record(
    { protocol: fc.constantFrom(...PROTOCOLS), port: fc.constantFrom(80, 81, 90) },
    { requiredKeys: ['port'] },
  ),
  fc.constant({ port: 'web' }),
  fc.constant({ port: 80, endPort: 85 }),
);
const ports = fc.array(port, { maxLength: 2 });

function policyOf(ranges: fc.Arbitrary<string>): fc.Arbitrary<PolicyText> {
  const peer: fc.Arbitrary<PeerText> = fc.oneof(
    fc.record({ podSelector: selector }),
    fc.record({ namespaceSelector: selector }),
    fc.record({ podSelector: selector, namespaceSelector: selector }),
    fc.record({
      ipBlock: fc.record({ cidr: ranges, except: fc.array(ranges, { maxLength: 2 }) }),
    }),
  );
  const peers = fc.array(peer, { maxLength: 2 });
  return fc.record(
    {
      namespace: fc.constantFrom(...NAMESPACES),
      podSelector: selector,
      policyTypes: fc.subarray(['Ingress', 'Egress'], { minLength: 1 }),
      ingress: fc.array(fc.record({ from: peers, ports }), { maxLength: 2 }),
      egress: fc.array(fc.record({ to: peers, ports }), { maxLength: 2 }),
    },
    { requiredKeys: ['namespace', 'podSelector'] },
  );
}

const destination = fc.oneof(
  fc.constant({}),
  fc.record({ destinationPort: fc.record({ number: fc.constantFrom(80, 81, 90) }) }),
  fc.constant({ destinationPort: { range: { start: 80, end: 85 } } }),
);
const protocol: fc.Arbitrary<ProtocolText> = fc.oneof(
  fc.record({ tcp: destination }),
  fc.record({ udp: destination }),
  fc.record({ sctp: destination }),
  fc.constant({ destinationNamedPort: 'web' }),
);
const podsOfCluster: fc.Arbitrary<ClusterPeerText> = fc.oneof(
  fc.record({ namespaces: selector }),
  fc.record({
    pods: fc.record(
      { namespaceSelector: selector, podSelector: selector },
      { requiredKeys: ['podSelector'] },
    ),
  }),
);

function clusterPolicyOf(ranges: fc.Arbitrary<string>): fc.Arbitrary<ClusterPolicyText> {
  const peer: fc.Arbitrary<ClusterPeerText> = fc.oneof(
    { weight: 12, arbitrary: podsOfCluster },
    { weight: 1, arbitrary: fc.constantFrom({}, { nodes: {} }) },
  );
  const egressPeer: fc.Arbitrary<ClusterPeerText> = fc.oneof(
    { weight: 2, arbitrary: peer },
    {
      weight: 1,
      arbitrary: fc.record({ networks: fc.uniqueArray(ranges, { minLength: 1, maxLength: 3 }) }),
    },
  );
  const ruleOf = (
    side: 'from' | 'to',
    peers: fc.Arbitrary<ClusterPeerText>,
  ): fc.Arbitrary<ClusterRuleText> =>
    fc
      .record(
        {
          action: fc.constantFrom('Accept', 'Deny', 'Pass'),
          others: fc.array(peers, { minLength: 1, maxLength: 2 }),
          protocols: fc.array(protocol, { minLength: 1, maxLength: 2 }),
        },
        { requiredKeys: ['action', 'others'] },
      )
      .map(({ others, ...rule }) => ({ ...rule, [side]: others }));
  return fc.record(
    {
      name: fc.stringMatching(/^[a-z]{1,8}$/),
      tier: fc.constantFrom('Admin', 'Baseline'),
      priority: fc.integer({ min: 0, max: 1000 }),
      subject: podsOfCluster,
      ingress: fc.array(ruleOf('from', peer), { maxLength: 3 }),
      egress: fc.array(ruleOf('to', egressPeer), { maxLength: 3 }),
    },
    { requiredKeys: ['name', 'tier', 'priority', 'subject'] },
  );
}

/** @param maxOfCluster policies of the whole cluster; 0: none. */
export function worldOf(places: Places, maxOfCluster: number): fc.Arbitrary<World> {
  const ranges = fc.constantFrom(...places.ranges);
  return fc.record({
    namespaceLabels: fc.array(labels, { minLength: 3, maxLength: 3 }),
    pods: fc
      .array(
        fc.record({
          namespace: fc.constantFrom(...NAMESPACES),
          labels,
          finished: fc.boolean(),
          web: fc.constantFrom(80, 81),
        }),
        { minLength: places.fewestPods, maxLength: places.ips.length },
      )
      .map((all): PodText[] =>
        all.map((pod, index) => ({ ...pod, ips: [...(places.ips[index] ?? [])] })),
      ),
    policies: fc.array(policyOf(ranges), { maxLength: 5 }),
    clusterPolicies: fc
      .uniqueArray(clusterPolicyOf(ranges), {
        maxLength: maxOfCluster,
        selector: ({ priority }) => priority,
      })
      // Names stand in no order, but are different.
      .map((all) => all.map((one, index) => ({ ...one, name: `${one.name}${index}` }))),
  });
}

/** @param nodeOf the node of the pod with that number. */
export function clusterFor(world: World, nodeOf: (index: number) => string): Cluster {
  const cluster = new Cluster();
  for (const [index, name] of NAMESPACES.entries()) {
    const metadata = { name, labels: world.namespaceLabels[index] };
    cluster.set('namespaces', value(parseNamespace({ metadata })));
  }
  for (const [index, pod] of world.pods.entries()) {
    const raw = {
      metadata: { name: `p${index}`, namespace: pod.namespace, labels: pod.labels },
      spec: {
        nodeName: nodeOf(index),
        containers: [{ ports: [{ name: 'web', containerPort: pod.web }] }],
      },
      status: {
        podIPs: pod.ips.map((ip) => ({ ip })),
        phase: pod.finished ? 'Succeeded' : 'Running',
      },
    };
    cluster.set('pods', value(parsePod(raw)));
  }
  for (const [index, { namespace, ...spec }] of world.policies.entries()) {
    const metadata = { name: `q${index}`, namespace };
    cluster.set('policies', value(parsePolicy({ metadata, spec })));
  }
  for (const { name, ...spec } of world.clusterPolicies) {
    cluster.set('clusterPolicies', value(parseClusterPolicy({ metadata: { name }, spec })));
  }
  return cluster;
}
