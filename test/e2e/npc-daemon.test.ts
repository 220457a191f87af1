/**
 * The policy controller on one node, with an API server of the tests: policies take effect and go,
 * foreign changes are repaired, rules outlive the API and the controller, drops are explained.
 *
 *   [a] 10.32.1.1   [b] 10.32.1.2 ── bridge ── weave-npc ── list, watch ── API
 */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { request } from 'node:http';
import { join } from 'node:path';
import { test } from 'node:test';
import { KubernetesApi } from '../support/kubernetes-api.js';
import { type BackgroundProcess, Lab } from '../support/lab.js';
import { PolicyRig } from '../support/policy-rig.js';
import { requireNetns, requireTool } from '../support/requirements.js';
import { runOk } from '../support/shell.js';
import { projectRoot } from '../support/vectors.js';
import { waitFor } from '../support/wait.js';

const [A, B] = ['10.32.1.1', '10.32.1.2'];
const LIMIT_MS = 60_000;

const pod = (name: string, ip: string) => ({
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { namespace: 'shop', name, uid: `uid-${name}`, labels: { app: name } },
  spec: { nodeName: 'node1', containers: [] },
  status: { phase: 'Running', podIP: ip, podIPs: [{ ip }] },
});
const policy = (name: string, ingress: readonly unknown[]) => ({
  apiVersion: 'networking.k8s.io/v1',
  kind: 'NetworkPolicy',
  metadata: { namespace: 'shop', name, uid: `uid-${name}` },
  spec: { podSelector: { matchLabels: { app: 'b' } }, policyTypes: ['Ingress'], ingress },
});
const onlyPort80 = policy('web', [
  { from: [{ podSelector: { matchLabels: { app: 'a' } } }], ports: [{ port: 80 }] },
]);

interface Stage {
  readonly lab: Lab;
  readonly rig: PolicyRig;
  readonly api: KubernetesApi;
  readonly socket: string;
  start(): BackgroundProcess;
  weave(...words: string[]): Promise<string>;
}

async function stage(lab: Lab): Promise<Stage> {
  const rig = new PolicyRig(lab, 1);
  rig.addPod(A, 0);
  rig.addPod(B, 0);
  await rig.ready();
  const netns = rig.netnsOf(0);
  lab.ip(netns, ['link set lo up']);
  const api = KubernetesApi.start({ netns: netns });
  api.put('namespaces', { kind: 'Namespace', metadata: { name: 'shop' } });
  api.put('pods', pod('a', A));
  api.put('pods', pod('b', B));
  const socket = join(lab.folder, 'npc.sock');
  const start = (): BackgroundProcess =>
    lab.start(
      netns,
      [
        ...[process.execPath, join(projectRoot, 'dist/k8s/npc/daemon/main.js')],
        ...['--node-name', 'node1', '--api-server', api.url, '--socket', socket],
        ...['--metrics-addr', '127.0.0.1:6781'],
      ],
      { label: 'weave-npc' },
    );
  const weave = (...words: string[]): Promise<string> =>
    runOk(['env', `WEAVE_NPC_SOCKET=${socket}`, process.execPath, weaveScript, ...words], {});
  return { lab, rig, api, socket, start, weave };
}

const weaveScript = join(projectRoot, 'dist/cli/weave.js');

function getOverSocket(socketPath: string, path: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const sent = request({ socketPath, path }, (response) => {
      let body = '';
      response.setEncoding('utf8').on('data', (chunk: string) => {
        body += chunk;
      });
      response.once('end', () => resolve(body));
    });
    sent.once('error', reject).end();
  });
}

/** Waits until new connections from a to b go as said. */
async function becomes(rig: PolicyRig, ports: Readonly<Record<number, boolean>>): Promise<void> {
  let wrong: string[] = [];
  const tries = Object.entries(ports).map(([port, expected]) => ({
    ...{ from: A, to: B, protocol: 'TCP', port: Number(port), expected },
  }));
  // Those that shall fail are looked at first: a try that shall pass waits long for it.
  const denied = tries.filter(({ expected }) => !expected);
  await waitFor(`connections as wanted`, LIMIT_MS, async () => {
    wrong = await rig.attempt(denied);
    return wrong.length === 0;
  }).catch(() => assert.deepEqual(wrong, []));
  assert.deepEqual(await rig.attempt(tries), []);
}

const settled = (stage: Stage) => async (): Promise<boolean> => {
  try {
    const report = JSON.parse(await stage.weave('--output', 'json', 'status', 'npc')) as {
      phase: string;
      settled: boolean;
    };
    return report.phase === 'enforcing' && report.settled;
  } catch {
    return false;
  }
};

test('policies in force, repaired, and kept without API and controller', async (t) => {
  if (!requireNetns(t) || !requireTool(t, 'nft')) return;
  const lab = Lab.forTest(t);
  await lab.explain(t, async () => {
    const stand = await stage(lab);
    const { rig, api, weave } = stand;
    t.after(() => api.down());
    api.put('networkpolicies', policy('nothing', []));
    let daemon = stand.start();
    await waitFor('enforcing', LIMIT_MS, settled(stand));
    await becomes(rig, { 80: false, 81: false });
    const log = (): string => readFileSync(daemon.logPath, 'utf8');
    await waitFor('the drop in the log', LIMIT_MS, () =>
      /from 10\.32\.1\.1:\d+ to 10\.32\.1\.2:8[01] blocked by Weave NPC/.test(log()),
    );
    assert.match(log(), /shop\/a/);
    assert.match(log(), /shop\/nothing/);
    const denied = await weave('npc', 'explain', 'shop/a', 'shop/b', '80');
    assert.match(denied, /nothing/);

    api.remove('networkpolicies', policy('nothing', []));
    api.put('networkpolicies', onlyPort80);
    await becomes(rig, { 80: true, 81: false });

    // Somebody flushes everything.
    const flushedMs = performance.now();
    rig.nft(0, 'flush ruleset\n');
    await waitFor('repair', LIMIT_MS, () => log().includes('repaired'), 20);
    t.diagnostic(
      `flush ruleset was repaired after ${Math.round(performance.now() - flushedMs)} ms`,
    );
    await becomes(rig, { 80: true, 81: false });
    const metrics = await getOverSocket(stand.socket, '/metrics');
    assert.match(metrics, /^weavenpc_repairs_total 1$/m);
    assert.match(metrics, /^weavenpc_blocked_connections_total\{[^}]*\} [1-9]/m);

    // An object that can't be used is named; the rest stays enforced.
    api.put('networkpolicies', {
      ...onlyPort80,
      metadata: { ...onlyPort80.metadata, name: 'broken' },
      spec: { podSelector: { matchExpressions: [{ key: 'x', operator: 'Odd' }] } },
    } as never);
    await waitFor('the problem', LIMIT_MS, () => log().includes('shop/broken'));
    assert.match(await weave('status', 'npc'), /shop\/broken/);

    // Without API the rules stay; what changed meanwhile comes with it.
    api.down();
    await waitFor('the absence', LIMIT_MS, () => log().includes('The API fails'));
    await becomes(rig, { 80: true, 81: false });
    api.up();
    api.remove('networkpolicies', onlyPort80);
    await waitFor('open ports', LIMIT_MS, async () => {
      const answer = await weave('--output', 'json', 'npc', 'explain', 'shop/a', 'shop/b', '81');
      return (JSON.parse(answer) as { allowed: boolean }).allowed;
    });
    await waitFor('settled', LIMIT_MS, settled(stand));
    await becomes(rig, { 80: true, 81: true });

    // The rules outlive the controller, and its start opens no window.
    api.put('networkpolicies', onlyPort80);
    await becomes(rig, { 81: false });
    daemon.kill('SIGTERM');
    await daemon.ended;
    await becomes(rig, { 80: true, 81: false });
    api.down();
    daemon = stand.start();
    await waitFor('waiting', LIMIT_MS, async () =>
      (await weave('status', 'npc').catch(() => '')).includes('waiting'),
    );
    await becomes(rig, { 80: true, 81: false });
    api.up();
    await waitFor('enforcing', LIMIT_MS, settled(stand));
    await becomes(rig, { 80: true, 81: false });
    daemon.kill('SIGTERM');
    await daemon.ended;
  });
});
