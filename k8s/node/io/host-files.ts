/**
 * The plugin and its configuration on the host. Every file appears whole or not at all: written
 * beside, flushed, renamed.
 */
import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdir, open, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { WeaveError } from '../../../core/errors.js';
import { CONFLIST_FILE, conflist, OLD_CONFIG_FILE, PLUGIN_NAMES } from '../conflist.js';

const execute = promisify(execFile);
const TOOL_TIMEOUT_MS = 10_000;

export interface HostFilesOptions {
  /** Where the host's file system is mounted. */
  readonly hostRoot: string;
  /** The plugin's executable in the image. */
  readonly pluginPath: string;
  /** The router's `--db-prefix`. */
  readonly dbPrefix: string;
}

export class HostFiles {
  readonly #options: HostFilesOptions;

  constructor(options: HostFilesOptions) {
    this.#options = options;
  }

  get #binFolder(): string {
    return join(this.#options.hostRoot, 'opt/cni/bin');
  }

  get #configFolder(): string {
    return join(this.#options.hostRoot, 'etc/cni/net.d');
  }

  async filterBridge(): Promise<void> {
    for (const name of ['iptables', 'ip6tables']) {
      const path = `/proc/sys/net/bridge/bridge-nf-call-${name}`;
      if (!existsSync(path)) {
        const text = 'the kernel module br_netfilter is not loaded on this node: modprobe it';
        throw new WeaveError('bridge-not-filtered', text);
      }
      if ((await readFile(path, 'utf8')).trim() !== '1') await writeFile(path, '1');
    }
  }

  async hasPolicies(): Promise<boolean> {
    try {
      const options = { timeout: TOOL_TIMEOUT_MS };
      await execute('nft', ['-t', 'list', 'table', 'inet', 'weave-npc'], options);
      return true;
    } catch {
      return false;
    }
  }

  /** A plugin that runs goes on with its old file. */
  async installPlugin(): Promise<void> {
    const plugin = await readFile(this.#options.pluginPath);
    await mkdir(this.#binFolder, { recursive: true, mode: 0o755 });
    for (const name of PLUGIN_NAMES) {
      await replaceFile(join(this.#binFolder, name), plugin, 0o755);
    }
  }

  async writeConflist(options: { readonly hairpin: boolean }): Promise<boolean> {
    const path = join(this.#configFolder, CONFLIST_FILE);
    await rm(join(this.#configFolder, OLD_CONFIG_FILE), { force: true });
    if (existsSync(path)) return false;
    await mkdir(this.#configFolder, { recursive: true, mode: 0o755 });
    await replaceFile(path, Buffer.from(conflist(options)), 0o644);
    return true;
  }

  get #listedPath(): string {
    return `${this.#options.dbPrefix}cluster.json`;
  }

  /** Under which name this node was in the record of its cluster; null: it never was. */
  async listedPeer(): Promise<string | null> {
    try {
      const { peer } = JSON.parse(await readFile(this.#listedPath, 'utf8')) as { peer?: unknown };
      return typeof peer === 'string' ? peer : null;
    } catch {
      return null;
    }
  }

  async noteListed(peer: string): Promise<void> {
    await replaceFile(this.#listedPath, Buffer.from(JSON.stringify({ peer })), 0o600);
  }

  /** What the allocator has stored; who has which address is told by others. */
  async forgetAddresses(): Promise<void> {
    for (const name of ['ipam.journal', 'ipam.json', 'cluster.json']) {
      await rm(`${this.#options.dbPrefix}${name}`, { force: true });
    }
  }

  /** Plugin and state; first the configuration, so that no pod is started without the plugin. */
  async remove(): Promise<void> {
    await rm(join(this.#configFolder, CONFLIST_FILE), { force: true });
    await rm(join(this.#configFolder, OLD_CONFIG_FILE), { force: true });
    for (const name of PLUGIN_NAMES) await rm(join(this.#binFolder, name), { force: true });
    const { dbPrefix } = this.#options;
    const folder = dirname(dbPrefix);
    const entries = existsSync(folder) ? await readdir(folder) : [];
    for (const entry of entries) {
      // Beside the state lies what plugins left for a router that was down.
      if (entry !== 'cni' && !entry.startsWith(basename(dbPrefix))) continue;
      await rm(join(folder, entry), { recursive: true, force: true });
    }
  }
}

async function replaceFile(path: string, content: Uint8Array, mode: number): Promise<void> {
  // Runtimes take what ends in .conf, .conflist or .json, so the name beside ends otherwise.
  const beside = `${path}.new`;
  const file = await open(beside, 'w', mode);
  try {
    await file.chmod(mode);
    await file.writeFile(content);
    await file.sync();
  } finally {
    await file.close();
  }
  await rename(beside, path);
}
