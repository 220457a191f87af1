/** Objects of the API server: parsed, compiled and rendered, whatever they hold. */
import { Cluster } from '../../k8s/npc/cluster.js';
import { compile } from '../../k8s/npc/compiler.js';
import {
  acknowledgedError,
  logGroupRequest,
  parseNetfilterMessages,
} from '../../k8s/npc/daemon/netlink-messages.js';
import { parseFlow } from '../../k8s/npc/daemon/packet.js';
import { parseNamespace, parsePod, parsePolicy } from '../../k8s/npc/parse.js';
import { parseClusterPolicy } from '../../k8s/npc/parse-cluster.js';
import { differences } from '../../k8s/npc/read-back.js';
import { renderAll, renderChange } from '../../k8s/npc/render.js';
import { startRuleset } from '../../k8s/npc/ruleset.js';
import type { FuzzTarget } from './target.js';

const START = startRuleset({ bridge: 'weave', allowMulticast: true });
/** Nothing else may reach the tool: a name or a label in it would be a way to add rules. */
const SCRIPT = /^[a-zA-Z0-9 .:/_\-{}@!=,;"\n]*$/;

const pod = {
  metadata: { name: 'a', namespace: 'x', uid: '1', labels: { pod: 'a' } },
  spec: {
    nodeName: 'n1',
    containers: [{ ports: [{ name: 'web', containerPort: 80, protocol: 'TCP' }] }],
  },
  status: {
    phase: 'Running',
    podIP: '10.32.1.1',
    podIPs: [{ ip: '10.32.1.1' }, { ip: 'fd00::1' }],
  },
};
const policy = {
  metadata: { name: 'p', namespace: 'x', uid: '2' },
  spec: {
    podSelector: { matchExpressions: [{ key: 'pod', operator: 'In', values: ['a', 'b'] }] },
    policyTypes: ['Ingress', 'Egress'],
    ingress: [{ from: [{ podSelector: {} }], ports: [{ port: 'web' }, { port: 80, endPort: 90 }] }],
    egress: [{ to: [{ ipBlock: { cidr: '10.0.0.0/8', except: ['10.1.0.0/16', 'fd00::/8'] } }] }],
  },
};
const clusterPolicy = {
  metadata: { name: 'c', uid: '3' },
  spec: {
    tier: 'Admin',
    priority: 7,
    subject: { namespaces: {} },
    ingress: [
      { name: 'r', action: 'Pass', from: [{ pods: { podSelector: {} } }] },
      { action: 'Deny', from: [{ namespaces: { matchLabels: { team: 'x' } } }], protocols: [] },
    ],
    egress: [
      {
        action: 'Accept',
        to: [{ networks: ['10.0.0.0/8', 'fd00::/8'] }],
        protocols: [
          { tcp: { destinationPort: { number: 80 } } },
          { udp: { destinationPort: { range: { start: 1, end: 9 } } } },
          { destinationNamedPort: 'web' },
        ],
      },
    ],
  },
};
const namespace = { metadata: { name: 'x', labels: { team: 'x' } } };

function runObjects(raw: unknown): void {
  const cluster = new Cluster();
  for (const known of [pod, raw]) {
    const parsed = parsePod(known);
    if (parsed.ok) cluster.set('pods', parsed.value);
  }
  for (const known of [policy, raw]) {
    const parsed = parsePolicy(known);
    if (parsed.ok) cluster.set('policies', parsed.value);
  }
  for (const known of [clusterPolicy, raw]) {
    const parsed = parseClusterPolicy(known);
    if (parsed.ok) cluster.set('clusterPolicies', parsed.value);
  }
  for (const known of [namespace, raw]) {
    const parsed = parseNamespace(known);
    if (parsed.ok) cluster.set('namespaces', parsed.value);
  }
  const ruleset = compile(cluster, 'n1', { allowMulticast: true, clusterPolicies: true });
  for (const script of [renderAll(ruleset), renderChange(START, ruleset)]) {
    if (!SCRIPT.test(script)) throw new Error('a foreign text reached the script');
  }
  differences(ruleset, raw);
}

const bytes = (hex: string): Uint8Array => Buffer.from(hex.replaceAll(/\s/g, ''), 'hex');
/** An event of nftables: generation 5 of process 4660, `nft`. */
const NEW_GENERATION = bytes(`2c000000 0f0a 0000 00000000 34120000 00 00 0000
  0800 0100 00000005  0800 0200 00001234  0800 0300 6e667400`);
/** UDP behind a fragment header. */
const IPV6_PACKET = bytes(`60000000 0010 2c 40 fd000000000000000000000000000001
  fd000000000000000000000000000002 11 00 0000 00000000 0400003500080000`);

export const targets: readonly FuzzTarget[] = [
  {
    name: 'npc-objects',
    seeds: [pod, policy, clusterPolicy, namespace].map((seed) => Buffer.from(JSON.stringify(seed))),
    run(input) {
      let raw: unknown;
      try {
        raw = JSON.parse(Buffer.from(input).toString('utf8'));
      } catch {
        // The daemon's reader refuses it before it comes here.
        return;
      }
      runObjects(raw);
    },
  },
  {
    name: 'npc-netlink',
    seeds: [NEW_GENERATION, logGroupRequest(86, 160, 10), IPV6_PACKET],
    run(input) {
      for (const message of parseNetfilterMessages(input)) {
        if (message.kind === 'packet') parseFlow(message.payload);
      }
      acknowledgedError(input);
      parseFlow(input);
    },
  },
];
