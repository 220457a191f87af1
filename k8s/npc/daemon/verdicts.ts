/**
 * Names and addresses for the verdicts that people read: `weave npc explain` and the line about a
 * dropped connection.
 */
import { RequestError } from '../../../core/errors.js';
import { addressBytes, canonicalAddress, isIpv6 } from '../address.js';
import type { Cluster } from '../cluster.js';
import { inOrder, isSubject } from '../cluster-policy.js';
import { type Explanation, explain } from '../explain.js';
import { hasPolicies, keyOf, type Pod, type Protocol, selects } from '../objects.js';
import type { DropReasons } from './drop-log.js';
import type { PacketFlow } from './packet.js';

/**
 * @param from `namespace/pod`, or an address. @param to likewise.
 * @param port `80`, `80/udp`, or the name of a port of `to`, `http`; empty is 80/tcp.
 * @throws {RequestError} for an unknown pod, one without an address, or a wrong port.
 */
export function explainByNames(
  cluster: Cluster,
  from: string,
  to: string,
  port: string,
): Explanation {
  const [sources, targets] = [endpoint(cluster, from), endpoint(cluster, to)];
  const pair = sources.addresses.flatMap((source) =>
    targets.addresses
      .filter((target) => isIpv6(target) === isIpv6(source))
      .map((target) => ({ source, target })),
  )[0];
  if (pair === undefined) {
    throw new RequestError('family-differs', `${from} and ${to} have no family in common`);
  }
  const attempt = { from: pair.source, to: pair.target, ...parsePort(port, targets.pod) };
  const { allowed, lines } = explain(cluster, attempt);
  const notes = [sources, targets].flatMap(({ pod }) =>
    pod?.hostNetwork ? [`${keyOf(pod)} is on the host's network: policies do not judge it`] : [],
  );
  return { allowed, lines: [...lines, ...notes] };
}

interface Endpoint {
  readonly pod: Pod | null;
  readonly addresses: readonly string[];
}

function endpoint(cluster: Cluster, text: string): Endpoint {
  if (!text.includes('/')) {
    if (addressBytes(text) !== null) return { pod: null, addresses: [canonicalAddress(text)] };
    const expected = 'expected NAMESPACE/POD or an address';
    throw new RequestError('endpoint-invalid', `${expected}, got "${text.slice(0, 100)}"`);
  }
  const pod = cluster.pods.get(text);
  if (pod === undefined) {
    throw new RequestError('pod-unknown', `there is no pod "${text.slice(0, 300)}" in the cluster`);
  }
  if (pod.addresses.length === 0) {
    throw new RequestError('pod-without-address', `the pod ${text} has no address yet`);
  }
  return { pod, addresses: pod.addresses };
}

function parsePort(text: string, target: Pod | null): { protocol: Protocol; port: number } {
  const [value = '', name = 'tcp', ...more] = (text === '' ? '80' : text).split('/');
  const protocol = (['TCP', 'UDP', 'SCTP'] as const).find((one) => one === name.toUpperCase());
  const named = target?.ports.find((one) => one.name === value && one.protocol === protocol);
  const port = named?.number ?? (/^\d{1,5}$/.test(value) ? Number(value) : 0);
  if (protocol === undefined || more.length > 0 || port < 1 || port > 65535) {
    const expected = 'expected PORT[/tcp|udp|sctp] or the name of a port of the destination';
    throw new RequestError('port-invalid', `${expected}, got "${text.slice(0, 100)}"`);
  }
  return { protocol, port };
}

const PREFIX = /^(ingress|egress)(?:-(admin|baseline))?$/;

/** @param prefix of the rule that logged the packet: the direction, and the tier if any. */
export function dropReasons(cluster: Cluster, flow: PacketFlow, prefix: string): DropReasons {
  const [from, to] = [podAt(cluster, flow.source), podAt(cluster, flow.destination)];
  const [, side, tier] = PREFIX.exec(prefix) ?? [];
  const direction = side === 'ingress' || side === 'egress' ? side : null;
  const isolated = direction === 'ingress' ? to : direction === 'egress' ? from : null;
  const policies: string[] = [];
  if (isolated !== null && direction !== null && (tier === 'admin' || tier === 'baseline')) {
    const labels = cluster.namespaces.get(`/${isolated.namespace}`)?.labels;
    for (const policy of inOrder(cluster.clusterPolicies.values(), tier)) {
      const denies = policy[direction].some(({ action }) => action === 'deny');
      if (denies && isSubject(policy, isolated, labels)) policies.push(`${tier}:${policy.name}`);
    }
  } else if (isolated !== null && direction !== null) {
    for (const policy of cluster.policies.values()) {
      const applies = policy.namespace === isolated.namespace && policy[direction] !== null;
      if (applies && selects(policy.pods, isolated.labels)) policies.push(keyOf(policy));
    }
  }
  return {
    from: from === null ? null : keyOf(from),
    to: to === null ? null : keyOf(to),
    direction,
    policies,
  };
}

function podAt(cluster: Cluster, address: string): Pod | null {
  for (const pod of cluster.pods.values()) {
    if (hasPolicies(pod) && pod.addresses.includes(address)) return pod;
  }
  return null;
}
