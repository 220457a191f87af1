/**
 * Runs the reflectors over HTTP(S): one request at a time for each kind, lists in pages, watches as
 * streams of lines. Source: Kubernetes API concepts.
 */
import type { IncomingMessage } from 'node:http';
import { createInterface } from 'node:readline';
import { z } from 'zod';
import type { Clock } from '../../../core/clock.js';
import { errorText } from '../../../core/errors.js';
import {
  type FailureCode,
  Reflector,
  type ReflectorAction,
  type ReflectorSink,
} from '../reflector.js';
import { type ApiClient, ApiFailure, MAX_BODY_BYTES } from './client.js';

const PAGE_SIZE = 500;
/** The server ends a watch after it; ours a little later, should the server forget. */
const WATCH_SECONDS = 300;
const LIST_TIMEOUT_MS = 60_000;
/** An answer's reason in a log line. */
const MAX_REASON_CHARS = 200;

const pageSchema = z.object({
  metadata: z.object({ resourceVersion: z.string(), continue: z.string().optional() }),
  items: z.array(z.unknown()).nullish(),
});
const eventSchema = z.object({ type: z.string(), object: z.unknown() });

export interface FollowedKind {
  /** e.g. `/api/v1/pods`. */
  readonly path: string;
  readonly sink: ReflectorSink;
  /** The API server need not have it: its absence holds up nothing. */
  readonly isOptional?: boolean;
}

interface Loop {
  readonly path: string;
  readonly isOptional: boolean;
  readonly reflector: Reflector;
}

export class ApiFollower {
  readonly #client: ApiClient;
  readonly #clock: Clock;
  readonly #loops: readonly Loop[];
  readonly #aborter = new AbortController();
  #running: Promise<unknown> = Promise.resolve();

  constructor(
    client: ApiClient,
    kinds: readonly FollowedKind[],
    modules: { readonly clock: Clock; readonly random: () => number },
  ) {
    this.#client = client;
    this.#clock = modules.clock;
    this.#loops = kinds.map(({ path, sink, isOptional = false }) => ({
      path,
      isOptional,
      reflector: new Reflector({ sink, random: modules.random }, modules.clock.nowMs()),
    }));
  }

  get synced(): boolean {
    return this.#loops.every(({ reflector }) => reflector.synced);
  }

  start(): void {
    this.#running = Promise.all(this.#loops.map((loop) => this.#follow(loop)));
  }

  async stop(): Promise<void> {
    this.#aborter.abort();
    await this.#running;
  }

  get #stopped(): boolean {
    return this.#aborter.signal.aborted;
  }

  async #follow({ path, isOptional, reflector }: Loop): Promise<void> {
    while (!this.#stopped) {
      const due = reflector.nextTimeout();
      if (due === null) throw new Error(`the reflector of ${path} waits for nothing`);
      const nowMs = this.#clock.nowMs();
      if (due.atMs > nowMs) await this.#sleep(due.atMs - nowMs);
      const action = reflector.pollAction(this.#clock.nowMs());
      if (action === null) continue;
      try {
        await this.#perform(path, action, reflector);
      } catch (error) {
        if (this.#stopped) return;
        reflector.handleFailure(codeOf(error, isOptional), reasonOf(error), this.#clock.nowMs());
      }
    }
  }

  async #perform(path: string, action: ReflectorAction, reflector: Reflector): Promise<void> {
    if (action.kind === 'list') {
      const query = new URLSearchParams({ limit: `${PAGE_SIZE}` });
      if (action.continueToken !== '') query.set('continue', action.continueToken);
      const value = await this.#client.json({
        method: 'GET',
        path,
        query,
        right: `list ${resourceOf(path)}`,
        timeoutMs: LIST_TIMEOUT_MS,
        signal: this.#aborter.signal,
      });
      const page = pageSchema.parse(value);
      const { resourceVersion, continue: continueToken = '' } = page.metadata;
      const items = page.items ?? [];
      reflector.handlePage({ items, resourceVersion, continueToken }, this.#clock.nowMs());
      return;
    }
    const query = new URLSearchParams({
      watch: 'true',
      allowWatchBookmarks: 'true',
      resourceVersion: action.resourceVersion,
      timeoutSeconds: `${WATCH_SECONDS}`,
    });
    const response = await this.#client.open({
      method: 'GET',
      path,
      query,
      right: `watch ${resourceOf(path)}`,
      timeoutMs: (WATCH_SECONDS + 30) * 1000,
      signal: this.#aborter.signal,
    });
    reflector.handleWatchOpen();
    await this.#readEvents(response, reflector);
    reflector.handleWatchEnd(this.#clock.nowMs());
  }

  async #readEvents(response: IncomingMessage, reflector: Reflector): Promise<void> {
    let sinceLine = 0;
    response.on('data', (chunk: Buffer) => {
      const end = chunk.lastIndexOf(10);
      sinceLine = end < 0 ? sinceLine + chunk.length : chunk.length - end;
      if (sinceLine > MAX_BODY_BYTES) response.destroy(new Error('an event is too long'));
    });
    const lines = createInterface({ input: response, crlfDelay: Number.POSITIVE_INFINITY });
    // The interface hides errors of its input, and a cut connection is no end of the watch.
    let failure: Error | null = null;
    response.on('error', (error) => {
      failure = error;
    });
    for await (const line of lines) {
      if (line === '') continue;
      const { type, object } = eventSchema.parse(JSON.parse(line));
      if (type === 'ERROR') {
        response.destroy();
        throw ApiFailure.of(object);
      }
      reflector.handleEvent(type, object);
    }
    if (failure !== null) throw failure;
  }

  #sleep(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(done, ms);
      const { signal } = this.#aborter;
      function done(): void {
        clearTimeout(timer);
        signal.removeEventListener('abort', done);
        resolve();
      }
      signal.addEventListener('abort', done);
    });
  }
}

const resourceOf = (path: string): string => path.split('/').at(-1) ?? '';

function codeOf(error: unknown, isOptional: boolean): FailureCode {
  const status = error instanceof ApiFailure ? error.status : 0;
  if (status === 404 && isOptional) return 'absent';
  return status === 410 ? 'gone' : 'other';
}

function reasonOf(error: unknown): string {
  const code = (error as { code?: unknown } | null)?.code;
  const text = errorText(error);
  const isSystem = typeof code === 'string' && /^[A-Z]/.test(code) && !text.includes(code);
  const full = isSystem ? `${code} ${text}` : text;
  return full.slice(0, MAX_REASON_CHARS);
}
