/** The controller's two listeners: a root-only socket for the command line, and the metrics. */
import { chmodSync, mkdirSync, rmSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { ListenOptions } from 'node:net';
import { dirname } from 'node:path';
import { errorCode, errorText, WeaveError } from '../../../../core/errors.js';
import type { Logger } from '../../../../core/log.js';
import { answer, type RouteModules } from '../routes.js';

const REQUEST_TIMEOUT_MS = 10_000;
const MAX_CONNECTIONS = 64;

export class NpcListeners {
  readonly #routes: RouteModules;
  readonly #log: Logger;
  readonly #servers: Server[] = [];

  constructor(routes: RouteModules, log: Logger) {
    this.#routes = routes;
    this.#log = log;
  }

  /** A socket file of an earlier run gives way. @throws {WeaveError} `npc-listen-failed` */
  async openSocket(path: string): Promise<void> {
    mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
    rmSync(path, { force: true });
    await this.#open('socket', { path });
    chmodSync(path, 0o600);
  }

  /** @param host null: all addresses. @throws {WeaveError} `npc-listen-failed` */
  async openMetrics(host: string | null, port: number): Promise<void> {
    await this.#open('metrics', { port, ...(host === null ? {} : { host }) });
  }

  async close(): Promise<void> {
    await Promise.all(
      this.#servers.map(
        (server) =>
          new Promise<void>((resolve) => {
            server.close(() => resolve());
            server.closeAllConnections();
          }),
      ),
    );
  }

  async #open(kind: 'socket' | 'metrics', options: ListenOptions): Promise<void> {
    const server = createServer((request, response) => {
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
    });
    server.requestTimeout = REQUEST_TIMEOUT_MS;
    server.maxConnections = MAX_CONNECTIONS;
    this.#servers.push(server);
    await new Promise<void>((resolve, reject) => {
      server.once('error', (error) => {
        const where = options.path ?? `${options.host ?? '*'}:${options.port ?? 0}`;
        const text = `can't listen on ${where}: ${errorText(error)}`;
        reject(new WeaveError('npc-listen-failed', text, { cause: error }));
      });
      server.listen(options, () => resolve());
    });
  }
}
