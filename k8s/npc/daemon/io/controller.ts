/**
 * Wires the parts of the controller, starts them in order and stops them in reverse. The only file
 * that knows every part; what flows between them is drawn in ../README.md.
 */
import { type Clock, systemClock } from '../../../../core/clock.js';
import { errorCode, errorText } from '../../../../core/errors.js';
import type { Logger } from '../../../../core/log.js';
import { systemRandom } from '../../../../sys/random.js';
import { findApiAccess } from '../../../api/io/access.js';
import { ApiClient } from '../../../api/io/client.js';
import { ApiFollower, type FollowedKind } from '../../../api/io/follower.js';
import { Cluster, type Kind } from '../../cluster.js';
import { Compiler } from '../../compiler.js';
import { differences } from '../../read-back.js';
import { LOG_GROUP, renderAll, renderChange } from '../../render.js';
import { type Ruleset, startRuleset } from '../../ruleset.js';
import { NpcCounters } from '../counters.js';
import { DropLog } from '../drop-log.js';
import { Enforcer, type EnforcerAction } from '../enforcer.js';
import { API_PATHS, Intake, KINDS } from '../intake.js';
import type { NpcMetrics } from '../metrics.js';
import type { NpcConfig } from '../options.js';
import type { NpcReport } from '../report.js';
import { dropReasons, explainByNames } from '../verdicts.js';
import { requireFilteredBridge } from './bridge-filter.js';
import { KernelWatch } from './kernel-watch.js';
import { NpcListeners } from './listeners.js';
import { Nft } from './nft.js';

const FAMILY = 'inet';
const TABLE = 'weave-npc';

export interface ControllerModules {
  readonly log: Logger;
  readonly version: string;
}

export class Controller {
  readonly #config: NpcConfig;
  readonly #log: Logger;
  readonly #version: string;
  readonly #clock: Clock = systemClock;
  readonly #cluster = new Cluster();
  readonly #counters = new NpcCounters();
  readonly #nft = new Nft();
  readonly #intake: Intake;
  readonly #drops: DropLog;
  readonly #enforcer: Enforcer<Ruleset>;
  readonly #undo: (() => void | Promise<void>)[] = [];
  #follower: ApiFollower | null = null;
  #server = '';
  #metrics: Promise<NpcMetrics> | null = null;
  #lastError: string | null = null;
  #timer: NodeJS.Timeout | undefined;
  #isChangeNoted = false;
  #stopping = false;

  constructor(config: NpcConfig, modules: ControllerModules) {
    this.#config = config;
    this.#log = modules.log;
    this.#version = modules.version;
    const { nodeName, bridge, allowMulticast, clusterPolicies } = config;
    const compiler = new Compiler(this.#cluster, nodeName, { allowMulticast, clusterPolicies });
    this.#intake = new Intake({
      cluster: this.#cluster,
      counters: this.#counters,
      log: this.#log,
      onChange: () => this.#noteChange(),
    });
    this.#drops = new DropLog(
      { log: this.#log, explain: (flow, prefix) => dropReasons(this.#cluster, flow, prefix) },
      this.#clock.nowMs(),
    );
    this.#enforcer = new Enforcer<Ruleset>({
      rules: {
        start: () => startRuleset({ bridge, allowMulticast }),
        compile: () => compiler.compile(),
        renderAll,
        renderChange,
      },
      observer: {
        applied: ({ full, waitedMs }) => {
          this.#counters.addApply(full, waitedMs);
          this.#lastError = null;
        },
        failed: ({ code, error }) => this.#noteFailure(code, error),
        repaired: ({ missing, sinceMs }) => {
          this.#counters.repairs += 1;
          const what = missing ? 'were removed' : 'were changed';
          this.#log.warn(`The rules ${what} by another program and are repaired`, { sinceMs });
        },
      },
    });
  }

  /** @throws {WeaveError} with a sentence on what is missing. */
  async start(): Promise<void> {
    requireFilteredBridge();
    const access = await findApiAccess(this.#config, process.env);
    this.#server = access.server.origin;
    this.#watchKernel();
    const present = (await this.#nft.list(FAMILY, TABLE)) !== null;
    this.#enforcer.handleFound(present, this.#clock.nowMs());
    this.#drive();
    const kinds = this.#kinds();
    const random = (): number => systemRandom.float();
    const client = new ApiClient(access);
    const follower = new ApiFollower(client, kinds, { clock: this.#clock, random });
    this.#follower = follower;
    follower.start();
    this.#undo.push(async () => {
      await follower.stop();
      client.close();
    });
    await this.#listen();
  }

  /** The rules stay. */
  async stop(): Promise<void> {
    this.#stopping = true;
    clearTimeout(this.#timer);
    for (let undo = this.#undo.pop(); undo !== undefined; undo = this.#undo.pop()) await undo();
  }

  #kinds(): FollowedKind[] {
    const followed = (kind: Kind) => ({ path: API_PATHS[kind], sink: this.#intake.sink(kind) });
    const kinds: FollowedKind[] = KINDS.map(followed);
    // Until its first list answers, nothing is enforced: an Accept of a network policy must not
    // hold before the Deny of an administrator. Where it is not installed it holds up nothing.
    if (this.#config.clusterPolicies) {
      kinds.push({ ...followed('clusterPolicies'), isOptional: true });
    }
    return kinds;
  }

  #watchKernel(): void {
    const watch = KernelWatch.start(
      LOG_GROUP,
      {
        isOurs: (port) => this.#nft.isOurs(port),
        tables: [TABLE],
        onTouched: () => {
          this.#enforcer.handleTouched(this.#clock.nowMs());
          this.#drive();
        },
        onPacket: ({ payload, prefix }) =>
          this.#drops.handlePacket(payload, prefix, this.#clock.nowMs()),
        onLost: (what) => this.#noteLost(what),
      },
      (error) => {
        const fields = { code: errorCode(error), error: errorText(error) };
        this.#log.warn('dropped connections are not logged', fields);
      },
    );
    this.#undo.push(() => watch.stop());
  }

  async #listen(): Promise<void> {
    const listeners = new NpcListeners(
      {
        report: () => this.#report(),
        metrics: async (report) => (await this.#loadMetrics()).text(report),
        explain: (from, to, port) => explainByNames(this.#cluster, from, to, port),
      },
      this.#log,
    );
    this.#undo.push(() => listeners.close());
    const { socketPath, metrics } = this.#config;
    if (socketPath !== null) await listeners.open('socket', { kind: 'unix', path: socketPath });
    if (metrics !== null) await listeners.open('metrics', metrics);
  }

  /** At the first scrape: the library weighs some megabytes. */
  #loadMetrics(): Promise<NpcMetrics> {
    const usedBefore = process.cpuUsage();
    this.#metrics ??= import('../metrics.js').then(({ NpcMetrics }) => new NpcMetrics(usedBefore));
    return this.#metrics;
  }

  /** All objects of one answer come in one turn; a kind counts as listed at its end. */
  #noteChange(): void {
    if (this.#isChangeNoted) return;
    this.#isChangeNoted = true;
    setImmediate(() => {
      this.#isChangeNoted = false;
      const nowMs = this.#clock.nowMs();
      if (this.#follower?.synced === true && this.#enforcer.phase !== 'enforcing') {
        this.#enforcer.handleSynced(nowMs);
        this.#log.info('The full state of the cluster is known; policies are enforced');
      }
      this.#enforcer.handleChange(nowMs);
      this.#drive();
    });
  }

  /** Does what is due, and comes back when the next thing is. */
  #drive(): void {
    clearTimeout(this.#timer);
    if (this.#stopping) return;
    const nowMs = this.#clock.nowMs();
    const action = this.#enforcer.pollAction(nowMs);
    if (action !== null) {
      void this.#perform(action).then(() => this.#drive());
      return;
    }
    const next = this.#enforcer.nextTimeout();
    if (next === null) return;
    this.#timer = setTimeout(() => this.#drive(), Math.max(0, next.atMs - nowMs));
  }

  async #perform(action: EnforcerAction): Promise<void> {
    if (action.kind === 'apply') {
      try {
        await this.#nft.apply(action.script);
      } catch (error) {
        this.#enforcer.handleApplyFailed(error, this.#clock.nowMs());
        return;
      }
      this.#enforcer.handleApplied(this.#clock.nowMs());
      return;
    }
    let listing: unknown;
    try {
      listing = await this.#nft.list(FAMILY, TABLE);
    } catch (error) {
      this.#enforcer.handleReadFailed(error, this.#clock.nowMs());
      return;
    }
    const { expected } = this.#enforcer;
    const isEqual = expected === null || differences(expected, listing).length === 0;
    const reading = listing === null ? 'missing' : isEqual ? 'equal' : 'different';
    this.#enforcer.handleRead(reading, this.#clock.nowMs());
  }

  #noteFailure(code: string, error: string): void {
    this.#counters.addFailure(code);
    // Tries follow each other quickly at first; a reason is told once until it changes.
    if (this.#lastError !== error) {
      this.#log.error('The rules could not be applied; trying again', { code, error });
    }
    this.#lastError = error;
  }

  #noteLost(what: 'events' | 'packets' | 'malformed'): void {
    if (what === 'events') this.#counters.lostEvents += 1;
    else if (what === 'packets') this.#counters.lostPackets += 1;
    else this.#counters.malformedMessages += 1;
  }

  #report(): NpcReport {
    const { pods, namespaces, policies, clusterPolicies } = this.#cluster;
    const counters = this.#counters;
    const { nodeName, clusterPolicies: followsAll } = this.#config;
    return {
      version: this.#version,
      node: nodeName,
      phase: this.#enforcer.phase,
      settled: this.#enforcer.isSettled,
      objects: {
        pods: pods.size,
        localPods: [...pods.values()].filter(({ node }) => node === nodeName).length,
        namespaces: namespaces.size,
        policies: policies.size,
        ...(followsAll ? { clusterPolicies: clusterPolicies.size } : {}),
      },
      api: {
        server: this.#server,
        failing: this.#intake.failing(),
        failures: counters.apiFailures,
      },
      rules: {
        fullApplies: counters.fullApplies,
        changeApplies: counters.changeApplies,
        repairs: counters.repairs,
        failures: Object.fromEntries(counters.failures()),
        lastError: this.#lastError,
        delays: counters.delays(),
      },
      problems: this.#intake.problems(),
      problemsSinceStart: counters.objectProblems,
      blocked: this.#drops.blocked(),
      linesSuppressed: this.#drops.suppressed,
      lost: {
        events: counters.lostEvents,
        packets: counters.lostPackets,
        malformed: counters.malformedMessages + this.#drops.malformed,
      },
    };
  }
}
