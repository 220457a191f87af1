/**
 * Three nodes of a cluster find each other through the API server. One leaves, its addresses come
 * back through one of the others, and it returns as if it were new.
 *
 *   API server, [h1 node-a] ──┐
 *               [h2 node-b] ──┼ switch
 *               [h3 node-c] ──┘
 */
import assert from 'node:assert/strict';
import { e2e } from '../support/e2e.js';
import { KubeNode, logOf } from '../support/kube-node.js';
import { KubernetesApi } from '../support/kubernetes-api.js';
import type { BackgroundProcess } from '../support/lab.js';
import type { Host } from '../support/lab-host.js';
import { switchedHosts } from '../support/lab-topologies.js';
import { waitFor } from '../support/wait.js';

const LIMIT_MS = 90_000;
const LEFT = 'a node left the cluster';

const nodeObject = (name: string, address: string) => ({
  metadata: { name },
  status: { addresses: [{ type: 'InternalIP', address }] },
});

/** Peer by node, as the cluster's record has it. */
function recorded(api: KubernetesApi): ReadonlyMap<string, string> {
  const [map] = api.list('configmaps');
  const { annotations } = (map?.metadata ?? {}) as { annotations?: Record<string, string> };
  const text = annotations?.['kube-peers.weave.works/peers'] ?? '{"Peers":[]}';
  const { Peers } = JSON.parse(text) as { Peers: { PeerName: string; NodeName: string }[] };
  return new Map(Peers.map(({ PeerName, NodeName }) => [NodeName, PeerName]));
}

e2e('nodes join, leave and return', [], async (lab, t) => {
  const hosts = switchedHosts(lab, 3).hosts as [Host, Host, Host];
  const [h1, , h3] = hosts;
  const api = KubernetesApi.start({ netns: h1.netns });
  t.after(() => api.down());
  const url = api.url.replace('127.0.0.1', h1.address);
  const nodes = hosts.map((host, index) => new KubeNode(host, `node-${'abc'[index]}`, url));
  const [, , nodeC] = nodes as [KubeNode, KubeNode, KubeNode];
  const objects = nodes.map(({ name, host }) => nodeObject(name, host.address));
  for (const object of objects) api.put('nodes', object);
  const pods: BackgroundProcess[] = nodes.map((node) => node.start({}));
  const [podA, podB] = pods as [BackgroundProcess, BackgroundProcess];
  await waitFor('three nodes in the record', LIMIT_MS, () => recorded(api).size === 3);
  for (const { name, host } of nodes) assert.equal(recorded(api).get(name), host.name);
  for (const node of nodes) {
    await waitFor(`an address on ${node.name}`, LIMIT_MS, async () => {
      return (await node.bridgeAddress()) !== '';
    });
  }
  const ipam = async (host: Host): Promise<string> => await host.weaveOk('status', 'ipam');
  await waitFor('a share for node-c', LIMIT_MS, async () => (await ipam(h1)).includes(h3.name));

  // Versions that are too old, and a cut watch: the list is made again, and the router follows it.
  api.compact();
  api.endWatches();
  api.put('nodes', nodeObject('node-d', '198.51.100.77'));
  await waitFor('the new target', LIMIT_MS, async () =>
    (await h1.weaveOk('status', 'targets')).includes('198.51.100.77'),
  );
  api.remove('nodes', nodeObject('node-d', ''));
  await waitFor('the old targets', LIMIT_MS, async () => {
    return !(await h1.weaveOk('status', 'targets')).includes('198.51.100.77');
  });

  // Deleted but running: it keeps what it has, as the others see it.
  api.remove('nodes', objects[2] as (typeof objects)[0]);
  await waitFor('a refusal', LIMIT_MS, () =>
    [podA, podB].some((pod) => /is not in order.*(reachable|alive|topology)/.test(logOf(pod))),
  );
  assert.ok((await ipam(h1)).includes(h3.name));
  // Router and container, like a machine without power.
  await h3.lab.exec(h3.netns, ['sh', '-c', `kill -9 $(ip netns pids ${h3.netns} | grep -v $$)`]);
  await waitFor('the end of the record', 2 * LIMIT_MS, () => !recorded(api).has('node-c'));
  assert.ok(!(await ipam(h1)).includes(h3.name));
  const notices = [podA, podB].map((pod) => logOf(pod).split(LEFT).length - 1);
  assert.equal(
    notices.reduce((sum, count) => sum + count),
    1,
    'one node took its addresses over',
  );

  // Back again, and the API server was away meanwhile.
  api.down();
  await waitFor('a warning', LIMIT_MS, () => logOf(podA).includes('may be behind'));
  api.up();
  api.put('nodes', objects[2] as (typeof objects)[0]);
  const returned = nodeC.start({ LABEL: 'returned' });
  await waitFor('its return', LIMIT_MS, () => recorded(api).get('node-c') === h3.name);
  assert.match(logOf(returned), /was removed from the cluster meanwhile/);
  await waitFor('its address', LIMIT_MS, async () => (await nodeC.bridgeAddress()) !== '');
});
