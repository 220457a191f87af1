/**
 * Objects of the API on their way into the cluster: each is checked, one that can't be used is left
 * out (and its earlier form with it) and named once in the log, and the rest is enforced.
 */
import type { Logger } from '../../../core/log.js';
import { clip } from '../../../core/text.js';
import type { ReflectorSink } from '../../api/reflector.js';
import type { Cluster, Kind, Objects } from '../cluster.js';
import { parseNamespace, parsePod, parsePolicy } from '../parse.js';
import { parseClusterPolicy } from '../parse-cluster.js';
import type { Parsed } from '../parse-parts.js';
import type { NpcCounters } from './counters.js';
import type { ObjectProblem } from './report.js';

export interface IntakeModules {
  readonly cluster: Cluster;
  readonly counters: NpcCounters;
  readonly log: Logger;
  /** Something changed, or may have. */
  readonly onChange: () => void;
}

/** Where each kind is listed and watched. */
export const API_PATHS: Readonly<Record<Kind, string>> = {
  namespaces: '/api/v1/namespaces',
  pods: '/api/v1/pods',
  policies: '/apis/networking.k8s.io/v1/networkpolicies',
  clusterPolicies: '/apis/policy.networking.k8s.io/v1alpha2/clusternetworkpolicies',
};
/** Every API server has these. */
export const KINDS: readonly Kind[] = ['namespaces', 'pods', 'policies'];
const NAMESPACED: ReadonlySet<Kind> = new Set(['pods', 'policies']);

const PARSERS: { readonly [K in Kind]: (raw: unknown) => Parsed<Objects[K]> } = {
  namespaces: parseNamespace,
  pods: parsePod,
  policies: parsePolicy,
  clusterPolicies: parseClusterPolicy,
};

/** Problems beyond it are counted and logged, but not listed. */
const MAX_PROBLEMS = 1000;
/** Log lines about problems after a list; the rest is only counted and shown by the status. */
const MAX_LINES = 50;

export class Intake {
  readonly #modules: IntakeModules;
  /** By kind and name. BOUNDED by MAX_PROBLEMS. */
  readonly #problems = new Map<string, ObjectProblem>();
  readonly #failing = new Map<Kind, string>();
  readonly #absent = new Set<Kind>();

  constructor(modules: IntakeModules) {
    this.#modules = modules;
  }

  problems(): readonly ObjectProblem[] {
    return [...this.#problems.values()];
  }

  failing(): readonly { readonly kind: string; readonly reason: string }[] {
    return [...this.#failing].map(([kind, reason]) => ({ kind, reason }));
  }

  sink<K extends Kind>(kind: K): ReflectorSink {
    return {
      replaceAll: (objects) => this.#replaceAll(kind, objects),
      set: (object) => this.#set(kind, object),
      remove: (object) => this.#remove(kind, object),
      failing: (reason) => this.#tellFailing(kind, reason),
      absent: (reason) => this.#tellAbsent(kind, reason),
    };
  }

  #replaceAll<K extends Kind>(kind: K, raws: readonly unknown[]): void {
    const { cluster, onChange } = this.#modules;
    for (const [key, problem] of this.#problems) {
      if (problem.kind === kind) this.#problems.delete(key);
    }
    const objects: Objects[K][] = [];
    let lines = 0;
    for (const raw of raws) {
      const parsed = PARSERS[kind](raw);
      if (parsed.ok) objects.push(parsed.value);
      if (this.#note(kind, raw, parsed, lines < MAX_LINES)) lines += 1;
    }
    cluster.replaceAll(kind, objects);
    onChange();
  }

  #set<K extends Kind>(kind: K, raw: unknown): void {
    const { cluster, onChange } = this.#modules;
    const parsed = PARSERS[kind](raw);
    this.#note(kind, raw, parsed, true);
    if (parsed.ok) cluster.set(kind, parsed.value);
    else if (!this.#removeFrom(kind, raw)) return;
    onChange();
  }

  #remove(kind: Kind, raw: unknown): void {
    this.#problems.delete(problemKey(kind, nameOf(raw)));
    if (this.#removeFrom(kind, raw)) this.#modules.onChange();
  }

  /** By name and uid alone, so that an object which can't be read otherwise goes, too. */
  #removeFrom(kind: Kind, raw: unknown): boolean {
    const { name, namespace, uid } = metadataOf(raw);
    const isNamespaced = NAMESPACED.has(kind);
    return this.#modules.cluster.delete(kind, {
      name,
      uid,
      ...(isNamespaced ? { namespace: namespace === '' ? 'default' : namespace } : {}),
    });
  }

  /** @returns whether there is a problem. */
  #note(kind: Kind, raw: unknown, parsed: Parsed<unknown>, told: boolean): boolean {
    const name = nameOf(raw);
    const key = problemKey(kind, name);
    if (parsed.ok && parsed.warnings.length === 0) {
      this.#problems.delete(key);
      return false;
    }
    const problem: ObjectProblem = {
      kind,
      name,
      skipped: !parsed.ok,
      code: parsed.ok ? 'corrected' : parsed.code,
      reason: clip(parsed.ok ? parsed.warnings.join('; ') : parsed.reason, 300),
    };
    const before = this.#problems.get(key);
    // Every change of a pod's status repeats it.
    const isKnown = before !== undefined && before.reason === problem.reason;
    if (isKnown) return true;
    this.#modules.counters.objectProblems += 1;
    if (before !== undefined || this.#problems.size < MAX_PROBLEMS)
      this.#problems.set(key, problem);
    if (!told) return true;
    const { code, reason } = problem;
    const text = parsed.ok
      ? 'An object is used with a correction'
      : 'An object is not used, the rest is enforced';
    this.#modules.log.warn(text, { kind, name, code, reason });
    return true;
  }

  #tellFailing(kind: Kind, reason: string | null): void {
    const { log, counters } = this.#modules;
    const before = this.#failing.get(kind);
    const wasAbsent = reason === null && this.#absent.delete(kind);
    if (reason === null) {
      this.#failing.delete(kind);
      if (wasAbsent) log.info('The API has the kind now', { kind });
      if (before !== undefined) log.info('The API answers again', { kind });
      return;
    }
    counters.apiFailures += 1;
    this.#failing.set(kind, reason);
    // An absence of hours is told when it begins and when it changes its face.
    if (before !== reason) log.warn('The API fails; the rules stay as they are', { kind, reason });
  }

  /** Objects that are known outlive their kind: a server that starts may lack it for a moment. */
  #tellAbsent(kind: Kind, reason: string): void {
    const { log, cluster, onChange } = this.#modules;
    if (cluster[kind].size > 0) {
      this.#tellFailing(kind, reason);
      return;
    }
    this.#failing.delete(kind);
    if (!this.#absent.has(kind)) {
      log.warn('The API does not have the kind; the rest is enforced', { kind, reason });
    }
    this.#absent.add(kind);
    onChange();
  }
}

const problemKey = (kind: Kind, name: string): string => `${kind} ${name}`;

function nameOf(raw: unknown): string {
  const { namespace, name } = metadataOf(raw);
  return clip(namespace === '' ? name : `${namespace}/${name}`, 300);
}

function metadataOf(raw: unknown): { name: string; namespace: string; uid: string } {
  const metadata = (raw as { metadata?: Readonly<Record<string, unknown>> } | null)?.metadata;
  const field = (key: string): string => {
    const value = metadata?.[key];
    return typeof value === 'string' ? value : '';
  };
  return { name: field('name'), namespace: field('namespace'), uid: field('uid') };
}
