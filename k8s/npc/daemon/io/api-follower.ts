/**
 * Runs the reflectors over HTTP(S): one request at a time for each kind, lists in pages, watches as
 * streams of lines. Source: Kubernetes API concepts.
 */
import { request as httpRequest, type IncomingMessage, Agent as PlainAgent } from 'node:http';
import { request as httpsRequest, Agent as TlsAgent } from 'node:https';
import { createInterface } from 'node:readline';
import { z } from 'zod';
import type { Clock } from '../../../../core/clock.js';
import { errorText } from '../../../../core/errors.js';
import { Reflector, type ReflectorAction, type ReflectorSink } from '../reflector.js';
import type { ApiAccess } from './api-credentials.js';

const PAGE_SIZE = 500;
/** The server ends a watch after it; ours a little later, should the server forget. */
const WATCH_SECONDS = 300;
const LIST_TIMEOUT_MS = 60_000;
/** Of a page or an event; one object has at most 1.5 MB in etcd. */
const MAX_BODY_BYTES = 64 * 1024 * 1024;
/** An answer's reason in a log line. */
const MAX_REASON_CHARS = 200;

const pageSchema = z.object({
  metadata: z.object({ resourceVersion: z.string(), continue: z.string().optional() }),
  items: z.array(z.unknown()).nullish(),
});
const eventSchema = z.object({ type: z.string(), object: z.unknown() });
const statusSchema = z.object({ code: z.number().optional(), message: z.string().optional() });

/** A failure with the status that the API gave, 0 for none. */
class ApiFailure extends Error {
  readonly status: number;

  constructor(status: number, message: string) {
    super(message);
    this.status = status;
  }
}

export interface FollowedKind {
  /** e.g. `/api/v1/pods`. */
  readonly path: string;
  readonly sink: ReflectorSink;
}

export class ApiFollower {
  readonly #access: ApiAccess;
  readonly #clock: Clock;
  readonly #agent: PlainAgent | TlsAgent;
  readonly #loops: readonly { readonly path: string; readonly reflector: Reflector }[];
  readonly #aborter = new AbortController();
  #running: Promise<unknown> = Promise.resolve();

  constructor(
    access: ApiAccess,
    kinds: readonly FollowedKind[],
    modules: { readonly clock: Clock; readonly random: () => number },
  ) {
    this.#access = access;
    this.#clock = modules.clock;
    const { ca, clientCertificate: cert, clientKey: key } = access;
    this.#agent =
      access.server.protocol === 'https:'
        ? new TlsAgent({
            keepAlive: true,
            ...(ca === undefined ? {} : { ca }),
            ...(cert === undefined ? {} : { cert }),
            ...(key === undefined ? {} : { key }),
          })
        : new PlainAgent({ keepAlive: true });
    this.#loops = kinds.map(({ path, sink }) => ({
      path,
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
    this.#agent.destroy();
  }

  get #stopped(): boolean {
    return this.#aborter.signal.aborted;
  }

  async #follow({ path, reflector }: { path: string; reflector: Reflector }): Promise<void> {
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
        const gone = error instanceof ApiFailure && error.status === 410;
        reflector.handleFailure(gone ? 'gone' : 'other', reasonOf(error), this.#clock.nowMs());
      }
    }
  }

  async #perform(path: string, action: ReflectorAction, reflector: Reflector): Promise<void> {
    if (action.kind === 'list') {
      const query = new URLSearchParams({ limit: `${PAGE_SIZE}` });
      if (action.continueToken !== '') query.set('continue', action.continueToken);
      const response = await this.#get(path, query, LIST_TIMEOUT_MS);
      const page = pageSchema.parse(JSON.parse(await bodyOf(response)));
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
    const response = await this.#get(path, query, (WATCH_SECONDS + 30) * 1000);
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
        const status = statusSchema.safeParse(object).data;
        throw new ApiFailure(status?.code ?? 0, status?.message ?? 'the watch failed');
      }
      reflector.handleEvent(type, object);
    }
    if (failure !== null) throw failure;
  }

  /** @returns a response with status 200. @throws {ApiFailure}, or what the socket says. */
  async #get(path: string, query: URLSearchParams, timeoutMs: number): Promise<IncomingMessage> {
    const { server, token } = this.#access;
    const bearer = token();
    const request = server.protocol === 'https:' ? httpsRequest : httpRequest;
    const base = server.pathname.replace(/\/$/, '');
    const response = await new Promise<IncomingMessage>((resolve, reject) => {
      const sent = request(new URL(`${base}${path}?${query}`, server), {
        agent: this.#agent,
        signal: this.#aborter.signal,
        headers: {
          Accept: 'application/json',
          ...(bearer === null ? {} : { Authorization: `Bearer ${bearer}` }),
        },
      });
      const timer = setTimeout(() => sent.destroy(new Error('no answer in time')), timeoutMs);
      sent.once('close', () => clearTimeout(timer));
      sent.once('response', resolve);
      sent.on('error', reject);
      sent.end();
    });
    // Half-open connections of a node that went away would keep a watch silent for minutes.
    response.socket.setKeepAlive(true, 15_000);
    if (response.statusCode === 200) return response;
    const status = response.statusCode ?? 0;
    throw new ApiFailure(status, failureText(status, path, await bodyOf(response)));
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

function failureText(status: number, path: string, body: string): string {
  let message = '';
  try {
    message = statusSchema.parse(JSON.parse(body)).message ?? '';
  } catch {
    // Proxies answer with pages of their own; the status says enough.
  }
  const resource = path.split('/').at(-1) ?? '';
  const hint =
    status === 403 ? `the role lacks get, list and watch of ${resource}` : `answer ${status}`;
  return message === '' ? hint : `${hint}: ${message}`;
}

function reasonOf(error: unknown): string {
  const code = (error as { code?: unknown } | null)?.code;
  const text = errorText(error);
  const full = typeof code === 'string' && !text.includes(code) ? `${code} ${text}` : text;
  return full.slice(0, MAX_REASON_CHARS);
}

async function bodyOf(response: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of response) {
    bytes += (chunk as Buffer).length;
    if (bytes > MAX_BODY_BYTES) throw new Error('the answer is too long');
    chunks.push(chunk as Buffer);
  }
  return Buffer.concat(chunks).toString('utf8');
}
