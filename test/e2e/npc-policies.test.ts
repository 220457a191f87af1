/**
 * The vector cases by real connections between pods on a real bridge, with the rules in the
 * kernel; after every step the kernel's table is read back and equals the ruleset.
 */
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { Cluster } from '../../k8s/npc/cluster.js';
import { Compiler, compile } from '../../k8s/npc/compiler.js';
import { parsePod, parsePolicy } from '../../k8s/npc/parse.js';
import { differences } from '../../k8s/npc/read-back.js';
import { renderAll, renderChange } from '../../k8s/npc/render.js';
import { type Ruleset, startRuleset } from '../../k8s/npc/ruleset.js';
import { Lab } from '../support/lab.js';
import {
  type Case,
  change,
  clusterOf,
  type Matrix,
  type NodeOf,
  namespaceOf,
  placements,
  policyCases,
} from '../support/policy-cases.js';
import { PolicyRig, type Try } from '../support/policy-rig.js';
import { requireNetns, requireTool } from '../support/requirements.js';

const NODES = ['n1', 'n2'];
const POD_IPS = [
  ...[1, 2, 3, 4, 7].map((n) => `10.32.1.${n}`),
  ...[1, 2, 3].map((n) => `10.32.2.${n}`),
  ...[1, 2, 3].map((n) => `10.32.3.${n}`),
];
const OUTSIDE_IPS = ['203.0.113.10', '203.0.113.20'];

function triesOf(cluster: Cluster, { externals }: Case, matrix: Matrix): Try[] {
  const outside = new Map(externals.map(({ name, ip }) => [name, ip]));
  const ipOf = (key: string): string => {
    const ip = cluster.pods.get(key)?.addresses[0] ?? outside.get(key);
    assert.ok(ip !== undefined, key);
    return ip;
  };
  const tries: Try[] = [];
  for (const [probe, rows] of Object.entries(matrix)) {
    const [protocol = '', port] = probe.split('/');
    for (const [from, row] of Object.entries(rows)) {
      for (const [to, expected] of Object.entries(row)) {
        tries.push({ from: ipOf(from), to: ipOf(to), protocol, port: Number(port), expected });
      }
    }
  }
  return tries;
}

interface Placed {
  readonly rig: PolicyRig;
  readonly nodeOf: NodeOf;
  readonly nodes: readonly string[];
}

async function runCases(t: TestContext, { rig, nodeOf, nodes }: Placed, cases: readonly Case[]) {
  const before = new Map<string, Ruleset>();
  let connections = 0;
  let steps = 0;
  const compilersOf = (cluster: Cluster): Compiler[] =>
    nodes.map((node) => new Compiler(cluster, node, { allowMulticast: true }));
  let compilers: Compiler[] = [];
  const check = async (cluster: Cluster, one: Case, matrix: Matrix, title: string) => {
    for (const [index, compiler] of compilers.entries()) {
      const node = nodes[index] ?? '';
      const ruleset = compiler.compile();
      const old = before.get(node);
      // From case to case, too: this is a large change, and each must leave the exact rules.
      rig.nft(index, old === undefined ? renderAll(ruleset) : renderChange(old, ruleset));
      before.set(node, ruleset);
      assert.deepEqual(differences(ruleset, await rig.table(index)), [], `${one.id} ${title}`);
    }
    const tries = triesOf(cluster, one, matrix);
    assert.deepEqual(await rig.attempt(tries), [], `${one.id} ${title}`);
    connections += tries.length;
    steps += 1;
  };
  for (const one of cases) {
    const cluster = clusterOf(one, nodeOf);
    compilers = compilersOf(cluster);
    await check(cluster, one, one.expected, one.title);
    for (const step of one.steps ?? []) {
      for (const { op, object } of step.changes) change(cluster, op, object, nodeOf);
      await check(cluster, one, step.expected, step.title);
    }
  }
  t.diagnostic(`${connections} connections after ${steps} changes of rules`);
  return connections;
}

for (const [index, [placement, nodeOf]] of placements.entries()) {
  test(`network policies by real connections, ${placement}`, async (t) => {
    if (!requireNetns(t) || !requireTool(t, 'nft')) return;
    const lab = Lab.forTest(t);
    await lab.explain(t, async () => {
      const nodes = NODES.slice(0, index + 1);
      const rig = new PolicyRig(lab, index === 0 ? 1 : 2);
      for (const ip of POD_IPS) {
        const node = nodeOf({ namespace: '', name: '', labels: {}, ip });
        rig.addPod(ip, NODES.indexOf(node));
      }
      for (const ip of OUTSIDE_IPS) rig.addOutside(ip);
      await rig.ready();
      // The host that the pods of those cases are on is the first.
      const cases = policyCases.filter(({ group }) => index === 0 || group !== 'host');
      const connections = await runCases(t, { rig, nodeOf, nodes }, cases);
      assert.ok(connections > 5000, `${connections} connections`);
    });
  });
}

test('the kernel holds what was rendered, and every foreign change of it shows', async (t) => {
  if (!requireNetns(t) || !requireTool(t, 'nft')) return;
  const lab = Lab.forTest(t);
  const netns = lab.addNetns('kernel');
  const list = async (): Promise<unknown> => {
    const argv = ['nft', '-j', 'list', 'table', 'inet', 'weave-npc'];
    return JSON.parse((await lab.exec(netns, argv)).stdout);
  };
  const start = startRuleset({ bridge: 'weave', allowMulticast: false });
  lab.nft(netns, renderAll(start));
  assert.deepEqual(differences(start, await list()), []);
  const full = everyKindOfRule();
  lab.nft(netns, renderChange(start, full));
  assert.deepEqual(differences(full, await list()), []);
  const chain = [...full.chains.keys()].find((name) => name.startsWith('ingress-policy-'));
  const set = [...full.sets].find(([, { type }]) => type === 'address')?.[0];
  const foreign: readonly string[] = [
    'add rule inet weave-npc ingress counter',
    'insert rule inet weave-npc ingress accept',
    `flush chain inet weave-npc ${chain}`,
    `add element inet weave-npc ${set} { 192.0.2.77 }`,
    'flush map inet weave-npc ingress4',
    'add chain inet weave-npc other',
    'add table inet weave-npc { flags dormant; }',
  ];
  for (const script of foreign) {
    lab.nft(netns, script);
    assert.notDeepEqual(differences(full, await list()), [], script);
    lab.nft(netns, renderAll(full));
    assert.deepEqual(differences(full, await list()), [], `repaired after ${script}`);
  }
});

/** Both families, all protocols, ranges and exceptions that the tool shows in other words. */
function everyKindOfRule(): Ruleset {
  const cluster = new Cluster();
  cluster.set('namespaces', namespaceOf({ name: 'x' }));
  for (const [name, podIPs] of [
    ['a', ['10.32.1.1', 'fd00::1']],
    ['b', ['10.32.1.2', 'fd00::1:2']],
  ] as const) {
    const parsed = parsePod({
      metadata: { name, namespace: 'x', labels: { pod: name } },
      spec: { nodeName: 'n1', containers: [{ ports: [{ name: 'web', containerPort: 8080 }] }] },
      status: { podIPs: podIPs.map((ip) => ({ ip })) },
    });
    assert.ok(parsed.ok);
    cluster.set('pods', parsed.value);
  }
  const blocks = [
    { cidr: '10.0.0.0/8', except: ['10.1.0.0/25', '10.1.0.128/25', '10.2.3.4/32'] },
    { cidr: '0.0.0.0/0' },
    { cidr: '::/0', except: ['fd00::/64'] },
    { cidr: '10.0.0.5/32' },
    { cidr: '0.0.0.0/0', except: ['0.0.0.0/1'] },
  ];
  const peers = [{ podSelector: {} }, ...blocks.map((ipBlock) => ({ ipBlock }))];
  const ports = [
    { port: 80 },
    { port: 90, endPort: 99 },
    { port: 'web' },
    { protocol: 'UDP' },
    { protocol: 'SCTP', port: 1, endPort: 65535 },
  ];
  const specs = [
    { podSelector: {}, ingress: [{ from: peers, ports }, { from: peers }] },
    { podSelector: {}, policyTypes: ['Egress'], egress: [{ to: peers, ports }, { ports }, {}] },
    { podSelector: {}, policyTypes: ['Ingress', 'Egress'] },
  ];
  for (const [index, spec] of specs.entries()) {
    const parsed = parsePolicy({ metadata: { name: `p${index}`, namespace: 'x' }, spec });
    assert.ok(parsed.ok);
    cluster.set('policies', parsed.value);
  }
  return compile(cluster, 'n1', { allowMulticast: false });
}
