/**
 * Keeps the kernel's tables equal to what the cluster wants: a machine that says when to apply
 * which transaction and when to read the tables back. Level-triggered: events only mark that
 * something changed, and every transaction is made from the full state at that moment.
 *
 *   starting ──handleFound──▶ waiting ──handleSynced──▶ enforcing
 *
 * - waiting: the full state is not known yet. Tables of an earlier run stay as they are; without
 *   any, the start rules are applied.
 * - enforcing: at most one run of `nft` is in flight. A change waits a few milliseconds for others
 *   but never longer, so that a stream of changes delays none of them.
 *
 * A transaction is all or nothing in the kernel. After one that failed, or a difference that was
 * read back, the next one replaces the tables in full.
 */
import { earliest, type Timeout } from '../../../core/clock.js';
import { errorCode, errorText } from '../../../core/errors.js';

/** How changes become rules. `State` is compared by nobody here. */
export interface Rules<State> {
  /** What new pods follow until the full state is known. */
  start(): State;
  /** From the cluster as it is now. */
  compile(): State;
  /** A transaction that makes the tables anew, whatever was there. */
  renderAll(state: State): string;
  /** A transaction from one state to the other; empty if they are alike. */
  renderChange(before: State, after: State): string;
}

export interface EnforcerObserver {
  /** @param waitedMs from the first change it contains to the kernel's answer. */
  applied(run: { readonly full: boolean; readonly waitedMs: number }, nowMs: number): void;
  failed(fault: { readonly code: string; readonly error: string }, nowMs: number): void;
  /** @param sinceMs from the notice of foreign work to the kernel's answer. */
  repaired(repair: { readonly missing: boolean; readonly sinceMs: number }, nowMs: number): void;
}

export type EnforcerAction =
  | { readonly kind: 'apply'; readonly script: string }
  /** Read the tables back and answer with `handleRead`. */
  | { readonly kind: 'read' };

/** What a reading found, compared with `expected`. */
export type Reading = 'equal' | 'different' | 'missing';

/** A change waits this long for others that come with it. */
const COALESCE_MS = 3;
/** Without any notice the tables are read back this often. */
const CHECK_INTERVAL_MS = 30_000;
const FIRST_RETRY_MS = 50;
const LAST_RETRY_MS = 10_000;
/** Two repairs are at least this far apart, so that a fight with another program costs little. */
const REPAIR_INTERVAL_MS = 200;

interface Damage {
  readonly noticedMs: number;
  readonly missing: boolean;
}

type InFlight<State> =
  | {
      readonly kind: 'apply';
      readonly state: State;
      readonly full: boolean;
      readonly sinceMs: number;
      readonly repairs: Damage | null;
    }
  | { readonly kind: 'read'; readonly noticedMs: number };

export class Enforcer<State> {
  readonly #rules: Rules<State>;
  readonly #observer: EnforcerObserver;
  #phase: 'starting' | 'waiting' | 'enforcing' = 'starting';
  /** What the kernel has; null: unknown, or not made by this process. */
  #kernel: State | null = null;
  /** The first change that is in no transaction yet. */
  #changedMs: number | null = null;
  /** The first notice of foreign work that no reading has covered yet. */
  #touchedMs: number | null = null;
  #damage: Damage | null = null;
  #inFlight: InFlight<State> | null = null;
  #failures = 0;
  #notBeforeMs = 0;
  #checkMs = 0;
  #lastRepairMs = Number.NEGATIVE_INFINITY;

  constructor(modules: { readonly rules: Rules<State>; readonly observer: EnforcerObserver }) {
    this.#rules = modules.rules;
    this.#observer = modules.observer;
  }

  get phase(): 'starting' | 'waiting' | 'enforcing' {
    return this.#phase;
  }

  /** Nothing is in flight, waits or failed: the kernel has what the cluster wants. */
  get isSettled(): boolean {
    return (
      this.#phase === 'enforcing' &&
      this.#inFlight === null &&
      this.#changedMs === null &&
      this.#touchedMs === null
    );
  }

  /** What a reading must be compared with; null: only whether the tables are there counts. */
  get expected(): State | null {
    return this.#kernel;
  }

  /** The answer to whether tables of ours exist when the process starts. */
  handleFound(present: boolean, nowMs: number): void {
    if (this.#phase !== 'starting') return;
    this.#phase = 'waiting';
    this.#checkMs = nowMs + CHECK_INTERVAL_MS;
    if (!present) this.#changedMs = nowMs;
  }

  /** All kinds of objects have been listed once. */
  handleSynced(nowMs: number): void {
    if (this.#phase === 'enforcing') return;
    this.#phase = 'enforcing';
    this.#changedMs ??= nowMs;
  }

  /** Some object changed. Before the full state is known this has no effect. */
  handleChange(nowMs: number): void {
    if (this.#phase === 'enforcing') this.#changedMs ??= nowMs;
  }

  /** Somebody else changed our tables, or notices were lost. */
  handleTouched(nowMs: number): void {
    this.#touchedMs ??= nowMs;
  }

  handleApplied(nowMs: number): void {
    const run = this.#takeFlight('apply');
    this.#kernel = run.state;
    this.#failures = 0;
    if (run.full) this.#checkMs = nowMs + CHECK_INTERVAL_MS;
    this.#observer.applied({ full: run.full, waitedMs: nowMs - run.sinceMs }, nowMs);
    if (run.repairs === null) return;
    const { missing, noticedMs } = run.repairs;
    this.#observer.repaired({ missing, sinceMs: nowMs - noticedMs }, nowMs);
  }

  /** The kernel refused, or the tool failed: what stands in the kernel is not known any more. */
  handleApplyFailed(error: unknown, nowMs: number): void {
    const run = this.#takeFlight('apply');
    this.#damage ??= run.repairs;
    this.#changedMs = Math.min(this.#changedMs ?? run.sinceMs, run.sinceMs);
    this.#fail(error, nowMs);
  }

  handleRead(reading: Reading, nowMs: number): void {
    const { noticedMs } = this.#takeFlight('read');
    this.#checkMs = nowMs + CHECK_INTERVAL_MS;
    // Without a state of ours, any tables are those that shall stay for now.
    const isDamaged = reading === 'missing' || (reading === 'different' && this.#kernel !== null);
    if (!isDamaged) return;
    this.#kernel = null;
    this.#damage ??= { noticedMs, missing: reading === 'missing' };
    this.#changedMs ??= nowMs;
    this.#notBeforeMs = Math.max(this.#notBeforeMs, this.#lastRepairMs + REPAIR_INTERVAL_MS);
  }

  handleReadFailed(error: unknown, nowMs: number): void {
    const { noticedMs } = this.#takeFlight('read');
    this.#touchedMs = noticedMs;
    this.#fail(error, nowMs);
  }

  /** The next wake-up; null while a run is in flight. */
  nextTimeout(): Timeout | null {
    if (this.#inFlight !== null || this.#phase === 'starting') return null;
    const wait = (atMs: number | null, reason: string): Timeout | null =>
      atMs === null ? null : { atMs: Math.max(atMs, this.#notBeforeMs), reason };
    const changeMs = this.#changedMs === null ? null : this.#changedMs + COALESCE_MS;
    // Tables that are about to be made anew need no check.
    const isUnknown = this.#kernel === null && changeMs !== null;
    return earliest(
      earliest(wait(this.#touchedMs, 'touched'), wait(changeMs, 'change')),
      isUnknown ? null : wait(this.#checkMs, 'check'),
    );
  }

  /** What is to be done now; the caller answers with the `handle…` of that kind. */
  pollAction(nowMs: number): EnforcerAction | null {
    const due = this.nextTimeout();
    if (due === null || due.atMs > nowMs) return null;
    if (this.#touchedMs !== null || due.reason === 'check') {
      this.#inFlight = { kind: 'read', noticedMs: this.#touchedMs ?? nowMs };
      this.#touchedMs = null;
      return { kind: 'read' };
    }
    return this.#apply(nowMs);
  }

  #apply(nowMs: number): EnforcerAction | null {
    const sinceMs = this.#changedMs ?? nowMs;
    try {
      const state = this.#phase === 'waiting' ? this.#rules.start() : this.#rules.compile();
      const before = this.#kernel;
      const full = before === null;
      const script = full ? this.#rules.renderAll(state) : this.#rules.renderChange(before, state);
      this.#changedMs = null;
      if (script === '') {
        this.#kernel = state;
        return null;
      }
      this.#inFlight = { kind: 'apply', state, full, sinceMs, repairs: this.#damage };
      if (this.#damage !== null) this.#lastRepairMs = nowMs;
      this.#damage = null;
      return { kind: 'apply', script };
    } catch (error) {
      this.#fail(error, nowMs);
      return null;
    }
  }

  #fail(error: unknown, nowMs: number): void {
    this.#kernel = null;
    this.#changedMs ??= nowMs;
    const waitMs = Math.min(LAST_RETRY_MS, FIRST_RETRY_MS * 2 ** Math.min(this.#failures, 20));
    this.#failures += 1;
    this.#notBeforeMs = nowMs + waitMs;
    this.#observer.failed({ code: errorCode(error), error: errorText(error) }, nowMs);
  }

  #takeFlight<Kind extends 'apply' | 'read'>(kind: Kind): InFlight<State> & { kind: Kind } {
    const flight = this.#inFlight;
    if (flight === null || flight.kind !== kind) throw new Error(`no ${kind} is in flight`);
    this.#inFlight = null;
    return flight as InFlight<State> & { kind: Kind };
  }
}
