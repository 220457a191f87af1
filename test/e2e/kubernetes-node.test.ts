/**
 * The container's entry on a node, from nothing to a network, with a take-over between two of them.
 *
 *   API server, [h1 weave-kube] 198.51.100.1 ── switch
 */
import assert from 'node:assert/strict';
import { existsSync, mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { e2e } from '../support/e2e.js';
import type { BackgroundProcess, Lab } from '../support/lab.js';
import type { Host } from '../support/lab-host.js';
import { switchedHosts } from '../support/lab-topologies.js';
import { waitFor } from '../support/wait.js';

const distRoot = join(dirname(fileURLToPath(import.meta.url)), '../..');
const WEAVE_KUBE = join(distRoot, 'k8s/node/io/weave-kube.js');
const API_SERVER = join(distRoot, 'test/support/kubernetes-nodes.js');
const API_PORT = 8001;
const LIMIT_MS = 60_000;
const CONFLIST = 'etc/cni/net.d/10-weave.conflist';

/** The clean-up also looks where a router without options has its state: not on this machine. */
const NO_STATE = ['unshare', '-m', 'sh', '-c', 'mount -t tmpfs tmpfs /var/lib && exec "$@"', 'sh'];

class Node {
  readonly root: string;
  readonly #host: Host;

  constructor(host: Host) {
    this.#host = host;
    this.root = join(host.folder, 'root');
    mkdirSync(join(this.root, 'credentials'), { recursive: true });
    writeFileSync(join(this.root, 'credentials/token'), 'token-1\n');
    writeFileSync(join(this.root, 'plugin'), '#!/bin/sh\n');
  }

  get lab(): Lab {
    return this.#host.lab;
  }

  /** As the DaemonSet starts it. */
  start(env: Readonly<Record<string, string>>, ...argv: string[]): BackgroundProcess {
    const confine = argv.length === 0 ? [] : NO_STATE;
    const command = [...confine, process.execPath, WEAVE_KUBE, ...argv];
    return this.lab.start(this.#host.netns, command, {
      label: `kube-${env['LABEL'] ?? 'node'}`,
      cwd: this.#host.folder,
      env: {
        HOSTNAME: 'node-a',
        HOST_ROOT: this.root,
        DB_PREFIX: join(this.#host.folder, 'db'),
        WEAVE_SOCKET: this.#host.socketPath,
        WEAVE_PLUGIN: join(this.root, 'plugin'),
        WEAVE_PASSWORD: 'secret-of-the-node-test',
        EXTRA_ARGS: `--name ${this.#host.name}`,
        IPALLOC_RANGE: '10.44.0.0/16',
        EXPECT_NPC: '0',
        KUBE_API: `http://127.0.0.1:${API_PORT}`,
        KUBE_CREDENTIALS: join(this.root, 'credentials'),
        ...env,
      },
    });
  }

  async bridgeAddress(): Promise<string> {
    const argv = ['ip', '-4', '-o', 'addr', 'show', 'dev', 'weave'];
    return /inet (\S+)/.exec((await this.lab.exec(this.#host.netns, argv)).stdout)?.[1] ?? '';
  }

  has(path: string): boolean {
    return existsSync(join(this.root, path));
  }
}

/** Only this node: whoever is alone founds the ring. */
const NODES = { items: [{ metadata: { name: 'node-a' } }] };

function apiServer(host: Host, refusals: number): BackgroundProcess {
  const argv = [API_SERVER, `${API_PORT}`, JSON.stringify(NODES), `${refusals}`];
  return host.lab.start(host.netns, [process.execPath, ...argv], { label: 'api-server' });
}

const patches = (server: BackgroundProcess): Record<string, string>[] =>
  readFileSync(server.logPath, 'utf8')
    .split('\n')
    .filter((line) => line.startsWith('{'))
    .map((line) => JSON.parse(line));

e2e(
  'a node gets plugin, configuration and condition; then a new pod takes over',
  [],
  async (lab) => {
    const [h1] = switchedHosts(lab, 1).hosts as [Host];
    const node = new Node(h1);
    const server = apiServer(h1, 2);
    await waitFor('the API server', LIMIT_MS, async () => {
      const argv = ['ss', '-Hltn', `sport = :${API_PORT}`];
      return (await lab.exec(h1.netns, argv)).stdout !== '';
    });
    const old = node.start({ LABEL: 'old' });
    const patch = await waitFor('the condition', LIMIT_MS, () => patches(server)[0]);
    assert.equal(patch['url'], '/api/v1/nodes/node-a/status');
    assert.equal(patch['type'], 'application/strategic-merge-patch+json');
    assert.equal(patch['authorization'], 'Bearer token-1');
    const [condition] = JSON.parse(patch['body'] ?? '').status.conditions;
    assert.equal(condition.type, 'NetworkUnavailable');
    assert.equal(condition.status, 'False');
    // All else was there before.
    assert.ok(node.has(CONFLIST));
    for (const plugin of ['opt/cni/bin/weave-net', 'opt/cni/bin/weave-ipam']) {
      assert.equal(statSync(join(node.root, plugin)).mode & 0o777, 0o755, plugin);
    }
    const address = await node.bridgeAddress();
    assert.match(address, /^10\.44\.\d+\.\d+\/16$/);
    const oldLog = readFileSync(old.logPath, 'utf8');
    assert.match(oldLog, /lacks the right .*patch nodes\/status/);

    // Edits of an administrator stay.
    const edited = JSON.stringify({ cniVersion: '1.0.0', name: 'edited', plugins: [] });
    writeFileSync(join(node.root, CONFLIST), edited);
    const next = node.start({ LABEL: 'next' });
    await waitFor('the second condition', LIMIT_MS, () => patches(server)[1]);
    await waitFor('stand-by', LIMIT_MS, () =>
      readFileSync(old.logPath, 'utf8').includes('standing'),
    );
    assert.ok(old.running(), 'the old one waits for the kubelet to end it');
    assert.equal(await node.bridgeAddress(), address);
    assert.equal(readFileSync(join(node.root, CONFLIST), 'utf8'), edited);
    old.kill('SIGTERM');
    assert.equal(await old.ended, 0);
    assert.equal((await h1.api('GET', '/readyz')).status, 200);
    assert.doesNotMatch(readFileSync(next.logPath, 'utf8'), /secret-of-the-node-test/);
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
  const node = new Node(h1);
  const exposed = { WEAVE_EXPOSE_IP: '10.44.7.7/16' };
  const kube = node.start({ EXPECT_NPC: '1', KUBE_PEERS: '', ...exposed });
  const log = (): string => readFileSync(kube.logPath, 'utf8');
  await waitFor('the wait', LIMIT_MS, () => log().includes('laid no rules yet'));
  assert.equal(node.has(CONFLIST), false);
  assert.equal(await node.bridgeAddress(), '10.44.7.7/16');
  lab.nft(h1.netns, 'add table inet weave-npc');
  await waitFor('the configuration', LIMIT_MS, () => node.has(CONFLIST));
});
