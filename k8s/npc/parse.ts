/**
 * Objects of the API as they come, checked: a value, or the reason why the object can't be used.
 * Unknown fields are ignored, since newer servers have more of them.
 */
import { z } from 'zod';
import { addressBytes, canonicalAddress } from './address.js';
import type {
  ContainerPort,
  Namespace,
  Peer,
  Pod,
  Policy,
  PolicyPort,
  PolicyRule,
} from './objects.js';
import {
  block,
  list,
  metadata,
  type Parsed,
  parsing,
  portNumber,
  Refusal,
  selector,
  selectorSchema,
  text,
} from './parse-parts.js';

const containers = list(
  z.object({
    ports: list(
      z.object({ name: text.nullish(), containerPort: z.number(), protocol: text.nullish() }),
    ),
    restartPolicy: text.nullish(),
  }),
);

const podSchema = z.object({
  metadata,
  spec: z
    .object({
      nodeName: text.nullish(),
      hostNetwork: z.boolean().nullish(),
      containers,
      initContainers: containers,
    })
    .nullish(),
  status: z
    .object({
      phase: text.nullish(),
      podIP: text.nullish(),
      podIPs: list(z.object({ ip: text.nullish() })),
    })
    .nullish(),
});

const namespaceSchema = z.object({ metadata });

const portSchema = z.object({
  protocol: text.nullish(),
  port: z.union([z.number(), text]).nullish(),
  endPort: z.number().nullish(),
});

const peerSchema = z.object({
  podSelector: selectorSchema.nullish(),
  namespaceSelector: selectorSchema.nullish(),
  ipBlock: z.object({ cidr: text, except: list(text) }).nullish(),
});

const policySchema = z.object({
  metadata,
  spec: z.object({
    podSelector: selectorSchema.nullish(),
    policyTypes: list(text),
    ingress: list(z.object({ from: list(peerSchema), ports: list(portSchema) })),
    egress: list(z.object({ to: list(peerSchema), ports: list(portSchema) })),
  }),
});

export function parsePod(raw: unknown): Parsed<Pod> {
  return parsing(raw, (warnings) => {
    const { metadata: meta, spec, status } = podSchema.parse(raw);
    const given = [status?.podIP, ...(status?.podIPs ?? []).map(({ ip }) => ip)];
    const addresses = new Set<string>();
    for (const address of given) {
      if (address === null || address === undefined || address === '') continue;
      if (addressBytes(address) === null)
        warnings.push(`its address "${address.slice(0, 64)}" is none`);
      else addresses.add(canonicalAddress(address));
    }
    // Init containers with their own restart policy run beside the others.
    const sidecars = (spec?.initContainers ?? []).filter((c) => c.restartPolicy === 'Always');
    const ports: ContainerPort[] = [];
    for (const container of [...(spec?.containers ?? []), ...sidecars]) {
      for (const { name, containerPort, protocol } of container.ports ?? []) {
        if (name === null || name === undefined || name === '') continue;
        const number = portNumber(containerPort);
        ports.push({ name, protocol: protocolOf(protocol), number });
      }
    }
    return {
      namespace: meta.namespace ?? 'default',
      name: meta.name,
      uid: meta.uid ?? '',
      labels: new Map(Object.entries(meta.labels ?? {})),
      addresses: [...addresses],
      hostNetwork: spec?.hostNetwork ?? false,
      finished: status?.phase === 'Succeeded' || status?.phase === 'Failed',
      node: spec?.nodeName ?? '',
      ports,
    };
  });
}

export function parseNamespace(raw: unknown): Parsed<Namespace> {
  return parsing(raw, () => {
    const { metadata: meta } = namespaceSchema.parse(raw);
    const all = new Map(Object.entries(meta.labels ?? {}));
    // Servers add it by themselves since 1.21; policies may rely on it.
    if (!all.has('kubernetes.io/metadata.name')) all.set('kubernetes.io/metadata.name', meta.name);
    return { name: meta.name, uid: meta.uid ?? '', labels: all };
  });
}

export function parsePolicy(raw: unknown): Parsed<Policy> {
  return parsing(raw, (warnings) => {
    const { metadata: meta, spec } = policySchema.parse(raw);
    const ingress = (spec.ingress ?? []).map(({ from, ports }) => rule(from, ports, warnings));
    const egress = (spec.egress ?? []).map(({ to, ports }) => rule(to, ports, warnings));
    const types = new Set(spec.policyTypes ?? []);
    for (const type of types) {
      if (type !== 'Ingress' && type !== 'Egress') {
        throw new Refusal('object-malformed', `the policy type "${type}" is unknown`);
      }
    }
    if (types.size === 0) {
      types.add('Ingress');
      if (egress.length > 0) types.add('Egress');
    }
    return {
      namespace: meta.namespace ?? 'default',
      name: meta.name,
      uid: meta.uid ?? '',
      pods: selector(spec.podSelector ?? {}),
      ingress: types.has('Ingress') ? ingress : null,
      egress: types.has('Egress') ? egress : null,
    };
  });
}

function rule(
  peers: z.infer<typeof peerSchema>[] | null | undefined,
  ports: z.infer<typeof portSchema>[] | null | undefined,
  warnings: string[],
): PolicyRule {
  return {
    peers:
      peers === null || peers === undefined || peers.length === 0
        ? null
        : peers.map((raw) => peer(raw, warnings)),
    ports: ports === null || ports === undefined || ports.length === 0 ? null : ports.map(port),
  };
}

function peer(raw: z.infer<typeof peerSchema>, warnings: string[]): Peer {
  const { podSelector, namespaceSelector, ipBlock } = raw;
  if (ipBlock !== null && ipBlock !== undefined) {
    if (podSelector || namespaceSelector) {
      throw new Refusal('block-invalid', 'a peer has both an ipBlock and a selector');
    }
    const except = (ipBlock.except ?? []).map((cidr) => block(cidr, warnings));
    return { kind: 'block', cidr: block(ipBlock.cidr, warnings), except };
  }
  if (!podSelector && !namespaceSelector) {
    throw new Refusal('selector-invalid', 'a peer has neither a selector nor an ipBlock');
  }
  return {
    kind: 'pods',
    namespaces: namespaceSelector ? selector(namespaceSelector) : null,
    pods: selector(podSelector ?? {}),
  };
}

function port(raw: z.infer<typeof portSchema>): PolicyPort {
  const protocol = protocolOf(raw.protocol);
  const value = raw.port ?? null;
  if (typeof value === 'number') portNumber(value);
  if (value === '') throw new Refusal('port-invalid', 'a port has an empty name');
  const end = raw.endPort ?? null;
  if (end !== null && (typeof value !== 'number' || portNumber(end) < value)) {
    throw new Refusal('port-invalid', `endPort ${end} needs a number of a port below it`);
  }
  return { protocol, port: value, endPort: end };
}

function protocolOf(value: string | null | undefined): 'TCP' | 'UDP' | 'SCTP' {
  const name = value ?? 'TCP';
  if (name === 'TCP' || name === 'UDP' || name === 'SCTP') return name;
  throw new Refusal('port-invalid', `the protocol "${name.slice(0, 32)}" is unknown`);
}
