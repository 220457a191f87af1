/**
 * Policies of the whole cluster by real connections, through the controller: tiers before and after
 * the network policies, ports, networks, what is not supported, and a cluster without the kind.
 *
 *   [a] 10.32.1.1   [b] 10.32.1.2   [c] 10.32.2.1, another namespace ── bridge ── weave-npc ── API
 */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { type TestContext, test } from 'node:test';
import { Lab } from '../support/lab.js';
import {
  A,
  B,
  LIMIT_MS,
  type NpcStage,
  npcStage,
  pod,
  policy,
  settled,
  triesBecome,
} from '../support/npc-stage.js';
import type { Try } from '../support/policy-rig.js';
import { requireNetns, requireTool } from '../support/requirements.js';
import { waitFor } from '../support/wait.js';

const C = '10.32.2.1';
const FLAG = '--cluster-network-policy';
const SHOP = { namespaces: { matchLabels: { 'kubernetes.io/metadata.name': 'shop' } } };
const OTHER = { namespaces: { matchLabels: { 'kubernetes.io/metadata.name': 'other' } } };
const tcp = (number: number) => [{ tcp: { destinationPort: { number } } }];

const clusterPolicy = (name: string, tier: string, priority: number, rules: object) => ({
  apiVersion: 'policy.networking.k8s.io/v1alpha2',
  kind: 'ClusterNetworkPolicy',
  metadata: { name, uid: `uid-${name}` },
  spec: { tier, priority, subject: SHOP, ...rules },
});

/** One letter for each pod: `c>b:80`, all of TCP. */
function triesOf(expected: Readonly<Record<string, boolean>>): Try[] {
  const ips: Readonly<Record<string, string>> = { a: A, b: B, c: C };
  return Object.entries(expected).map(([text, isExpected]) => {
    const [from = '', to = '', port] = text.split(/[>:]/);
    const [source = '', target = ''] = [ips[from], ips[to]];
    return { from: source, to: target, protocol: 'TCP', port: Number(port), expected: isExpected };
  });
}

async function started(t: TestContext, lab: Lab): Promise<NpcStage> {
  const stage = await npcStage(lab, [C]);
  t.after(() => stage.api.down());
  stage.api.put('namespaces', { kind: 'Namespace', metadata: { name: 'other' } });
  stage.api.put('pods', pod('c', C, 'other'));
  return stage;
}

test('tiers before and after network policies', async (t) => {
  if (!requireNetns(t) || !requireTool(t, 'nft')) return;
  const lab = Lab.forTest(t);
  await lab.explain(t, async () => {
    const stage = await started(t, lab);
    const { api, rig, weave } = stage;
    const become = (expected: Readonly<Record<string, boolean>>): Promise<void> =>
      triesBecome(rig, triesOf(expected));
    const put = (object: ReturnType<typeof clusterPolicy>) =>
      api.put('clusternetworkpolicies', object);
    const remove = (object: ReturnType<typeof clusterPolicy>): void =>
      api.remove('clusternetworkpolicies', object);

    // A denial of an administrator, over a network policy that allows all.
    const deny = clusterPolicy('deny-other', 'Admin', 10, {
      ingress: [{ name: 'web', action: 'Deny', from: [OTHER], protocols: tcp(80) }],
    });
    api.put('networkpolicies', policy('open', [{}]));
    put(deny);
    const daemon = stage.start(FLAG);
    await waitFor('enforcing', LIMIT_MS, settled(stage));
    await become({ 'c>b:80': false, 'c>b:81': true, 'a>b:80': true });
    const log = (): string => readFileSync(daemon.logPath, 'utf8');
    await waitFor('the drop in the log', LIMIT_MS, () => log().includes('admin:deny-other'));
    assert.match(await weave('status', 'npc'), /1 policies, 1 of the cluster, /);
    const told = await weave('npc', 'explain', 'other/c', 'shop/b', '80');
    assert.match(told, /admin policy deny-other, rule "web" to deny/);

    // Left to the network policies by one that comes first.
    const pass = clusterPolicy('pass-other', 'Admin', 9, {
      ingress: [{ action: 'Pass', from: [OTHER] }],
    });
    put(pass);
    await become({ 'c>b:81': true, 'c>b:80': true });
    remove(pass);
    await become({ 'c>b:80': false });
    remove(deny);

    // Accepted by an administrator, though a network policy isolates.
    api.put('networkpolicies', policy('open', []));
    const accept = clusterPolicy('accept-shop', 'Admin', 10, {
      ingress: [{ action: 'Accept', from: [SHOP], protocols: tcp(80) }],
    });
    put(accept);
    await become({ 'a>b:81': false, 'c>b:80': false, 'a>b:80': true });
    remove(accept);

    // A denial of the baseline holds for pods that no network policy isolates.
    const baseline = clusterPolicy('closed', 'Baseline', 0, {
      ingress: [{ action: 'Deny', from: [{ namespaces: {} }] }],
    });
    put(baseline);
    api.put('networkpolicies', policy('open', [{ ports: [{ port: 80 }] }]));
    await become({ 'c>a:80': false, 'a>b:81': false, 'c>b:80': true, 'a>c:80': true });
    api.remove('networkpolicies', policy('open', []));
    await become({ 'c>b:80': false, 'a>b:80': false });
    remove(baseline);

    // By address and port, outgoing; and what is not supported fails closed and is named.
    const networks = clusterPolicy('networks', 'Admin', 1, {
      egress: [{ action: 'Deny', to: [{ networks: [`${C}/32`] }], protocols: tcp(81) }],
    });
    put(networks);
    await become({ 'a>c:81': false, 'a>c:80': true, 'a>b:81': true, 'c>a:81': true });
    put(
      clusterPolicy('nodes', 'Admin', 1000, { egress: [{ action: 'Deny', to: [{ nodes: {} }] }] }),
    );
    await become({ 'a>b:80': false, 'a>c:80': false, 'c>b:80': true });
    assert.match(await weave('status', 'npc'), /nodes corrected: egress rule 1 denies everything/);

    // Without the flag none of it holds.
    daemon.kill('SIGTERM');
    await daemon.ended;
    const plain = stage.start();
    await waitFor('enforcing', LIMIT_MS, settled(stage));
    await become({ 'a>b:80': true, 'a>c:81': true });
    assert.doesNotMatch(JSON.stringify(await rig.table(0)), /admin|baseline/);
    plain.kill('SIGTERM');
    await plain.ended;
  });
});

test('a cluster that does not have the kind', async (t) => {
  if (!requireNetns(t) || !requireTool(t, 'nft')) return;
  const lab = Lab.forTest(t);
  await lab.explain(t, async () => {
    const stage = await started(t, lab);
    const { api, rig } = stage;
    api.absent = 'clusternetworkpolicies';
    api.put('networkpolicies', policy('web', [{ ports: [{ port: 80 }] }]));
    const daemon = stage.start(FLAG);
    await waitFor('enforcing', LIMIT_MS, settled(stage));
    await triesBecome(rig, triesOf({ 'a>b:81': false, 'a>b:80': true }));
    const log = readFileSync(daemon.logPath, 'utf8');
    assert.equal(log.match(/does not have the kind/g)?.length, 1);
    assert.doesNotMatch(await stage.weave('status', 'npc'), /FAILING/);
    daemon.kill('SIGTERM');
    await daemon.ended;
  });
});
