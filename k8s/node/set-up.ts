/**
 * What makes a node of a cluster usable, in this order, each step only after the one before:
 * the router is ready, the cluster has it in its record, the bridge has an address, policies are in
 * force, the plugin is there, its configuration is there, and the node says that it has a network.
 *
 * A step that fails is tried again until it works: pods that run already keep their network, and
 * new ones wait for the node.
 */
import { errorCode, errorText } from '../../core/errors.js';
import type { Logger } from '../../core/log.js';

export interface SetUpOptions {
  readonly nodeName: string;
  readonly exposeCidr: string | null;
  readonly expectNpc: boolean;
  readonly hairpin: boolean;
}

export interface SetUpModules {
  readonly router: {
    /** @returns null if ready, else why not. */
    notReady(): Promise<string | null>;
    /** Idempotent. @param cidr null: the allocator chooses. @returns the addresses. */
    expose(cidr: string | null): Promise<readonly string[]>;
  };
  readonly host: {
    /** Frames between pods of this node pass the packet filter. Idempotent. */
    filterBridge(): Promise<void>;
    /** Whether the policy controller's rules are in the kernel. */
    hasPolicies(): Promise<boolean>;
    /** Idempotent. */
    installPlugin(): Promise<void>;
    /** An existing file stays as it is. @returns whether it was written. */
    writeConflist(options: { readonly hairpin: boolean }): Promise<boolean>;
  };
  readonly cluster: {
    /** @returns null if the node is in the record of peers, or needs not be; else why not. */
    notListed(): string | null;
    /** Clears the condition NetworkUnavailable. */
    networkAvailable(nodeName: string): Promise<void>;
  };
  readonly log: Logger;
  readonly sleep: (ms: number) => Promise<void>;
}

const FIRST_WAIT_MS = 250;
/** The API server of a cluster hears at most two calls a minute from each node. */
const MAX_WAIT_MS = 30_000;
const CONDITION_WAIT_MS = 500;
/** Without it the node works as well, so an API server that refuses is not waited for longer. */
const LISTED_ATTEMPTS = 60;

export async function setUpNode(options: SetUpOptions, modules: SetUpModules): Promise<void> {
  const { router, host, cluster, log } = modules;
  await until('the router is ready', modules, () => router.notReady());
  // Addresses of a node that is in no record would not come back when it leaves.
  await until('the cluster has this node in its record', modules, async () => cluster.notListed(), {
    attempts: LISTED_ATTEMPTS,
  });
  const exposed = await retried('give the bridge an address', modules, () =>
    router.expose(options.exposeCidr),
  );
  log.info('the bridge has an address', { addresses: exposed.join(' ') });
  if (options.expectNpc) {
    await retried('pass bridged frames to the packet filter', modules, () => host.filterBridge());
    await until('policies are in force', modules, async () =>
      (await host.hasPolicies()) ? null : 'the policy controller has laid no rules yet',
    );
  }
  await retried('install the plugin', modules, () => host.installPlugin());
  const isNew = await retried('write the network configuration', modules, () =>
    host.writeConflist({ hairpin: options.hairpin }),
  );
  log.info('the plugin is installed', { configuration: isNew ? 'written' : 'was there' });
  await retried('clear the condition NetworkUnavailable', modules, () =>
    cluster.networkAvailable(options.nodeName),
  );
  log.info('the node has a network', { node: options.nodeName });
}

/** Logs each new reason once. @param probe null when the condition holds; tried so many times. */
async function until(
  what: string,
  { log, sleep }: SetUpModules,
  probe: () => Promise<string | null>,
  { attempts }: { readonly attempts: number } = { attempts: Number.POSITIVE_INFINITY },
): Promise<void> {
  let last: string | null = '';
  for (let attempt = 0; attempt < attempts; attempt++) {
    const why = await probe().catch(errorText);
    if (why === null) return;
    if (why !== last) log.info('waiting', { until: what, why });
    last = why;
    await sleep(CONDITION_WAIT_MS);
  }
}

async function retried<T>(
  what: string,
  { log, sleep }: SetUpModules,
  step: () => Promise<T>,
): Promise<T> {
  let last = '';
  for (let waitMs = FIRST_WAIT_MS; ; waitMs = Math.min(waitMs * 2, MAX_WAIT_MS)) {
    try {
      return await step();
    } catch (error) {
      const text = errorText(error);
      const fields = { step: what, code: errorCode(error), error: text };
      if (text !== last) log.warn('a step failed and is tried again', fields);
      last = text;
      await sleep(waitMs);
    }
  }
}
