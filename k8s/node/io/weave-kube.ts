#!/usr/bin/env node
/**
 * Entry of the container on each node.
 *
 *   weave-kube             runs the router, sets up the node beside it, stands by after a hand-over
 *   weave-kube uninstall   removes plugin, configuration, bridge and state from the node
 */
import { spawnSync } from 'node:child_process';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { systemClock } from '../../../core/clock.js';
import { errorCode, errorText, WeaveError } from '../../../core/errors.js';
import type { LogFields, Logger } from '../../../core/log.js';
import { printable } from '../../../core/text.js';
import { systemRandom } from '../../../sys/random.js';
import { findApiAccess } from '../../api/io/access.js';
import { ApiClient } from '../../api/io/client.js';
import { readRecord } from '../cluster-record.js';
import { setUpNode } from '../set-up.js';
import { type NodeSettings, readSettings, routerArguments } from '../settings.js';
import { ClusterMember } from './cluster-member.js';
import { HostFiles } from './host-files.js';
import { RouterSocket } from './router-socket.js';
import { Supervisor } from './supervisor.js';

const DEFAULT_PLUGIN = '/usr/local/lib/weave-net/weave-net';
/** An API server that does not answer by then is left for later. */
const PEERS_TIMEOUT_MS = 10_000;
const JOIN_RETRY_MS = 1_000;
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

/** Talks to the API server; null without one, which `KUBE_PEERS` allows. */
async function clusterClient(): Promise<ApiClient | null> {
  try {
    const apiServer = env['KUBE_API'] || null;
    const accountFolder = env['KUBE_CREDENTIALS'] || null;
    return new ApiClient(await findApiAccess({ apiServer, kubeconfig: null, accountFolder }, env));
  } catch (error) {
    log.warn('this node does not know its cluster', { error: errorText(error) });
    return null;
  }
}

/** What one life of the router on this node needs of the cluster. */
class Session {
  readonly #settings: NodeSettings;
  readonly #router: RouterSocket;
  readonly #member: ClusterMember | null;
  #isEnded = false;

  constructor(settings: NodeSettings, client: ApiClient | null, router: RouterSocket) {
    this.#settings = settings;
    this.#router = router;
    const options = { nodeName: settings.nodeName, followTargets: settings.peers === null };
    this.#member =
      client === null
        ? null
        : new ClusterMember(options, {
            client,
            router,
            onListed: (peer) => {
              hostFiles(settings)
                .noteListed(peer)
                .catch((error: unknown) => {
                  log.warn('that this node is in its cluster was not stored', {
                    error: errorText(error),
                  });
                });
            },
            clock: systemClock,
            random: () => systemRandom.float(),
            log,
          });
  }

  /** Program and arguments of the router. */
  async command(): Promise<readonly string[]> {
    this.#member?.start();
    await this.#forgetIfRemoved();
    const peers = this.#settings.peers ?? (await this.#peers());
    return [built('router/main.js'), ...routerArguments(env, this.#settings, peers)];
  }

  /** Once the router has started. */
  async join(): Promise<void> {
    while (!this.#isEnded) {
      try {
        this.#member?.join(await this.#router.peerName());
        return;
      } catch (error) {
        log.warn('this node is not in its cluster yet', { error: errorText(error) });
        await sleep(JOIN_RETRY_MS);
      }
    }
  }

  notListed(): string | null {
    return this.#member?.notListed() ?? null;
  }

  async networkAvailable(nodeName: string): Promise<void> {
    if (this.#member === null) throw new WeaveError('not-in-cluster', 'no API server is known');
    await this.#member.api.networkAvailable(nodeName);
  }

  async end(): Promise<void> {
    this.#isEnded = true;
    await this.#member?.stop();
  }

  async #peers(): Promise<readonly string[] | null> {
    const peers = (await this.#member?.peers(PEERS_TIMEOUT_MS)) ?? null;
    if (peers === null) log.warn('the nodes are not known; calling the peers of the last run');
    return peers;
  }

  /** The others have this node's addresses: it starts like a new one. */
  async #forgetIfRemoved(): Promise<void> {
    const files = hostFiles(this.#settings);
    const peer = await files.listedPeer();
    if (peer === null || this.#member === null || (await this.#router.isThere())) return;
    try {
      const stored = await this.#member.api.readRecord();
      const { peers } = readRecord(stored?.annotations ?? {});
      if (stored === null || peers.some((entry) => entry.peer === peer)) return;
      await files.forgetAddresses();
      log.warn('this node was removed from the cluster meanwhile; its addresses are forgotten', {
        peer,
      });
    } catch (error) {
      log.warn('whether this node was removed is not known', { error: errorText(error) });
    }
  }
}

function hostFiles({ hostRoot, dbPrefix }: NodeSettings): HostFiles {
  const pluginPath = env['WEAVE_PLUGIN'] || DEFAULT_PLUGIN;
  return new HostFiles({ hostRoot, dbPrefix, pluginPath });
}

async function runNode(settings: NodeSettings): Promise<void> {
  const client = await clusterClient();
  const router = new RouterSocket(settings.socketPath);
  let session = new Session(settings, client, router);
  const supervisor = new Supervisor({
    router,
    command: () => session.command(),
    onStarted: () => void session.join(),
    onEnded: async () => {
      await session.end();
      session = new Session(settings, client, router);
    },
    log,
  });
  for (const signal of ['SIGTERM', 'SIGINT'] as const) {
    process.on(signal, () => supervisor.stop(signal));
  }
  const ended = supervisor.run();
  void setUpNode(settings, {
    router: {
      notReady: () => supervisor.notReady(),
      expose: (cidr) => router.expose(cidr),
    },
    host: hostFiles(settings),
    cluster: {
      notListed: () => session.notListed(),
      networkAvailable: (nodeName) => session.networkAvailable(nodeName),
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
