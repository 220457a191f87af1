/**
 * Policies of the whole cluster, as the controller keeps them. Two tiers surround the network
 * policies: Admin is judged before them and can't be overruled, Baseline judges pods that no network
 * policy isolates. Within a tier the first rule that matches decides.
 * Source: policy.networking.k8s.io/v1alpha2, ClusterNetworkPolicy.
 */
import { type Labels, type Pod, type PolicyRule, type Selector, selects } from './objects.js';

export type Tier = 'admin' | 'baseline';
/** `pass` ends the tier: the next one goes on. */
export type Action = 'accept' | 'deny' | 'pass';

export interface ClusterRule extends PolicyRule {
  /** For people; may be empty. */
  readonly name: string;
  readonly action: Action;
}

/** Its pods: those with such labels in namespaces with such labels. */
export interface Subject {
  readonly namespaces: Selector;
  readonly pods: Selector;
}

export interface ClusterPolicy {
  readonly name: string;
  readonly uid: string;
  readonly tier: Tier;
  /** Lower comes first. */
  readonly priority: number;
  readonly subject: Subject;
  readonly ingress: readonly ClusterRule[];
  readonly egress: readonly ClusterRule[];
}

/** @param namespace labels of the pod's namespace; undefined: it is not known. */
export function isSubject({ subject }: ClusterPolicy, pod: Pod, namespace: Labels | undefined) {
  if (namespace === undefined) return false;
  return selects(subject.namespaces, namespace) && selects(subject.pods, pod.labels);
}

/**
 * In the order in which a tier is judged. Which of two with one priority comes first is left to us
 * by the source; the name decides, so that all nodes agree.
 */
export function inOrder(policies: Iterable<ClusterPolicy>, tier: Tier): ClusterPolicy[] {
  const compared = (a: ClusterPolicy, b: ClusterPolicy): number =>
    a.priority - b.priority || (a.name < b.name ? -1 : 1);
  return [...policies].filter((policy) => policy.tier === tier).sort(compared);
}
