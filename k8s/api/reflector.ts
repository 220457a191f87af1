/**
 * Follows one kind of objects of the Kubernetes API: list all pages, then watch from there; a
 * machine without sockets.
 *
 *   waiting ──▶ listing ──▶ watching ──ended──▶ watching again, from the last version seen
 *      ▲           │            │
 *      └──failure, with back-off┘ 410 Gone ──▶ listing
 *
 * A failure never empties what is known: the last full state stays until a list succeeds.
 * Source: Kubernetes API concepts, "Efficient detection of changes".
 */
import type { Timeout } from '../../core/clock.js';

/** The outer shape of what the API sends. */
export interface ApiObject {
  readonly metadata?: { readonly resourceVersion?: unknown };
}

export interface ListPage {
  readonly items: readonly unknown[];
  readonly resourceVersion: string;
  /** Empty: this was the last page. */
  readonly continueToken: string;
}

export interface ReflectorSink {
  /** All objects of the kind at one moment. */
  replaceAll(objects: readonly unknown[]): void;
  set(object: unknown): void;
  remove(object: unknown): void;
  /** @param reason null: the kind is followed again. */
  failing(reason: string | null): void;
  /** The API has no such kind, which is no failure where the kind is optional. */
  absent?(reason: string): void;
}

export type ReflectorAction =
  | { readonly kind: 'list'; readonly continueToken: string }
  | { readonly kind: 'watch'; readonly resourceVersion: string };

/** `absent`: the API has no such kind, and need not have it. */
export type FailureCode = 'gone' | 'absent' | 'other';

const FIRST_RETRY_MS = 200;
const LAST_RETRY_MS = 30_000;
/** A kind that is not there is looked for this often. */
const ABSENT_RETRY_MS = 60_000;
/** A watch that ends at once must not become a busy loop. */
const REWATCH_MS = 100;
/** Of one kind; a cluster has at most 150 000 pods. Beyond it the list fails. */
const MAX_OBJECTS = 500_000;

type State =
  | { readonly kind: 'waiting'; readonly atMs: number; readonly next: ReflectorAction }
  | { readonly kind: 'listing' }
  | { readonly kind: 'watching' };

export class Reflector {
  readonly #sink: ReflectorSink;
  /** 0 ≤ value < 1. */
  readonly #random: () => number;
  #state: State;
  #pages: unknown[] = [];
  #version = '';
  #failures = 0;
  #isFailing = false;
  #synced = false;

  constructor(
    modules: { readonly sink: ReflectorSink; readonly random: () => number },
    nowMs: number,
  ) {
    this.#sink = modules.sink;
    this.#random = modules.random;
    this.#state = { kind: 'waiting', atMs: nowMs, next: { kind: 'list', continueToken: '' } };
  }

  /** A list has succeeded once, or the kind is not there. */
  get synced(): boolean {
    return this.#synced;
  }

  nextTimeout(): Timeout | null {
    const state = this.#state;
    return state.kind === 'waiting' ? { atMs: state.atMs, reason: state.next.kind } : null;
  }

  /** The request to send now; the caller answers with one of the inputs below. */
  pollAction(nowMs: number): ReflectorAction | null {
    if (this.#state.kind !== 'waiting' || this.#state.atMs > nowMs) return null;
    const { next } = this.#state;
    this.#state = { kind: next.kind === 'list' ? 'listing' : 'watching' };
    return next;
  }

  handlePage(page: ListPage, nowMs: number): void {
    for (const item of page.items) this.#pages.push(item);
    if (this.#pages.length > MAX_OBJECTS) {
      this.handleFailure('other', `more than ${MAX_OBJECTS} objects`, nowMs);
      return;
    }
    if (page.continueToken !== '') {
      const next = { kind: 'list', continueToken: page.continueToken } as const;
      this.#state = { kind: 'waiting', atMs: nowMs, next };
      return;
    }
    const objects = this.#pages;
    this.#pages = [];
    this.#synced = true;
    this.#version = page.resourceVersion;
    this.#watchAt(nowMs);
    this.#sink.replaceAll(objects);
  }

  /** The API has accepted the watch. */
  handleWatchOpen(): void {
    this.#failures = 0;
    if (this.#isFailing) this.#sink.failing(null);
    this.#isFailing = false;
  }

  /** One line of a watch: its `type` and `object`. ERROR ends the watch by `handleWatchEnd`. */
  handleEvent(type: string, object: unknown): void {
    const version = (object as ApiObject | null)?.metadata?.resourceVersion;
    if (typeof version === 'string' && version !== '') this.#version = version;
    if (type === 'ADDED' || type === 'MODIFIED') this.#sink.set(object);
    else if (type === 'DELETED') this.#sink.remove(object);
  }

  /** The API closed the watch without an error, as it does every few minutes. */
  handleWatchEnd(nowMs: number): void {
    this.#watchAt(nowMs + REWATCH_MS);
  }

  /**
   * @param code `gone`: the version is too old, only a new list helps; `absent`: nothing is held up
   *   by this kind until it is there.
   */
  handleFailure(code: FailureCode, reason: string, nowMs: number): void {
    this.#pages = [];
    if (code === 'absent') {
      this.#handleAbsence(reason, nowMs);
      return;
    }
    const isWatch = this.#state.kind === 'watching' && code !== 'gone' && this.#version !== '';
    const next: ReflectorAction = isWatch
      ? { kind: 'watch', resourceVersion: this.#version }
      : { kind: 'list', continueToken: '' };
    const limitMs = Math.min(LAST_RETRY_MS, FIRST_RETRY_MS * 2 ** Math.min(this.#failures, 20));
    // A version that is too old is usual after a long absence and no fault of the server.
    const waitMs =
      code === 'gone' && this.#failures === 0 ? 0 : limitMs * (0.5 + this.#random() / 2);
    this.#failures += 1;
    this.#state = { kind: 'waiting', atMs: nowMs + waitMs, next };
    if (code === 'gone') return;
    this.#isFailing = true;
    this.#sink.failing(reason);
  }

  #handleAbsence(reason: string, nowMs: number): void {
    const waitMs = ABSENT_RETRY_MS * (0.5 + this.#random() / 2);
    const next: ReflectorAction = { kind: 'list', continueToken: '' };
    this.#state = { kind: 'waiting', atMs: nowMs + waitMs, next };
    this.#failures = 0;
    this.#synced = true;
    // Told by the next watch: the kind is there now.
    this.#isFailing = true;
    this.#sink.absent?.(reason);
  }

  #watchAt(atMs: number): void {
    const next = { kind: 'watch', resourceVersion: this.#version } as const;
    this.#state = { kind: 'waiting', atMs, next };
  }
}
