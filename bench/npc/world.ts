/**
 * Objects of a cluster as the API gives them, for the benchmark and the soak of the policy
 * controller: pods with labels and an address, and policies of the kinds that people write.
 */
import type { SeededNumbers } from '../../test/support/garbage.js';

export const NODE = 'node-a';
export const NAMESPACES = 10;
const APPS = ['web', 'api', 'db', 'cache', 'queue'];
const TIERS = ['front', 'back'];

export type RawObject = Readonly<Record<string, unknown>> & {
  readonly metadata: {
    readonly name: string;
    readonly namespace?: string;
    readonly uid: string;
    readonly labels?: Labels;
  };
};

export type Labels = Readonly<Record<string, string>>;

export function namespaceObject(index: number, labels: Labels = {}): RawObject {
  const name = `ns-${index}`;
  return {
    apiVersion: 'v1',
    kind: 'Namespace',
    metadata: {
      name,
      uid: `namespace-${index}`,
      labels: { 'kubernetes.io/metadata.name': name, team: `team-${index % 3}`, ...labels },
    },
  };
}

/** @param address null: the pod has none yet. */
export function podObject(pod: {
  readonly index: number;
  readonly address: string | null;
  readonly labels: Labels;
  readonly node?: string;
}): RawObject {
  const { index, address, labels, node = NODE } = pod;
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: {
      name: `pod-${index}`,
      namespace: `ns-${index % NAMESPACES}`,
      uid: `pod-uid-${index}`,
      labels,
    },
    spec: {
      nodeName: node,
      containers: [{ name: 'c', ports: [{ name: 'http', containerPort: 8080, protocol: 'TCP' }] }],
    },
    status: {
      phase: address === null ? 'Pending' : 'Running',
      ...(address === null ? {} : { podIP: address, podIPs: [{ ip: address }] }),
    },
  };
}

export function podLabels(random: SeededNumbers): Labels {
  return {
    app: APPS[random.below(APPS.length)] as string,
    tier: TIERS[random.below(TIERS.length)] as string,
    shard: `s${random.below(4)}`,
  };
}

/** A random policy of the kinds that people write. */
export function policyObject(index: number, random: SeededNumbers): RawObject {
  const pick = <T>(list: readonly T[]): T => list[random.below(list.length)] as T;
  const selector = (): object =>
    pick([
      {},
      { matchLabels: { app: pick(APPS) } },
      { matchLabels: { app: pick(APPS), tier: pick(TIERS) } },
      { matchExpressions: [{ key: 'app', operator: 'In', values: [pick(APPS), pick(APPS)] }] },
    ]);
  const namespaces = (): object => ({ matchLabels: { team: `team-${random.below(3)}` } });
  const peer = (): object =>
    pick([
      () => ({ podSelector: selector() }),
      () => ({ namespaceSelector: namespaces() }),
      () => ({ namespaceSelector: namespaces(), podSelector: selector() }),
      () => ({ ipBlock: { cidr: '10.32.0.0/16', except: [`10.32.${random.below(8)}.0/24`] } }),
    ])();
  const ports = (): object =>
    pick([
      {},
      { ports: [{ protocol: 'TCP', port: 8080 }] },
      { ports: [{ protocol: 'TCP', port: 'http' }] },
      { ports: [{ protocol: 'TCP', port: 9000, endPort: 9100 }] },
    ]);
  const rules = (field: 'from' | 'to'): object[] =>
    Array.from({ length: random.below(3) }, () => ({
      [field]: Array.from({ length: 1 + random.below(2) }, peer),
      ...ports(),
    }));
  const types = pick([['Ingress'], ['Ingress'], ['Egress'], ['Ingress', 'Egress']]);
  return {
    apiVersion: 'networking.k8s.io/v1',
    kind: 'NetworkPolicy',
    metadata: {
      name: `policy-${index}`,
      namespace: `ns-${index % NAMESPACES}`,
      uid: `policy-uid-${index}`,
    },
    spec: {
      podSelector: selector(),
      policyTypes: types,
      ...(types.includes('Ingress') ? { ingress: rules('from') } : {}),
      ...(types.includes('Egress') ? { egress: rules('to') } : {}),
    },
  };
}
