/**
 * The container's entry on a node, from nothing to a network, with a take-over between two of them.
 *
 *   API server, [h1 weave-kube] 198.51.100.1 ── switch
 */
import assert from 'node:assert/strict';
import { existsSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { e2e } from '../support/e2e.js';
import { KUBE_PASSWORD, KubeNode, logOf } from '../support/kube-node.js';
import { KubernetesApi } from '../support/kubernetes-api.js';
import type { Host } from '../support/lab-host.js';
import { switchedHosts } from '../support/lab-topologies.js';
import { waitFor } from '../support/wait.js';

const LIMIT_MS = 60_000;
const CONFLIST = 'etc/cni/net.d/10-weave.conflist';

e2e(
  'a node gets plugin, configuration and condition; then a new pod takes over',
  [],
  async (lab, t) => {
    const [h1] = switchedHosts(lab, 1).hosts as [Host];
    const api = KubernetesApi.start({ netns: h1.netns });
    t.after(() => api.down());
    // Only this node: whoever is alone founds the ring.
    api.put('nodes', { metadata: { name: 'node-a' } });
    api.patchRefusals = 2;
    const node = new KubeNode(h1, 'node-a', api.url);
    const old = node.start({ LABEL: 'old' });
    const patch = await waitFor('the condition', LIMIT_MS, () => api.patches[0]);
    assert.equal(patch.path, '/api/v1/nodes/node-a/status');
    assert.equal(patch.type, 'application/strategic-merge-patch+json');
    assert.equal(patch.authorization, 'Bearer token-1');
    const [condition] = JSON.parse(patch.body).status.conditions;
    assert.equal(condition.type, 'NetworkUnavailable');
    assert.equal(condition.status, 'False');
    // All else was there before.
    assert.ok(node.has(CONFLIST));
    for (const plugin of ['opt/cni/bin/weave-net', 'opt/cni/bin/weave-ipam']) {
      assert.equal(statSync(join(node.root, plugin)).mode & 0o777, 0o755, plugin);
    }
    const address = await node.bridgeAddress();
    assert.match(address, /^10\.44\.\d+\.\d+\/16$/);
    assert.match(logOf(old), /lacks the right .*patch nodes\/status/);

    // Edits of an administrator stay.
    const edited = JSON.stringify({ cniVersion: '1.0.0', name: 'edited', plugins: [] });
    writeFileSync(join(node.root, CONFLIST), edited);
    const next = node.start({ LABEL: 'next' });
    await waitFor('the second condition', LIMIT_MS, () => api.patches[1]);
    await waitFor('stand-by', LIMIT_MS, () => logOf(old).includes('standing'));
    assert.ok(old.running(), 'the old one waits for the kubelet to end it');
    assert.equal(await node.bridgeAddress(), address);
    assert.equal(readFileSync(join(node.root, CONFLIST), 'utf8'), edited);
    old.kill('SIGTERM');
    assert.equal(await old.ended, 0);
    assert.equal((await h1.api('GET', '/readyz')).status, 200);
    assert.doesNotMatch(logOf(next), new RegExp(KUBE_PASSWORD));
    next.kill('SIGTERM');
    assert.equal(await next.ended, 0);

    const removal = node.start({ LABEL: 'removal' }, 'uninstall');
    assert.equal(await removal.ended, 0);
    assert.ok(!node.has(CONFLIST) && !node.has('opt/cni/bin/weave-net'));
    assert.ok(!existsSync(join(h1.folder, 'dbstate.json')));
    const links = await lab.exec(h1.netns, ['ip', '-o', 'link', 'show']);
    assert.doesNotMatch(links.stdout, /weave|vethwe/);
  },
);

e2e('the configuration waits for the rules of the policy controller', [], async (lab) => {
  const [h1] = switchedHosts(lab, 1).hosts as [Host];
  const node = new KubeNode(h1, 'node-a', 'http://127.0.0.1:9');
  const exposed = { WEAVE_EXPOSE_IP: '10.44.7.7/16' };
  const kube = node.start({ EXPECT_NPC: '1', KUBE_PEERS: '', ...exposed });
  await waitFor('the wait', LIMIT_MS, () => logOf(kube).includes('laid no rules yet'));
  assert.equal(node.has(CONFLIST), false);
  assert.equal(await node.bridgeAddress(), '10.44.7.7/16');
  lab.nft(h1.netns, 'add table inet weave-npc');
  await waitFor('the configuration', LIMIT_MS, () => node.has(CONFLIST));
});
