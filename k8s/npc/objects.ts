/**
 * What the policy controller keeps of pods, namespaces and network policies. Immutable: a changed
 * object is a new one, so that results can be kept by identity.
 * Source: networking.k8s.io/v1; reference/network-policy.md 8.
 */

export type Labels = ReadonlyMap<string, string>;
export type Protocol = 'TCP' | 'UDP' | 'SCTP';

export interface ContainerPort {
  readonly name: string;
  readonly protocol: Protocol;
  readonly number: number;
}

export interface Pod {
  readonly namespace: string;
  readonly name: string;
  readonly uid: string;
  readonly labels: Labels;
  /** Canonical texts of IPv4 and IPv6 addresses; none while the pod has none. */
  readonly addresses: readonly string[];
  readonly hostNetwork: boolean;
  /** Succeeded or failed: its address may belong to another pod. */
  readonly finished: boolean;
  /** Empty until it is scheduled. */
  readonly node: string;
  /** Those with a name. */
  readonly ports: readonly ContainerPort[];
}

export interface Namespace {
  readonly name: string;
  readonly uid: string;
  readonly labels: Labels;
}

export interface Requirement {
  readonly key: string;
  readonly operator: 'In' | 'NotIn' | 'Exists' | 'DoesNotExist';
  readonly values: readonly string[];
}

export interface Selector {
  /** A conjunction; empty selects everything. */
  readonly requirements: readonly Requirement[];
  /** Equal for selectors that select the same by their form. */
  readonly key: string;
}

export type Peer =
  | {
      readonly kind: 'pods';
      /** null: the policy's own namespace. */
      readonly namespaces: Selector | null;
      readonly pods: Selector;
    }
  | { readonly kind: 'block'; readonly cidr: string; readonly except: readonly string[] };

export interface PolicyPort {
  readonly protocol: Protocol;
  /** A number, the name of a container port, or null for all. */
  readonly port: number | string | null;
  readonly endPort: number | null;
}

export interface PolicyRule {
  /** null: any peer. */
  readonly peers: readonly Peer[] | null;
  /** null: any port and protocol. */
  readonly ports: readonly PolicyPort[] | null;
}

export interface Policy {
  readonly namespace: string;
  readonly name: string;
  readonly uid: string;
  readonly pods: Selector;
  /** null: the policy does not isolate in this direction. */
  readonly ingress: readonly PolicyRule[] | null;
  readonly egress: readonly PolicyRule[] | null;
}

export function selects({ requirements }: Selector, labels: Labels): boolean {
  return requirements.every((requirement) => fulfils(requirement, labels.get(requirement.key)));
}

function fulfils({ operator, values }: Requirement, value: string | undefined): boolean {
  switch (operator) {
    case 'In':
      return value !== undefined && values.includes(value);
    case 'NotIn':
      return value === undefined || !values.includes(value);
    case 'Exists':
      return value !== undefined;
    case 'DoesNotExist':
      return value === undefined;
  }
}

/** A pod counts for policies once it has an address, until it ends. */
export function hasPolicies(pod: Pod): boolean {
  return !pod.hostNetwork && !pod.finished && pod.addresses.length > 0;
}

export const keyOf = ({ namespace, name }: { namespace: string; name: string }): string =>
  `${namespace}/${name}`;
