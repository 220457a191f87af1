/** The container of a node, run as the DaemonSet runs it, on a host of a lab. */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { BackgroundProcess } from './lab.js';
import type { Host } from './lab-host.js';

const distRoot = join(dirname(fileURLToPath(import.meta.url)), '../..');
const WEAVE_KUBE = join(distRoot, 'k8s/node/io/weave-kube.js');

/** The clean-up also looks where a router without options has its state: not on this machine. */
const NO_STATE = ['unshare', '-m', 'sh', '-c', 'mount -t tmpfs tmpfs /var/lib && exec "$@"', 'sh'];

export const KUBE_PASSWORD = 'secret-of-the-node-test';

export class KubeNode {
  readonly root: string;
  readonly name: string;
  readonly host: Host;
  readonly #apiUrl: string;

  constructor(host: Host, name: string, apiUrl: string) {
    this.host = host;
    this.name = name;
    this.#apiUrl = apiUrl;
    this.root = join(host.folder, 'root');
    mkdirSync(join(this.root, 'credentials'), { recursive: true });
    writeFileSync(join(this.root, 'credentials/token'), 'token-1\n');
    writeFileSync(join(this.root, 'plugin'), '#!/bin/sh\n');
  }

  start(env: Readonly<Record<string, string>>, ...argv: string[]): BackgroundProcess {
    const { host, root } = this;
    const confine = argv.length === 0 ? [] : NO_STATE;
    const command = [...confine, process.execPath, WEAVE_KUBE, ...argv];
    return host.lab.start(host.netns, command, {
      label: `kube-${this.name}-${env['LABEL'] ?? 'pod'}`,
      cwd: host.folder,
      env: {
        HOSTNAME: this.name,
        HOST_ROOT: root,
        DB_PREFIX: join(host.folder, 'db'),
        WEAVE_SOCKET: host.socketPath,
        WEAVE_PLUGIN: join(root, 'plugin'),
        WEAVE_PASSWORD: KUBE_PASSWORD,
        EXTRA_ARGS: `--name ${host.name}`,
        IPALLOC_RANGE: '10.44.0.0/16',
        EXPECT_NPC: '0',
        KUBE_API: this.#apiUrl,
        KUBE_CREDENTIALS: join(root, 'credentials'),
        ...env,
      },
    });
  }

  async bridgeAddress(): Promise<string> {
    const argv = ['ip', '-4', '-o', 'addr', 'show', 'dev', 'weave'];
    const { stdout } = await this.host.lab.exec(this.host.netns, argv);
    return /inet (\S+)/.exec(stdout)?.[1] ?? '';
  }

  has(path: string): boolean {
    return existsSync(join(this.root, path));
  }
}

/** What a process has said so far. */
export const logOf = ({ logPath }: BackgroundProcess): string => readFileSync(logPath, 'utf8');
