/** Objects of the API server: parsed, compiled and rendered, whatever they hold. */
import { Cluster } from '../../k8s/npc/cluster.js';
import { compile } from '../../k8s/npc/compiler.js';
import { parseNamespace, parsePod, parsePolicy } from '../../k8s/npc/parse.js';
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
  for (const known of [namespace, raw]) {
    const parsed = parseNamespace(known);
    if (parsed.ok) cluster.set('namespaces', parsed.value);
  }
  const ruleset = compile(cluster, 'n1', { allowMulticast: true });
  for (const script of [renderAll(ruleset), renderChange(START, ruleset)]) {
    if (!SCRIPT.test(script)) throw new Error('a foreign text reached the script');
  }
  differences(ruleset, raw);
}

export const targets: readonly FuzzTarget[] = [
  {
    name: 'npc-objects',
    seeds: [pod, policy, namespace].map((seed) => Buffer.from(JSON.stringify(seed))),
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
];
