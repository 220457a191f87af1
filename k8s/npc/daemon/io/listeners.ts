/**
 * The controller's two listeners: a root-only socket for the command line, and the metrics. Policies
 * are enforced with or without them: an address that is taken, as by the one before during an
 * update, is tried again.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { errorCode, errorText } from '../../../../core/errors.js';
import { type Listening, listen } from '../../../../core/io/listen.js';
import type { ListenAddress } from '../../../../core/listen-address.js';
import type { Logger } from '../../../../core/log.js';
import { answer, type RouteModules } from '../routes.js';

const RETRY_MS = 5_000;

export class NpcListeners {
  readonly #routes: RouteModules;
  readonly #log: Logger;
  readonly #open = new Map<string, Listening>();
  readonly #timers = new Map<string, NodeJS.Timeout>();
  #isClosed = false;

  constructor(routes: RouteModules, log: Logger) {
    this.#routes = routes;
    this.#log = log;
  }

  /** @param kind which of the routes are answered there. */
  async open(kind: 'socket' | 'metrics', address: ListenAddress): Promise<void> {
    let isFirst = true;
    const attempt = async (): Promise<void> => {
      try {
        const listening = await listen(
          address,
          (request, response) => this.#answer(kind, request, response),
          () => {},
        );
        if (this.#isClosed) return await listening.close();
        this.#open.set(kind, listening);
        if (!isFirst) this.#log.info('listening at last', { address: listening.address });
      } catch (error) {
        const fields = { code: errorCode(error), error: errorText(error) };
        if (isFirst) this.#log.warn('an address to listen on is tried again', fields);
        isFirst = false;
        if (!this.#isClosed)
          this.#timers.set(
            kind,
            setTimeout(() => void attempt(), RETRY_MS),
          );
      }
    };
    await attempt();
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    for (const timer of this.#timers.values()) clearTimeout(timer);
    await Promise.all([...this.#open.values()].map((listening) => listening.close()));
  }

  #answer(kind: 'socket' | 'metrics', request: IncomingMessage, response: ServerResponse): void {
    const { method = 'GET', url = '/' } = request;
    request.resume();
    answer(kind, method, url, this.#routes).then(
      ({ status, type, body }) => {
        response.writeHead(status, { 'Content-Type': type }).end(body);
      },
      (error: unknown) => {
        const fields = { code: errorCode(error), error: errorText(error) };
        this.#log.error('a request could not be answered', fields);
        response.writeHead(500).end();
      },
    );
  }
}
