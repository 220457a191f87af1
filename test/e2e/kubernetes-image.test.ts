/**
 * The container's file tree, in which the entry point makes a node of a cluster, and the command
 * line answers as it does by `kubectl exec`.
 */
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { e2e } from '../support/e2e.js';
import { buildImageTree } from '../support/image-tree.js';
import { logOf } from '../support/kube-node.js';
import { KubernetesApi } from '../support/kubernetes-api.js';
import type { Host } from '../support/lab-host.js';
import { switchedHosts } from '../support/lab-topologies.js';
import { waitFor } from '../support/wait.js';

const LIMIT_MS = 90_000;

/** Runs its arguments in the tree, with the mounts of the DaemonSet. */
const IN_TREE = [
  'mount -t proc proc "$0/proc"',
  'mount --rbind /dev "$0/dev"',
  'mount -t sysfs sysfs "$0/sys"',
  'exec chroot "$0" "$@"',
].join(' && ');

e2e('the image runs', ['ldd', 'chroot', 'unshare'], async (lab, t) => {
  const [h1] = switchedHosts(lab, 1).hosts as [Host];
  const api = KubernetesApi.start({ netns: h1.netns });
  t.after(() => api.down());
  api.put('nodes', { metadata: { name: 'node-a' } });
  const { root, entry } = buildImageTree(join(h1.folder, 'image'));
  writeFileSync(join(root, 'host/etc/machine-id'), `${'5e'.repeat(16)}\n`);
  writeFileSync(join(root, 'tmp/plugin'), '#!/bin/sh\n');
  const inTree = (argv: readonly string[]): string[] => [
    ...['unshare', '-m', '--propagation', 'private', 'sh', '-c', IN_TREE, root],
    ...argv,
  ];
  const env = {
    PATH: '/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin',
    HOSTNAME: 'node-a',
    IPALLOC_RANGE: '10.44.0.0/16',
    EXPECT_NPC: '0',
    WEAVE_PLUGIN: '/tmp/plugin',
    KUBE_API: api.url,
  };
  const pod = lab.start(h1.netns, inTree(entry), { label: 'image', cwd: '/', env });
  await waitFor('the condition', LIMIT_MS, () => {
    assert.ok(pod.running(), logOf(pod));
    return api.patches[0];
  });
  const status = await lab.exec(h1.netns, inTree(['weave', 'status']), { env });
  assert.match(status.stdout, /Name: .*\(node-a\)/, status.stderr);
  assert.match(status.stdout, /Range: 10\.44\.0\.0\/16/);
  const npc = ['node', '/opt/weave-net/dist/k8s/npc/daemon/main.js', '--version'];
  assert.match((await lab.exec(h1.netns, inTree(npc), { env })).stdout, /^weave-npc \d/);
  pod.kill('SIGTERM');
  assert.equal(await pod.ended, 0);
});
