/**
 * The router's HTTP API on up to four listeners: control (TCP), the root-only control socket,
 * status (read-only) and metrics. Requests of web pages are refused, sizes and times are bounded,
 * and whatever is refused is counted. Source: reference/http-api.md 1, 9.
 */
import Fastify, { type FastifyError, type FastifyInstance, type FastifyRequest } from 'fastify';
import { errorCode, errorText, RequestError, WeaveError } from '../../core/errors.js';
import { type Listening, listen } from '../../core/io/listen.js';
import type { ListenAddress } from '../../core/listen-address.js';
import type { Logger } from '../../core/log.js';
import type { Control } from '../control.js';
import { type Route, sendText } from './answers.js';
import type { ApiCounters } from './counters.js';
import { refuse } from './guard.js';
import { controlRoutes, metricsRoutes, statusRoutes } from './routes.js';

export interface ApiServerOptions {
  /** null is off. */
  readonly http: ListenAddress | null;
  readonly status: ListenAddress | null;
  readonly metrics: ListenAddress | null;
  readonly socketPath: string | null;
}

export interface ApiServerModules {
  readonly control: Control;
  readonly counters: ApiCounters;
  readonly log: Logger;
}

const MAX_BODY_BYTES = 256 * 1024;
const MAX_PARAMETER_CHARS = 1024;

export class ApiServer {
  readonly #options: ApiServerOptions;
  readonly #modules: ApiServerModules;
  #listening: Listening[] = [];

  constructor(options: ApiServerOptions, modules: ApiServerModules) {
    this.#options = options;
    this.#modules = modules;
  }

  /** Where it answers, in the order control, socket, status, metrics. */
  get addresses(): readonly string[] {
    return this.#listening.map((listening) => listening.address);
  }

  /**
   * All listeners or none.
   * @throws {WeaveError} `listen-failed`
   */
  async start(): Promise<void> {
    const { http, socketPath, status, metrics } = this.#options;
    const { control } = this.#modules;
    const socket: ListenAddress | null =
      socketPath === null ? null : { kind: 'unix', path: socketPath };
    try {
      await this.#listen(http, controlRoutes(control), true);
      await this.#listen(socket, controlRoutes(control), false);
      await this.#listen(status, statusRoutes(control), isLoopback(status));
      await this.#listen(metrics, metricsRoutes(control), false);
    } catch (error) {
      await this.close();
      throw error;
    }
  }

  /** Open requests are cut. May be called at any time. */
  async close(): Promise<void> {
    const listening = this.#listening;
    this.#listening = [];
    await Promise.all(listening.map((one) => one.close()));
  }

  async #listen(address: ListenAddress | null, routes: Route[], checkHost: boolean): Promise<void> {
    if (address === null) return;
    const app = buildApp(routes, checkHost && address.kind === 'tcp', this.#modules);
    await app.ready();
    const onMalformed = (code: string): void => {
      const slow = code === 'ERR_HTTP_REQUEST_TIMEOUT';
      this.#modules.counters.reject(slow ? 'timeout' : 'malformed');
    };
    this.#listening.push(
      await listen(address, (request, response) => app.routing(request, response), onMalformed),
    );
  }
}

function isLoopback(address: ListenAddress | null): boolean {
  return address?.kind === 'tcp' && /^(127\.|localhost$|::1$)/.test(address.host ?? '');
}

/** One application of routes without a socket; exported for tests, which inject requests. */
export function buildApp(
  routes: readonly Route[],
  checkHost: boolean,
  modules: Pick<ApiServerModules, 'counters' | 'log'>,
): FastifyInstance {
  const { counters } = modules;
  const app = Fastify({
    bodyLimit: MAX_BODY_BYTES,
    routerOptions: {
      maxParamLength: MAX_PARAMETER_CHARS,
      // The type wants a record; the routes know that it is this.
      querystringParser: (text) => new URLSearchParams(text) as unknown as Record<string, unknown>,
    },
  });
  acceptBodies(app);
  app.addHook('onRequest', async (request, reply) => {
    reply.header('X-Content-Type-Options', 'nosniff');
    const { host, origin } = request.headers;
    const fetchSite = request.headers['sec-fetch-site'] as string | undefined;
    const refusal = refuse({ host, origin, fetchSite }, checkHost);
    if (refusal === null) return undefined;
    counters.reject(refusal.reason);
    // An async hook that has answered must return the reply.
    return sendText(reply, 403, `${refusal.text}\n`);
  });
  for (const { method, path, handle } of routes) app.route({ method, url: path, handler: handle });
  answerUnknown(app, routes, counters);
  answerErrors(app, modules);
  return app;
}

/** Forms as in the original, JSON for the new routes; other bodies are read and ignored. */
function acceptBodies(app: FastifyInstance): void {
  app.addContentTypeParser(
    'application/x-www-form-urlencoded',
    { parseAs: 'string' },
    (_request, body, done) => done(null, new URLSearchParams(body as string)),
  );
  app.addContentTypeParser('*', { parseAs: 'buffer' }, (_request, _body, done) => done(null, null));
}

/** A known path with another method is 405 with nothing in it. */
function answerUnknown(
  app: FastifyInstance,
  routes: readonly Route[],
  counters: ApiCounters,
): void {
  const known = routes.map(
    (route) => new RegExp(`^${route.path.replaceAll(/:[a-z]+/g, '[^/]+')}$`),
  );
  app.setNotFoundHandler((request: FastifyRequest, reply) => {
    const path = request.url.split('?')[0] as string;
    if (known.some((pattern) => pattern.test(path))) {
      counters.reject('method-not-allowed');
      return sendText(reply, 405, '');
    }
    counters.reject('not-found');
    return sendText(reply, 404, '404 page not found\n');
  });
}

/** Whatever the caller can mend gets its text; the rest is logged here, once. */
function answerErrors(
  app: FastifyInstance,
  { counters, log }: Pick<ApiServerModules, 'counters' | 'log'>,
): void {
  app.setErrorHandler((error: FastifyError | Error, request, reply) => {
    const status = error instanceof RequestError ? error.httpStatus : frameworkStatus(error);
    if (status < 500) {
      counters.reject(status === 413 ? 'too-large' : 'bad-request');
      return sendText(reply, status, `${errorText(error)}\n`);
    }
    counters.reject('failed');
    const fields = { path: request.routeOptions.url, code: errorCode(error) };
    log.error('API request failed', { ...fields, error: errorText(error) });
    // Our own errors are sentences for people; others may say anything.
    const text = error instanceof WeaveError ? errorText(error) : 'internal error, see the log';
    return sendText(reply, status, `${text}\n`);
  });
}

/** Fastify's own refusals (body too large, broken JSON) say their status. */
function frameworkStatus(error: Error): number {
  const { code, statusCode } = error as FastifyError;
  return typeof code === 'string' && code.startsWith('FST_') ? (statusCode ?? 500) : 500;
}
