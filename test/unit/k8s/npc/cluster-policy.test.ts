/** Policies of the cluster: what is taken how, what fails closed, how tiers follow each other. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { ClusterPolicy } from '../../../../k8s/npc/cluster-policy.js';
import { compile } from '../../../../k8s/npc/compiler.js';
import { dropReasons } from '../../../../k8s/npc/daemon/verdicts.js';
import { explain } from '../../../../k8s/npc/explain.js';
import { parseClusterPolicy } from '../../../../k8s/npc/parse-cluster.js';
import { differences } from '../../../../k8s/npc/read-back.js';
import { renderAll, renderChange } from '../../../../k8s/npc/render.js';
import { startRuleset } from '../../../../k8s/npc/ruleset.js';
import type { ClusterPolicyText, PolicyText, World } from '../../../support/policy-reading.js';
import { clusterFor } from '../../../support/policy-worlds.js';

const EVERY = { namespaces: {} };
const parse = (spec: object, metadata: object = { name: 'p' }) =>
  parseClusterPolicy({ metadata, spec: { tier: 'Admin', priority: 5, subject: EVERY, ...spec } });

function taken(spec: object): { value: ClusterPolicy; warnings: readonly string[] } {
  const parsed = parse(spec);
  assert.ok(parsed.ok, JSON.stringify(parsed));
  return parsed;
}

const DENIES_ALL = [{ name: '', action: 'deny', peers: null, ports: null }];

test('a rule that is not understood fails closed, and the rest of the policy holds', () => {
  const good = { action: 'Accept', to: [EVERY] };
  const bad: readonly object[] = [
    { to: [{ nodes: {} }] },
    { to: [{ domainNames: ['example.org'] }] },
    { to: [{}] },
    { to: [EVERY, { later: 'x' }] },
    { to: [{ namespaces: {}, later: 'x' }] },
    { to: [{ networks: ['10.0.0.0/33'] }] },
    { to: [{ namespaces: { matchExpressions: [{ key: 'a', operator: 'Near' }] } }] },
    { to: [] },
    { to: [EVERY], protocols: [] },
    { to: [EVERY], protocols: [{ icmp: {} }] },
    { to: [EVERY], protocols: [{ tcp: { flags: 1 } }] },
    { to: [EVERY], protocols: [{ tcp: { destinationPort: {} } }] },
    { to: [EVERY], protocols: [{ tcp: { destinationPort: { number: 0 } } }] },
    { to: [EVERY], protocols: [{ udp: { destinationPort: { range: { start: 9, end: 8 } } } }] },
    { to: [EVERY], protocols: [{ destinationNamedPort: '' }] },
  ];
  for (const one of bad) {
    const text = JSON.stringify(one);
    for (const action of ['Accept', 'Deny', 'Pass']) {
      const { value, warnings } = taken({ egress: [{ ...one, action }, good] });
      const [kept, ...others] = action === 'Accept' ? [] : DENIES_ALL;
      assert.deepEqual(
        value.egress.slice(0, -1),
        kept === undefined ? [] : [kept, ...others],
        text,
      );
      assert.equal(value.egress.at(-1)?.action, 'accept', text);
      assert.equal(warnings.length, 1, text);
      assert.match(warnings[0] ?? '', /^egress rule 1 /);
    }
  }
  // Networks are for egress alone.
  const { value } = taken({ ingress: [{ action: 'Deny', from: [{ networks: ['10.0.0.0/8'] }] }] });
  assert.deepEqual(value.ingress, DENIES_ALL);
});

test('unknown actions deny, and of an unknown tier only denials hold', () => {
  const log = taken({ ingress: [{ action: 'Log', from: [EVERY] }] });
  assert.equal(log.value.ingress[0]?.action, 'deny');
  assert.notEqual(log.value.ingress[0]?.peers, null);
  assert.equal(log.warnings.length, 1);
  const rules = ['Accept', 'Deny', 'Pass'].map((action) => ({ action, from: [EVERY] }));
  const { value, warnings } = taken({ tier: 'Middle', ingress: rules });
  assert.deepEqual([value.tier, value.ingress.map(({ action }) => action)], ['admin', ['deny']]);
  assert.match(warnings[0] ?? '', /Middle/);
});

test('a policy without usable subject, priority or name is refused', () => {
  const refused: readonly object[] = [
    { subject: {} },
    { subject: { nodes: {} } },
    { subject: { ...EVERY, pods: { podSelector: {} } } },
    { subject: { namespaces: { matchExpressions: [{ key: 'a', operator: 'In' }] } } },
    { priority: 1001 },
    { priority: -1 },
    { priority: 0.5 },
    { tier: null },
  ];
  for (const spec of refused) assert.ok(!parse(spec).ok, JSON.stringify(spec));
  assert.ok(!parse({}, {}).ok);
});

test('peers, ranges, protocols and names as they are', () => {
  const to = [{ networks: ['10.1.2.3/8', 'fd00::/8'] }, { pods: { podSelector: {} } }];
  const protocols = [
    { tcp: {} },
    { udp: { destinationPort: { number: 53 } } },
    { sctp: { destinationPort: { range: { start: 1, end: 9 } } } },
    { destinationNamedPort: 'web' },
  ];
  const { value, warnings } = taken({ egress: [{ name: 'n', action: 'Pass', to, protocols }] });
  const [rule] = value.egress;
  assert.deepEqual(
    rule?.peers?.map((peer) => (peer.kind === 'block' ? peer.cidr : peer.namespaces?.key)),
    ['10.0.0.0/8', 'fd00::/8', ''],
  );
  assert.deepEqual(
    rule?.ports?.map(({ protocol, port, endPort }) => [protocol, port, endPort].join(' ')),
    ['TCP  ', 'UDP 53 ', 'SCTP 1 9', 'TCP web ', 'UDP web ', 'SCTP web '],
  );
  assert.deepEqual([rule?.name, warnings.length], ['n', 1]);
});

test('any value ends in a policy or a reason', () => {
  const rule = fc.record({ action: fc.anything(), from: fc.anything(), protocols: fc.anything() });
  const spec = fc.record({
    tier: fc.constantFrom('Admin', 'x'),
    priority: fc.constant(1),
    subject: fc.constantFrom(EVERY, { pods: 1 }),
    ingress: fc.array(fc.oneof(rule, fc.anything())),
  });
  const inputs = fc.oneof(
    fc.anything(),
    spec.map((one) => ({ metadata: { name: 'p' }, spec: one })),
  );
  fc.assert(
    fc.property(inputs, (raw) => {
      const parsed = parseClusterPolicy(raw);
      assert.ok(parsed.ok || parsed.reason.length > 0);
    }),
    { numRuns: 1000 },
  );
});

// --- rulesets ---

const [A, B] = ['10.1.0.1', '10.1.0.2'];
const OPTIONS = { allowMulticast: true, clusterPolicies: true };
const isolating: PolicyText = { namespace: 'b', podSelector: {}, policyTypes: ['Ingress'] };

function worldOf(
  clusterPolicies: ClusterPolicyText[],
  policies: PolicyText[] = [],
  pods = 2,
): World {
  const all = Array.from({ length: pods }, (_, index) => ({
    namespace: index === 0 ? 'a' : 'b',
    ...{ labels: {}, finished: false, web: 80, ips: [`10.1.${index >> 8}.${(index & 255) + 1}`] },
  }));
  return { namespaceLabels: [{}, {}, {}], pods: all, policies, clusterPolicies };
}

const inWords = (clusterPolicies: ClusterPolicyText[], policies: PolicyText[] = []) => {
  const cluster = clusterFor(worldOf(clusterPolicies, policies), () => 'n0');
  const { allowed, lines } = explain(cluster, { from: A, to: B, protocol: 'TCP', port: 80 });
  return [allowed, ...lines.filter((line) => line.startsWith('ingress'))];
};

const one = (tier: string, action: string, priority = 1): ClusterPolicyText => ({
  ...{ name: `${action.toLowerCase()}${priority}`, tier, priority, subject: EVERY },
  ingress: [{ name: 'r', action, from: [EVERY] }],
});

test('explanations name tier, policy and rule', () => {
  assert.deepEqual(inWords([one('Admin', 'Deny')]), [
    false,
    'ingress: admin policy deny1, rule "r" to deny a selected pod, any port: dropped',
  ]);
  assert.deepEqual(inWords([one('Admin', 'Accept')], [isolating]), [
    true,
    'ingress: admin policy accept1, rule "r" to accept a selected pod, any port: passes',
  ]);
  assert.deepEqual(inWords([one('Admin', 'Pass'), one('Admin', 'Deny', 2)], [isolating]), [
    false,
    'ingress: admin policy pass1, rule "r" to pass a selected pod, any port: ' +
      'left to the network policies',
    'ingress: policy b/q0 isolates the pod and has no rule for this',
    'ingress: dropped',
  ]);
  assert.deepEqual(inWords([one('Baseline', 'Deny')]), [
    false,
    'ingress: baseline policy deny1, rule "r" to deny a selected pod, any port: dropped',
  ]);
});

test('a line about a dropped connection names the policies that may have denied it', () => {
  const policies = [one('Admin', 'Deny'), one('Admin', 'Pass', 2), one('Baseline', 'Deny', 3)];
  const cluster = clusterFor(worldOf(policies, [isolating]), () => 'n0');
  const ends = { source: A, sourcePort: 1, destination: B, destinationPort: 80 };
  const flow = { protocol: 'TCP', ...ends, opens: true } as const;
  const of = (prefix: string) => dropReasons(cluster, flow, prefix).policies;
  assert.deepEqual(of('ingress-admin'), ['admin:deny1']);
  assert.deepEqual(of('ingress-baseline'), ['baseline:deny3']);
  assert.deepEqual(of('ingress'), ['b/q0']);
  assert.deepEqual(of('egress-admin'), []);
});

test('rules grow with policies, not with pods', () => {
  const policies = [one('Admin', 'Deny'), one('Admin', 'Pass', 2), one('Baseline', 'Accept', 3)];
  const rulesOf = (pods: number): string[] => {
    const ruleset = compile(
      clusterFor(worldOf(policies, [], pods), () => 'n0'),
      'n0',
      OPTIONS,
    );
    return renderAll(ruleset)
      .split('\n')
      .filter((line) => line.startsWith('add rule') || line.startsWith('add chain'));
  };
  assert.deepEqual(rulesOf(500), rulesOf(2));
});

test('turning the tiers on or off makes the table anew', () => {
  const start = startRuleset({ bridge: 'weave', allowMulticast: true });
  const cluster = clusterFor(worldOf([one('Admin', 'Deny')]), () => 'n0');
  const [off, on] = [false, true].map((clusterPolicies) =>
    compile(cluster, 'n0', { allowMulticast: true, clusterPolicies }),
  );
  assert.ok(off !== undefined && on !== undefined);
  assert.equal(renderChange(off, on), renderAll(on));
  assert.equal(renderChange(on, off), renderAll(off));
  assert.doesNotMatch(renderAll(off) + renderAll(start), /admin|baseline/);
  assert.notDeepEqual(differences(on, { nftables: [] }), []);
});
