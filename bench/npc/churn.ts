/**
 * A cluster that changes without rest, on one node with real pods: policies, labels and pods come,
 * change and go, while connections are tried and others are held open.
 *
 * - A try that succeeds must have been allowed at some moment from `graceMs` before it on; one that
 *   was allowed all that time should succeed.
 * - After each stretch of changes the kernel's table is compared with a fresh compile.
 * - Connections that were made before the first policy stay open.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { Cluster } from '../../k8s/npc/cluster.js';
import { Compiler, compile } from '../../k8s/npc/compiler.js';
import { type Attempt, passes } from '../../k8s/npc/model.js';
import { parseNamespace, parsePod, parsePolicy } from '../../k8s/npc/parse.js';
import { differences } from '../../k8s/npc/read-back.js';
import type { Ruleset } from '../../k8s/npc/ruleset.js';
import { SeededNumbers } from '../../test/support/garbage.js';
import type { PolicyKind } from '../../test/support/kubernetes-api.js';
import type { Lab } from '../../test/support/lab.js';
import { POD_PORTS, PodRig } from '../../test/support/pod-rig.js';
import { RunningController } from './controller.js';
import {
  NAMESPACES,
  NODE,
  namespaceObject,
  podLabels,
  podObject,
  policyObject,
  type RawObject,
} from './world.js';

export interface ChurnOptions {
  readonly homes: number;
  readonly podsPerHome: number;
  readonly policies: number;
  readonly changesPerSecond: number;
  /** Of changes, before the kernel's state is compared. */
  readonly stretchSeconds: number;
  readonly seconds: number;
  readonly holds: number;
  /** How late the kernel may follow. */
  readonly graceMs: number;
  readonly seed: number;
}

export interface ChurnResult {
  readonly changes: number;
  readonly tries: number;
  readonly succeeded: number;
  /** Succeeded though forbidden for longer than the grace, in words. */
  readonly late: readonly string[];
  /** Allowed all the time, and those of them that failed. */
  readonly allowed: number;
  readonly refused: number;
  readonly comparisons: number;
  /** Of the kernel's table with a fresh compile, in words. */
  readonly differences: readonly string[];
  readonly holdsOpened: number;
  readonly holdsOpen: number;
  readonly residentMb: number;
  readonly failures: number;
}

const SETTLE_LIMIT_MS = 60_000;
const PROBES = 16;
/** Less than a second, so that no second SYN is sent. */
const TRY_TIMEOUT_MS = 900;
const HOLD_TIMEOUT_MS = 20_000;
/** A byte is echoed each tenth of a second. */
const ECHO_LIMIT_MS = 2_000;
const OPTIONS = { allowMulticast: true } as const;

interface Moment {
  /** Milliseconds since 1970. */
  readonly fromMs: number;
  readonly ruleset: Ruleset;
}

export class Churn {
  readonly #options: ChurnOptions;
  readonly #rig: PodRig;
  readonly #controller: RunningController;
  readonly #random: SeededNumbers;
  /** The cluster as it should be enforced, kept beside the controller's. */
  readonly #cluster = new Cluster();
  readonly #compiler = new Compiler(this.#cluster, NODE, OPTIONS);
  /** BOUNDED: those that a try in flight can still meet. */
  #history: Moment[] = [];
  #changes = 0;
  #tries = 0;
  #succeeded = 0;
  #allowed = 0;
  #refused = 0;
  readonly #late: string[] = [];
  #ended = false;

  private constructor(options: ChurnOptions, rig: PodRig) {
    this.#options = options;
    this.#rig = rig;
    this.#controller = new RunningController(rig);
    this.#random = new SeededNumbers(options.seed);
  }

  static async start(lab: Lab, options: ChurnOptions): Promise<Churn> {
    const rig = await PodRig.start(lab, options.homes, options.podsPerHome);
    const churn = new Churn(options, rig);
    for (let index = 0; index < NAMESPACES; index++) {
      churn.#put('namespaces', namespaceObject(index));
    }
    for (let index = 0; index < options.homes * options.podsPerHome; index++) churn.#putPod(index);
    await churn.#controller.start();
    return churn;
  }

  /** @param tell for people who watch. */
  async run(tell: (line: string) => void): Promise<ChurnResult> {
    const { seconds, stretchSeconds, policies } = this.#options;
    const holdsOpened = await this.#openHolds();
    for (let index = 0; index < policies; index++) this.#putPolicy(index);
    await this.#controller.settle(SETTLE_LIMIT_MS);
    const probes = Array.from({ length: PROBES }, () => this.#probe());
    const found: string[] = [];
    let comparisons = 0;
    const endMs = performance.now() + seconds * 1000;
    while (performance.now() < endMs) {
      await this.#changeFor(Math.min(stretchSeconds * 1000, endMs - performance.now()));
      found.push(...(await this.#compare()));
      comparisons += 1;
      tell(`${this.#changes} changes, ${this.#tries} tries, ${found.length} differences`);
    }
    this.#ended = true;
    await Promise.all(probes);
    const holdsOpen = await this.#livingHolds();
    const { rules } = await this.#controller.report();
    return {
      changes: this.#changes,
      tries: this.#tries,
      succeeded: this.#succeeded,
      late: this.#late,
      allowed: this.#allowed,
      refused: this.#refused,
      comparisons,
      differences: found,
      holdsOpened,
      holdsOpen,
      residentMb: this.#controller.residentMb(),
      failures: Object.values(rules.failures).reduce((sum, count) => sum + count, 0),
    };
  }

  async #openHolds(): Promise<number> {
    const made = await Promise.all(
      Array.from({ length: this.#options.holds }, () => {
        const [from, to] = this.#pair();
        return this.#rig.hold(from, to, POD_PORTS[0], HOLD_TIMEOUT_MS);
      }),
    );
    return made.filter(Boolean).length;
  }

  /** A connection whose packets are dropped is open for long; its echo tells. */
  async #livingHolds(): Promise<number> {
    const endMs = performance.now() + HOLD_TIMEOUT_MS;
    for (;;) {
      const { open, quietMs } = await this.#rig.holds();
      if (quietMs < ECHO_LIMIT_MS) return open;
      if (performance.now() > endMs) return 0;
      await delay(200);
    }
  }

  /** Changes at the wanted rate, those that a busy machine missed included. */
  async #changeFor(ms: number): Promise<void> {
    const startedMs = performance.now();
    const wanted = Math.round((ms / 1000) * this.#options.changesPerSecond);
    for (let done = 0; done < wanted; done++) {
      const dueMs = startedMs + (done * 1000) / this.#options.changesPerSecond;
      const waitMs = dueMs - performance.now();
      if (waitMs > 0) await delay(waitMs);
      // One turn of the loop for what arrived meanwhile, also when changes are late.
      else await new Promise((resolve) => setImmediate(resolve));
      this.#change();
      this.#changes += 1;
    }
  }

  #change(): void {
    const { homes, podsPerHome, policies } = this.#options;
    const kind = this.#random.below(100);
    const pod = this.#random.below(homes * podsPerHome);
    const policy = this.#random.below(policies);
    if (kind < 45) this.#putPolicy(policy);
    else if (kind < 60) this.#remove('networkpolicies', policyObject(policy, this.#random));
    else if (kind < 90) this.#putPod(pod);
    else if (kind < 95) this.#remove('pods', this.#pod(pod));
    else {
      const labels = { team: `team-${this.#random.below(3)}` };
      this.#put('namespaces', namespaceObject(this.#random.below(NAMESPACES), labels));
    }
  }

  #putPolicy(index: number): void {
    this.#put('networkpolicies', policyObject(index, this.#random));
  }

  #putPod(index: number): void {
    this.#put('pods', this.#pod(index));
  }

  #pod(index: number): RawObject {
    return podObject({ index, address: this.#address(index), labels: podLabels(this.#random) });
  }

  #address(index: number): string {
    const { podsPerHome } = this.#options;
    return PodRig.address(Math.floor(index / podsPerHome), index % podsPerHome);
  }

  #put(kind: PolicyKind, object: RawObject): void {
    this.#controller.api.put(kind, object);
    putInto(this.#cluster, kind, object);
    this.#remember();
  }

  #remove(kind: PolicyKind, object: RawObject): void {
    this.#controller.api.remove(kind, object);
    this.#cluster.delete(kind === 'networkpolicies' ? 'policies' : kind, object.metadata);
    this.#remember();
  }

  #remember(): void {
    const fromMs = Date.now();
    const ruleset = this.#compiler.compile();
    const oldestMs = fromMs - 2 * (this.#options.graceMs + TRY_TIMEOUT_MS) - 5000;
    // The last one before that time was still in force at it.
    const first = this.#history.findLastIndex((moment) => moment.fromMs < oldestMs);
    if (first > 0) this.#history = this.#history.slice(first);
    this.#history.push({ fromMs, ruleset });
  }

  /** Two pods that reach each other over the bridge. */
  #pair(): [string, string] {
    const { homes, podsPerHome } = this.#options;
    const from = this.#random.below(homes);
    const to = (from + 1 + this.#random.below(homes - 1)) % homes;
    const pod = (home: number): string => PodRig.address(home, this.#random.below(podsPerHome));
    return [pod(from), pod(to)];
  }

  async #probe(): Promise<void> {
    while (!this.#ended) {
      const [from, to] = this.#pair();
      const port = POD_PORTS[this.#random.below(POD_PORTS.length)] ?? POD_PORTS[0];
      const { ok, startedMs, endedMs } = await this.#rig.tryConnect(
        ...([from, to, port, TRY_TIMEOUT_MS] as const),
      );
      this.#judge({ from, to, protocol: 'TCP', port }, ok, startedMs, endedMs);
    }
  }

  #judge(attempt: Attempt, ok: boolean, startedMs: number, endedMs: number): void {
    this.#tries += 1;
    const sinceMs = startedMs - this.#options.graceMs;
    const first = Math.max(
      0,
      this.#history.findLastIndex(({ fromMs }) => fromMs <= sinceMs),
    );
    const moments = this.#history.slice(first).filter(({ fromMs }) => fromMs <= endedMs);
    const allows = ({ ruleset }: Moment): boolean =>
      passes(ruleset, 'egress', attempt) && passes(ruleset, 'ingress', attempt);
    if (ok) this.#succeeded += 1;
    if (ok && !moments.some(allows)) {
      const { from, to, port } = attempt;
      this.#late.push(`${from} > ${to}:${port} at ${new Date(startedMs).toISOString()}`);
    }
    if (!moments.every(allows)) return;
    this.#allowed += 1;
    if (!ok) this.#refused += 1;
  }

  async #compare(): Promise<string[]> {
    await this.#controller.settle(SETTLE_LIMIT_MS);
    // Settled may still mean that the last event is on its way.
    const known = async (): Promise<boolean> => {
      const { objects } = await this.#controller.report();
      return objects.policies === this.#cluster.policies.size;
    };
    for (let waited = 0; waited < SETTLE_LIMIT_MS && !(await known()); waited += 100) {
      await delay(100);
    }
    const fresh = new Cluster();
    for (const kind of ['namespaces', 'pods', 'networkpolicies'] as const) {
      for (const object of this.#controller.api.list(kind)) putInto(fresh, kind, object);
    }
    const wanted = compile(fresh, NODE, OPTIONS);
    let found: string[] = [];
    for (let round = 0; round < 20; round++) {
      const argv = ['nft', '-j', 'list', 'table', 'inet', 'weave-npc'];
      const { stdout } = await this.#rig.lab.exec(this.#rig.host, argv);
      found = differences(wanted, JSON.parse(stdout));
      if (found.length === 0) break;
      await delay(100);
    }
    return found;
  }
}

function putInto(cluster: Cluster, kind: PolicyKind, object: unknown): void {
  if (kind === 'pods') setParsed(parsePod(object), (pod) => cluster.set('pods', pod));
  else if (kind === 'namespaces') {
    setParsed(parseNamespace(object), (namespace) => cluster.set('namespaces', namespace));
  } else setParsed(parsePolicy(object), (policy) => cluster.set('policies', policy));
}

function setParsed<T>(
  parsed:
    | { readonly ok: true; readonly value: T }
    | { readonly ok: false; readonly reason: string },
  set: (value: T) => void,
): void {
  if (!parsed.ok) throw new Error(parsed.reason);
  set(parsed.value);
}
