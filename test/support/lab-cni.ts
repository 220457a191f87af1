/** A CNI runtime for tests: calls the plugin as the specification says, with pods of a lab. */
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Host } from './lab-host.js';
import { run } from './shell.js';

const distRoot = join(dirname(fileURLToPath(import.meta.url)), '../..');
export const WEAVE_NET = join(distRoot, 'k8s/cni/io/weave-net.js');
const DEBIAN_PLUGINS = '/usr/lib/cni';

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
    const { folder, socketPath } = this.#host;
    const result = await run(this.#argv, {
      input: JSON.stringify({ cniVersion: '1.1.0', name: 'weave', type: 'weave-net', ...config }),
      env: {
        CNI_COMMAND: command,
        CNI_PATH: DEBIAN_PLUGINS,
        WEAVE_SOCKET: socketPath,
        WEAVE_CNI_STATE: join(folder, 'cni'),
        ...(pod === null
          ? {}
          : {
              CNI_CONTAINERID: pod.id,
              CNI_NETNS: `/run/netns/${pod.netns}`,
              CNI_IFNAME: 'eth0',
            }),
        ...env,
      },
      timeoutMs: 120_000,
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
