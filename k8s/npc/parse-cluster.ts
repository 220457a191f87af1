/**
 * ClusterNetworkPolicy as it comes. What can't be understood fails closed, rule by rule, as the
 * source asks of peers of a later version: such an Accept matches nothing, such a Deny or Pass
 * denies everything. The rest of the object holds; what was done is told as a correction.
 * Source: policy.networking.k8s.io/v1alpha2, ClusterNetworkPolicy.
 */
import { z } from 'zod';
import { clip } from '../../core/text.js';
import type { Action, ClusterPolicy, ClusterRule, Subject, Tier } from './cluster-policy.js';
import type { Peer, PolicyPort, Selector } from './objects.js';
import {
  block,
  list,
  metadata,
  type Parsed,
  parsing,
  portNumber,
  Refusal,
  reasonOf,
  selector,
  selectorSchema,
  text,
} from './parse-parts.js';

const policySchema = z.object({
  metadata,
  spec: z.object({
    tier: text,
    priority: z.int().min(0).max(1000),
    subject: z.record(text, z.unknown()),
    ingress: list(z.unknown()),
    egress: list(z.unknown()),
  }),
});
const headSchema = z.object({ name: text.nullish(), action: text });
const fields = z.record(text, z.unknown());
const ruleSchema = z.object({ from: list(fields), to: list(fields), protocols: list(fields) });
const podsSchema = z.object({
  namespaceSelector: selectorSchema.nullish(),
  podSelector: selectorSchema,
});
const networksSchema = z.array(text).min(1).max(1000);

const TIERS: ReadonlyMap<string, Tier> = new Map([
  ['Admin', 'admin'],
  ['Baseline', 'baseline'],
]);
const ACTIONS: ReadonlyMap<string, Action> = new Map([
  ['Accept', 'accept'],
  ['Deny', 'deny'],
  ['Pass', 'pass'],
]);
const PROTOCOLS = ['TCP', 'UDP', 'SCTP'] as const;
const EVERYTHING: Selector = selector({});

type Side = 'ingress' | 'egress';

export function parseClusterPolicy(raw: unknown): Parsed<ClusterPolicy> {
  return parsing(raw, (warnings) => {
    const { metadata: meta, spec } = policySchema.parse(raw);
    const tier = TIERS.get(spec.tier);
    const rulesOf = (side: Side): ClusterRule[] => {
      const all = (spec[side] ?? []).flatMap((one, at) => ruleOf(one, side, at + 1, warnings));
      // Nobody knows what a tier of a later version may overrule: what it denies holds at once.
      return tier === undefined ? all.filter(({ action }) => action === 'deny') : all;
    };
    if (tier === undefined) {
      warnings.push(
        `the tier "${clip(spec.tier, 32)}" is unknown: only its denials hold, as Admin`,
      );
    }
    return {
      name: meta.name,
      uid: meta.uid ?? '',
      tier: tier ?? 'admin',
      priority: spec.priority,
      subject: subjectOf(spec.subject),
      ingress: rulesOf('ingress'),
      egress: rulesOf('egress'),
    };
  });
}

/** Pods that can't be told leave nothing that could fail closed: the object is refused. */
function subjectOf(raw: Readonly<Record<string, unknown>>): Subject {
  const [peer, ...more] = podsOf(raw, 'the subject');
  if (peer?.kind !== 'pods' || more.length > 0 || peer.namespaces === null) {
    throw new Refusal('selector-invalid', 'the subject is of an unknown kind');
  }
  return { namespaces: peer.namespaces, pods: peer.pods };
}

/** @param at its number, from 1. */
function ruleOf(raw: unknown, side: Side, at: number, warnings: string[]): ClusterRule[] {
  const head = headSchema.safeParse(raw);
  const given = head.data?.action ?? '';
  const action = ACTIONS.get(given);
  const name = head.data?.name ?? '';
  const where = `${side} rule ${at}`;
  try {
    if (!head.success) throw head.error;
    const { from, to, protocols } = ruleSchema.parse(raw);
    const others = (side === 'ingress' ? from : to) ?? [];
    if (others.length === 0) throw new Refusal('peer-invalid', 'it has no peers');
    const peers = others.flatMap((peer) => peersOf(peer, side, warnings));
    const ports = protocols?.flatMap(portsOf) ?? null;
    if (ports?.length === 0) throw new Refusal('port-invalid', 'its list of protocols is empty');
    if (action === undefined) {
      warnings.push(`${where}: the action "${clip(given, 32)}" is unknown and taken as Deny`);
    }
    return [{ name, action: action ?? 'deny', peers, ports }];
  } catch (error) {
    const reason = reasonOf(error);
    if (action === 'accept') {
      warnings.push(`${where} matches nothing: ${reason.text}`);
      return [];
    }
    warnings.push(`${where} denies everything: ${reason.text}`);
    return [{ name, action: 'deny', peers: null, ports: null }];
  }
}

function peersOf(raw: Readonly<Record<string, unknown>>, side: Side, warnings: string[]): Peer[] {
  if (side === 'egress' && 'networks' in raw && Object.keys(raw).length === 1) {
    const networks = networksSchema.parse(raw['networks']);
    return networks.map((cidr) => ({ kind: 'block', cidr: block(cidr, warnings), except: [] }));
  }
  return podsOf(raw, 'a peer');
}

/** @param what for the message. */
function podsOf(raw: Readonly<Record<string, unknown>>, what: string): Peer[] {
  const [field = '', ...more] = Object.keys(raw);
  if (more.length > 0) {
    throw new Refusal('peer-invalid', `${what} has more than one field: ${field}, ${more[0]}`);
  }
  const value = raw[field];
  if (field === 'namespaces') {
    const namespaces = selector(selectorSchema.parse(value));
    return [{ kind: 'pods', namespaces, pods: EVERYTHING }];
  }
  if (field === 'pods') {
    const { namespaceSelector, podSelector } = podsSchema.parse(value);
    const namespaces = namespaceSelector ? selector(namespaceSelector) : EVERYTHING;
    return [{ kind: 'pods', namespaces, pods: selector(podSelector) }];
  }
  const kind = field === '' ? 'without any field' : `by "${clip(field, 32)}"`;
  throw new Refusal('peer-invalid', `${what} ${kind} is not supported`);
}

function portsOf(raw: Readonly<Record<string, unknown>>): PolicyPort[] {
  const [field = '', ...more] = Object.keys(raw);
  const value = raw[field];
  if (more.length > 0) throw new Refusal('port-invalid', 'a protocol has more than one field');
  if (field === 'destinationNamedPort') {
    if (typeof value !== 'string' || value === '') {
      throw new Refusal('port-invalid', 'a named port has no name');
    }
    // The name alone counts, whatever the protocol of the container's port.
    return PROTOCOLS.map((protocol) => ({ protocol, port: text.parse(value), endPort: null }));
  }
  const protocol = PROTOCOLS.find((one) => one.toLowerCase() === field);
  if (protocol === undefined) {
    throw new Refusal('port-invalid', `the protocol "${clip(field, 32)}" is unknown`);
  }
  const attributes = z.strictObject({ destinationPort: fields.nullish() }).parse(value ?? {});
  const port = attributes.destinationPort;
  if (port === null || port === undefined) return [{ protocol, port: null, endPort: null }];
  return [{ protocol, ...rangeOf(port) }];
}

function rangeOf(raw: Readonly<Record<string, unknown>>): Omit<PolicyPort, 'protocol'> {
  const { number, range } = z
    .strictObject({
      number: z.number().optional(),
      range: z.object({ start: z.number(), end: z.number() }).optional(),
    })
    .parse(raw);
  if (number !== undefined && range === undefined) {
    return { port: portNumber(number), endPort: null };
  }
  if (range === undefined || number !== undefined) {
    throw new Refusal('port-invalid', 'a port needs either a number or a range');
  }
  const [start, end] = [portNumber(range.start), portNumber(range.end)];
  if (start > end) throw new Refusal('port-invalid', `the range ${start}-${end} is empty`);
  return { port: start, endPort: end };
}
