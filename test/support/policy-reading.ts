/**
 * A direct reading of what policies mean, on objects as a user writes them. It shares no code with
 * the compiler or the parsers, so that both can be wrong in one way only by chance.
 * Source: networking.k8s.io/v1; policy.networking.k8s.io/v1alpha2.
 */
export type Labels = Record<string, string>;

export interface SelectorText {
  matchLabels?: Labels;
  matchExpressions?: { key: string; operator: string; values?: string[] }[];
}
export interface PeerText {
  podSelector?: SelectorText;
  namespaceSelector?: SelectorText;
  ipBlock?: { cidr: string; except?: string[] };
}
export interface PortText {
  protocol?: string;
  port?: number | string;
  endPort?: number;
}
export interface PolicyText {
  namespace: string;
  podSelector: SelectorText;
  policyTypes?: string[];
  ingress?: { from?: PeerText[]; ports?: PortText[] }[];
  egress?: { to?: PeerText[]; ports?: PortText[] }[];
}
export interface PodText {
  namespace: string;
  labels: Labels;
  ips: string[];
  finished: boolean;
  /** The number of its port of the name `web`, TCP. */
  web: number;
}

export interface ClusterPeerText {
  namespaces?: SelectorText;
  pods?: { namespaceSelector?: SelectorText; podSelector: SelectorText };
  networks?: string[];
  /** Not supported, like an empty peer, which is one of a later version. */
  nodes?: SelectorText;
}
interface DestinationText {
  destinationPort?: { number?: number; range?: { start: number; end: number } };
}
export interface ProtocolText {
  tcp?: DestinationText;
  udp?: DestinationText;
  sctp?: DestinationText;
  destinationNamedPort?: string;
}
export interface ClusterRuleText {
  name?: string;
  action: string;
  from?: ClusterPeerText[];
  to?: ClusterPeerText[];
  protocols?: ProtocolText[];
}
export interface ClusterPolicyText {
  name: string;
  tier: string;
  /** No two are alike here: their order would be left open. */
  priority: number;
  subject: ClusterPeerText;
  ingress?: ClusterRuleText[];
  egress?: ClusterRuleText[];
}

export interface World {
  /** In the order of NAMESPACES. */
  namespaceLabels: Labels[];
  pods: PodText[];
  policies: PolicyText[];
  clusterPolicies: ClusterPolicyText[];
}

export const NAMESPACES = ['a', 'b', 'c'];

export interface Trip {
  from: string;
  to: string;
  protocol: string;
  port: number;
}

/** @returns whether a new connection passes, wherever the pods run. */
export function allowed(world: World, trip: Trip): boolean {
  return (['Ingress', 'Egress'] as const).every((direction) => {
    const subject = podAt(world, direction === 'Ingress' ? trip.to : trip.from);
    return subject === undefined || allowedOneWay(world, direction, subject, trip);
  });
}

type Direction = 'Ingress' | 'Egress';

function allowedOneWay(world: World, direction: Direction, subject: PodText, trip: Trip): boolean {
  const admin = judgeTier(world, 'Admin', direction, subject, trip);
  if (admin === 'Accept') return true;
  if (admin === 'Deny') return false;
  const own = judgePolicies(world, direction, subject, trip);
  return own ?? judgeTier(world, 'Baseline', direction, subject, trip) !== 'Deny';
}

// --- network policies ---

/** @returns null if none isolates the pod. */
function judgePolicies(world: World, direction: Direction, subject: PodText, trip: Trip) {
  const other = direction === 'Ingress' ? trip.from : trip.to;
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
    isAllowed ||= rules.some(
      ({ peers = [], ports = [] }) =>
        (peers.length === 0 || peers.some((peer) => peerFits(world, policy, peer, other))) &&
        (ports.length === 0 || ports.some((port) => portFits(world, port, trip))),
    );
  }
  return isIsolated ? isAllowed : null;
}

function peerFits(world: World, policy: PolicyText, peer: PeerText, ip: string): boolean {
  if (peer.ipBlock !== undefined) {
    const { cidr, except = [] } = peer.ipBlock;
    return inRange(cidr, ip) && !except.some((range) => inRange(range, ip));
  }
  const pod = podAt(world, ip);
  if (pod === undefined) return false;
  const fits =
    peer.namespaceSelector === undefined
      ? pod.namespace === policy.namespace
      : selected(peer.namespaceSelector, namespaceLabels(world, pod));
  return fits && selected(peer.podSelector ?? {}, pod.labels);
}

function portFits(world: World, port: PortText, trip: Trip): boolean {
  if ((port.protocol ?? 'TCP') !== trip.protocol) return false;
  if (port.port === undefined) return true;
  if (typeof port.port === 'string') return port.port === 'web' && isWeb(world, trip);
  return trip.port >= port.port && trip.port <= (port.endPort ?? port.port);
}

// --- policies of the cluster ---

function judgeTier(
  world: World,
  tier: string,
  direction: Direction,
  subject: PodText,
  trip: Trip,
): string | null {
  const ordered = world.clusterPolicies
    .filter((policy) => policy.tier === tier && clusterPeer(world, policy.subject, subject))
    .sort((a, b) => a.priority - b.priority);
  for (const policy of ordered) {
    for (const rule of (direction === 'Ingress' ? policy.ingress : policy.egress) ?? []) {
      const verdict = judgeRule(world, direction, rule, trip);
      if (verdict !== null) return verdict;
    }
  }
  return null;
}

function judgeRule(world: World, direction: Direction, rule: ClusterRuleText, trip: Trip) {
  const peers = (direction === 'Ingress' ? rule.from : rule.to) ?? [];
  const isUnknown = peers.some(
    (peer) =>
      Object.keys(peer).length === 0 ||
      'nodes' in peer ||
      ('networks' in peer && direction === 'Ingress'),
  );
  // Fail closed.
  if (isUnknown) return rule.action === 'Accept' ? null : 'Deny';
  const other = direction === 'Ingress' ? trip.from : trip.to;
  const pod = podAt(world, other);
  const isPeer = peers.some(
    (peer) =>
      peer.networks?.some((range) => inRange(range, other)) ||
      (pod !== undefined && clusterPeer(world, peer, pod)),
  );
  const fits = rule.protocols?.some((protocol) => protocolFits(world, protocol, trip)) ?? true;
  return isPeer && fits ? rule.action : null;
}

function clusterPeer(world: World, { namespaces, pods }: ClusterPeerText, pod: PodText): boolean {
  const labels = namespaceLabels(world, pod);
  if (namespaces !== undefined) return selected(namespaces, labels);
  if (pods === undefined) return false;
  return selected(pods.namespaceSelector ?? {}, labels) && selected(pods.podSelector, pod.labels);
}

function protocolFits(world: World, text: ProtocolText, trip: Trip): boolean {
  if (text.destinationNamedPort === 'web') return trip.protocol === 'TCP' && isWeb(world, trip);
  const own = { TCP: text.tcp, UDP: text.udp, SCTP: text.sctp }[trip.protocol];
  if (own === undefined) return false;
  const { number, range } = own.destinationPort ?? {};
  if (range !== undefined) return trip.port >= range.start && trip.port <= range.end;
  return number === undefined || trip.port === number;
}

// --- labels and addresses ---

const podAt = ({ pods }: World, ip: string): PodText | undefined =>
  pods.find((pod) => pod.ips.includes(ip) && !pod.finished);

const namespaceLabels = (world: World, pod: PodText): Labels =>
  world.namespaceLabels[NAMESPACES.indexOf(pod.namespace)] ?? {};

const isWeb = (world: World, { to, port }: Trip): boolean => podAt(world, to)?.web === port;

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

/** Of one width for each family; only the forms that these tests write: `10.1.0.4`, `fd00::1:4`. */
function bits(ip: string): string {
  const binary = (part: number, width: number): string => part.toString(2).padStart(width, '0');
  if (!ip.includes(':')) return [...ip.split('.')].map((part) => binary(Number(part), 8)).join('');
  const [head = '', tail = ''] = ip.split('::').map((half) =>
    half
      .split(':')
      .filter((group) => group !== '')
      .map((group) => binary(Number.parseInt(group, 16), 16))
      .join(''),
  );
  return head + tail.padStart(128 - head.length, '0');
}

function inRange(cidr: string, ip: string): boolean {
  const [network = '', length] = cidr.split('/');
  const [a, b] = [bits(network), bits(ip)];
  return a.length === b.length && a.slice(0, Number(length)) === b.slice(0, Number(length));
}
