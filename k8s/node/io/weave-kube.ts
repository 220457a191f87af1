#!/usr/bin/env node
/**
 * Entry of the container on each node.
 *
 *   weave-kube             runs the router, sets up the node beside it, stands by after a hand-over
 *   weave-kube uninstall   removes plugin, configuration, bridge and state from the node
 */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { errorCode, errorText } from '../../../core/errors.js';
import type { LogFields, Logger } from '../../../core/log.js';
import { printable } from '../../../core/text.js';
import { HANDED_OVER_EXIT_CODE, READY_MESSAGE } from '../../../router/api-types.js';
import { setUpNode } from '../set-up.js';
import { type NodeSettings, peersOfNodes, readSettings, routerArguments } from '../settings.js';
import { ClusterApi, inCluster } from './cluster-api.js';
import { HostFiles } from './host-files.js';
import { RouterSocket } from './router-socket.js';

const DEFAULT_PLUGIN = '/usr/local/lib/weave-net/weave-net';
const STANDBY_POLL_MS = 2_000;
/** The successor may be restarting; nobody there for this long means that it failed. */
const STANDBY_MISSES = 8;
const BAD_SETTINGS_EXIT_CODE = 2;
const KILLED_EXIT_CODE = 1;

const built = (path: string): string => fileURLToPath(new URL(`../../../${path}`, import.meta.url));

const line =
  (label: string) =>
  (text: string, fields: LogFields = {}) => {
    const words = Object.entries(fields).map(([key, value]) => `${key}=${JSON.stringify(value)}`);
    process.stderr.write(`${printable([`${label}: node: ${text}`, ...words].join(' '))}\n`);
  };
const log: Logger = {
  error: line('ERRO'),
  warn: line('WARN'),
  info: line('INFO'),
  debug: () => {},
};

const { env } = process;

class Supervisor {
  readonly #settings: NodeSettings;
  readonly #router: RouterSocket;
  #child: ChildProcess | null = null;
  #isStarted = false;
  #isStopping = false;

  constructor(settings: NodeSettings) {
    this.#settings = settings;
    this.#router = new RouterSocket(settings.socketPath);
  }

  /** Until the take-over, the old router answers at the same addresses. */
  async notReady(): Promise<string | null> {
    return this.#isStarted ? this.#router.notReady() : 'the router is starting';
  }

  /** Also while none runs: then there is nothing to wait for. */
  stop(signal: NodeJS.Signals): void {
    this.#isStopping = true;
    if (this.#child === null) process.exit(0);
    this.#child.kill(signal);
  }

  /** @returns the exit code for the container. */
  async run(peers: readonly string[] | null): Promise<number> {
    for (;;) {
      const code = await this.#runRouter(peers);
      if (code !== HANDED_OVER_EXIT_CODE || this.#isStopping) return code;
      log.info('another router has taken over; standing by');
      await this.#standBy();
      log.warn('the router that took over is gone; starting again');
    }
  }

  #runRouter(peers: readonly string[] | null): Promise<number> {
    const argv = [built('router/main.js'), ...routerArguments(env, this.#settings, peers)];
    const stdio = ['inherit', 'inherit', 'inherit', 'ipc'] as const;
    const child = spawn(process.execPath, argv, { stdio: [...stdio] });
    child.on('message', (message) => {
      if (message === READY_MESSAGE) this.#isStarted = true;
    });
    this.#child = child;
    return new Promise((resolve) => {
      child.once('error', (error) => {
        log.error('the router could not be started', { error: errorText(error) });
        resolve(KILLED_EXIT_CODE);
      });
      child.once('exit', (code) => {
        this.#child = null;
        resolve(code ?? KILLED_EXIT_CODE);
      });
    });
  }

  /** An end of this process would make the kubelet start another router against the new one. */
  async #standBy(): Promise<void> {
    for (let misses = 0; misses < STANDBY_MISSES; ) {
      await sleep(STANDBY_POLL_MS);
      misses = (await this.#router.isThere()) ? 0 : misses + 1;
    }
  }
}

function clusterApi(): ClusterApi {
  const url = env['KUBE_API'];
  if (url === undefined || url === '') return new ClusterApi(inCluster(env));
  return new ClusterApi({ url, credentials: env['KUBE_CREDENTIALS'] ?? '' });
}

/** @returns null if the API server does not answer. */
async function findPeers(settings: NodeSettings): Promise<readonly string[] | null> {
  if (settings.peers !== null) return settings.peers;
  try {
    return peersOfNodes(await clusterApi().nodes(), settings.nodeName);
  } catch (error) {
    const fields = { code: errorCode(error), error: errorText(error) };
    log.warn('the nodes are not known; calling the peers of the last run', fields);
    return null;
  }
}

function hostFiles({ hostRoot, dbPrefix }: NodeSettings): HostFiles {
  const pluginPath = env['WEAVE_PLUGIN'] || DEFAULT_PLUGIN;
  return new HostFiles({ hostRoot, dbPrefix, pluginPath });
}

async function runNode(settings: NodeSettings): Promise<void> {
  const supervisor = new Supervisor(settings);
  for (const signal of ['SIGTERM', 'SIGINT'] as const) {
    process.on(signal, () => supervisor.stop(signal));
  }
  const ended = supervisor.run(await findPeers(settings));
  const router = new RouterSocket(settings.socketPath);
  void setUpNode(settings, {
    router: {
      notReady: () => supervisor.notReady(),
      expose: (cidr) => router.expose(cidr),
    },
    host: hostFiles(settings),
    cluster: {
      networkAvailable: async (nodeName) => clusterApi().networkAvailable(nodeName),
    },
    log,
    sleep: (ms) => sleep(ms),
  });
  process.exit(await ended);
}

async function uninstall(settings: NodeSettings): Promise<void> {
  await hostFiles(settings).remove();
  const argv = [built('cli/weave.js'), 'reset', '--force'];
  const { status } = spawnSync(process.execPath, argv, { stdio: 'inherit' });
  process.exitCode = status ?? KILLED_EXIT_CODE;
}

try {
  const settings = readSettings(env);
  const verb = process.argv[2];
  if (verb === undefined) await runNode(settings);
  else if (verb === 'uninstall') await uninstall(settings);
  else {
    process.stderr.write('Usage: weave-kube [uninstall]\n');
    process.exitCode = BAD_SETTINGS_EXIT_CODE;
  }
} catch (error) {
  log.error('the node cannot be set up', { code: errorCode(error), error: errorText(error) });
  process.exitCode = BAD_SETTINGS_EXIT_CODE;
}
