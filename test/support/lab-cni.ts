/** A CNI runtime for tests: calls the plugin as the specification says, with pods of a lab. */
import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Host } from './lab-host.js';
import { run } from './shell.js';

const distRoot = join(dirname(fileURLToPath(import.meta.url)), '../..');
export const WEAVE_NET = join(distRoot, 'k8s/cni/io/weave-net.js');
/** Of the Debian package containernetworking-plugins. */
const DEBIAN_PLUGINS = '/usr/lib/cni';
const CALL_TIMEOUT_MS = 120_000;

export interface CniResult {
  readonly cniVersion?: string;
  readonly interfaces?: readonly { readonly name: string; readonly mac: string }[];
  readonly ips?: readonly {
    readonly address: string;
    readonly gateway?: string;
    readonly interface?: number;
  }[];
  readonly ip4?: { readonly ip: string };
  readonly routes?: readonly { readonly dst: string; readonly gw?: string }[];
  readonly code?: number;
  readonly msg?: string;
}

export interface CniAnswer {
  readonly exitCode: number;
  /** null: printed nothing. */
  readonly result: CniResult | null;
}

/** One pod: a namespace and the id that its runtime gave it. */
export interface Pod {
  readonly id: string;
  readonly netns: string;
}

function environment(host: Host, command: string, pod: Pod | null): Record<string, string> {
  const attachment: Record<string, string> =
    pod === null
      ? {}
      : {
          CNI_CONTAINERID: pod.id,
          CNI_NETNS: `/run/netns/${pod.netns}`,
          CNI_IFNAME: 'eth0',
        };
  return {
    CNI_COMMAND: command,
    CNI_PATH: DEBIAN_PLUGINS,
    WEAVE_SOCKET: host.socketPath,
    WEAVE_CNI_STATE: join(host.folder, 'cni'),
    ...attachment,
  };
}

export class CniRuntime {
  readonly #host: Host;
  readonly #argv: readonly string[];

  /** @param argv how the plugin is started; its name says which of both it is. */
  constructor(host: Host, argv: readonly string[] = [process.execPath, WEAVE_NET]) {
    this.#host = host;
    this.#argv = argv;
  }

  pod(label: string): Pod {
    const netns = this.#host.lab.addNetns(label);
    return { id: `${label}-id`, netns };
  }

  /** @param config is laid over the simplest one. */
  async call(
    command: string,
    pod: Pod | null,
    config: Readonly<Record<string, unknown>> = {},
    env: Readonly<Record<string, string>> = {},
  ): Promise<CniAnswer> {
    const result = await run(this.#argv, {
      input: JSON.stringify({ cniVersion: '1.1.0', name: 'weave', type: 'weave-net', ...config }),
      env: { ...environment(this.#host, command, pod), ...env },
      timeoutMs: CALL_TIMEOUT_MS,
    });
    const text = result.stdout.trim();
    return {
      exitCode: result.code ?? -1,
      result: text === '' ? null : (JSON.parse(text) as CniResult),
    };
  }

  /** A call that must succeed. */
  async ok(
    command: string,
    pod: Pod | null,
    config: Readonly<Record<string, unknown>> = {},
  ): Promise<CniResult> {
    const { exitCode, result } = await this.call(command, pod, config);
    if (exitCode !== 0) throw new Error(`${command}: ${exitCode} ${JSON.stringify(result)}`);
    return result ?? {};
  }
}

/** The first address without its prefix. */
export const addressOf = (result: CniResult): string =>
  (result.ips?.[0]?.address ?? result.ip4?.ip ?? '').split('/')[0] as string;

/** One plugin of a list, as the configuration of a network has it. */
export interface ChainedPlugin {
  readonly type: string;
  readonly capabilities?: Readonly<Record<string, boolean>>;
  readonly [key: string]: unknown;
}

/** A list of plugins, run as the specification's section 3 says, on the host they change. */
export class CniChain {
  readonly #host: Host;
  readonly #plugins: readonly ChainedPlugin[];
  /** What each pod was given. */
  readonly #results = new Map<string, CniResult>();

  constructor(host: Host, plugins: readonly ChainedPlugin[]) {
    this.#host = host;
    this.#plugins = plugins;
  }

  /** Plugins of Debian that are not there. */
  get missing(): string[] {
    const others = this.#plugins.filter(({ type }) => type !== 'weave-net');
    const files = others.map(({ type }) => join(DEBIAN_PLUGINS, type));
    return files.filter((file) => !existsSync(file));
  }

  /** @param wishes by the capability they are for. @throws Error with what a plugin said */
  async add(pod: Pod, wishes: Readonly<Record<string, unknown>> = {}): Promise<CniResult> {
    let result: CniResult | undefined;
    for (const plugin of this.#plugins) {
      result = (await this.#run('ADD', pod, plugin, wishes, result)) ?? undefined;
    }
    this.#results.set(pod.id, result as CniResult);
    return result as CniResult;
  }

  async check(pod: Pod, wishes: Readonly<Record<string, unknown>> = {}): Promise<void> {
    for (const plugin of this.#plugins) {
      await this.#run('CHECK', pod, plugin, wishes, this.#results.get(pod.id));
    }
  }

  async del(pod: Pod, wishes: Readonly<Record<string, unknown>> = {}): Promise<void> {
    for (const plugin of this.#plugins.toReversed()) {
      await this.#run('DEL', pod, plugin, wishes, this.#results.get(pod.id));
    }
  }

  async #run(
    command: string,
    pod: Pod,
    { capabilities = {}, ...plugin }: ChainedPlugin,
    wishes: Readonly<Record<string, unknown>>,
    prevResult: CniResult | undefined,
  ): Promise<CniResult | null> {
    const { lab, netns } = this.#host;
    const granted = Object.entries(wishes).filter(([name]) => capabilities[name] === true);
    const config = {
      ...{ cniVersion: '1.0.0', name: 'weave', ...plugin },
      ...(granted.length === 0 ? {} : { runtimeConfig: Object.fromEntries(granted) }),
      ...(prevResult === undefined ? {} : { prevResult }),
    };
    const isOurs = plugin.type === 'weave-net';
    const program = join(DEBIAN_PLUGINS, plugin.type);
    const argv = isOurs ? [process.execPath, WEAVE_NET] : [program];
    const { code, stdout, stderr } = await lab.exec(netns, argv, {
      input: JSON.stringify(config),
      env: environment(this.#host, command, pod),
      timeoutMs: CALL_TIMEOUT_MS,
    });
    if (code !== 0) throw new Error(`${plugin.type} ${command}: ${code} ${stdout}${stderr}`);
    return stdout.trim() === '' ? null : (JSON.parse(stdout) as CniResult);
  }
}
