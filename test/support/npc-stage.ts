/**
 * The policy controller on one node, with an API server of the tests:
 *
 *   [a] 10.32.1.1   [b] 10.32.1.2 ── bridge ── weave-npc ── list, watch ── API
 */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { KubernetesApi } from './kubernetes-api.js';
import type { BackgroundProcess, Lab } from './lab.js';
import { PolicyRig, type Try } from './policy-rig.js';
import { runOk } from './shell.js';
import { projectRoot } from './vectors.js';
import { waitFor } from './wait.js';

export const [A, B] = ['10.32.1.1', '10.32.1.2'];
export const LIMIT_MS = 60_000;

export const pod = (name: string, ip: string, namespace = 'shop') => ({
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { namespace, name, uid: `uid-${name}`, labels: { app: name } },
  spec: { nodeName: 'node1', containers: [] },
  status: { phase: 'Running', podIP: ip, podIPs: [{ ip }] },
});

/** Isolates b. */
export const policy = (name: string, ingress: readonly unknown[]) => ({
  apiVersion: 'networking.k8s.io/v1',
  kind: 'NetworkPolicy',
  metadata: { namespace: 'shop', name, uid: `uid-${name}` },
  spec: { podSelector: { matchLabels: { app: 'b' } }, policyTypes: ['Ingress'], ingress },
});

export interface NpcStage {
  readonly lab: Lab;
  readonly rig: PolicyRig;
  readonly api: KubernetesApi;
  readonly socket: string;
  start(...options: string[]): BackgroundProcess;
  weave(...words: string[]): Promise<string>;
}

const weaveScript = join(projectRoot, 'dist/cli/weave.js');

/** @param more addresses of pods on the same node, which the API does not know yet. */
export async function npcStage(lab: Lab, more: readonly string[] = []): Promise<NpcStage> {
  const rig = new PolicyRig(lab, 1);
  for (const ip of [A, B, ...more]) rig.addPod(ip, 0);
  await rig.ready();
  const netns = rig.netnsOf(0);
  lab.ip(netns, ['link set lo up']);
  const api = KubernetesApi.start({ netns: netns });
  api.put('namespaces', { kind: 'Namespace', metadata: { name: 'shop' } });
  api.put('pods', pod('a', A));
  api.put('pods', pod('b', B));
  const socket = join(lab.folder, 'npc.sock');
  const start = (...options: string[]): BackgroundProcess =>
    lab.start(
      netns,
      [
        ...[process.execPath, join(projectRoot, 'dist/k8s/npc/daemon/main.js')],
        ...['--node-name', 'node1', '--api-server', api.url, '--socket', socket],
        ...['--metrics-addr', '127.0.0.1:6781', ...options],
      ],
      { label: 'weave-npc' },
    );
  const weave = (...words: string[]): Promise<string> =>
    runOk(['env', `WEAVE_NPC_SOCKET=${socket}`, process.execPath, weaveScript, ...words], {});
  return { lab, rig, api, socket, start, weave };
}

/** Waits until new connections go as said. */
export async function triesBecome(rig: PolicyRig, tries: readonly Try[]): Promise<void> {
  let wrong: string[] = [];
  // Those that shall fail are looked at first: a try that shall pass waits long for it.
  const denied = tries.filter(({ expected }) => !expected);
  await waitFor(`connections as wanted`, LIMIT_MS, async () => {
    wrong = await rig.attempt(denied);
    return wrong.length === 0;
  }).catch(() => assert.deepEqual(wrong, []));
  assert.deepEqual(await rig.attempt(tries), []);
}

/** The same for those from a to b, by port of TCP. */
export function becomes(rig: PolicyRig, ports: Readonly<Record<number, boolean>>): Promise<void> {
  const tries = Object.entries(ports).map(([port, expected]) => ({
    ...{ from: A, to: B, protocol: 'TCP', port: Number(port), expected },
  }));
  return triesBecome(rig, tries);
}

export const settled = (stage: NpcStage) => async (): Promise<boolean> => {
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
