/**
 * Requests to the API server, over HTTP or HTTPS, with the credentials as they are at that moment.
 * Source: Kubernetes API concepts; API conventions, "Response Status Kind".
 */
import { request as httpRequest, type IncomingMessage, Agent as PlainAgent } from 'node:http';
import { request as httpsRequest, Agent as TlsAgent } from 'node:https';
import { z } from 'zod';
import { errorCode, WeaveError } from '../../../core/errors.js';
import type { ApiAccess } from './access.js';

/** Of a page or an event; one object has at most 1.5 MB in etcd. */
export const MAX_BODY_BYTES = 64 * 1024 * 1024;
const CALL_TIMEOUT_MS = 30_000;

const statusSchema = z.object({ code: z.number().optional(), message: z.string().optional() });

/** A failure with the HTTP status that the API gave. */
export class ApiFailure extends WeaveError {
  /** 0: the failure came without one. */
  readonly status: number;

  constructor(status: number, message: string) {
    super('api-refused', message);
    this.status = status;
  }

  /** @param object a Status of the API, as a watch sends it. */
  static of(object: unknown): ApiFailure {
    const status = statusSchema.safeParse(object).data;
    return new ApiFailure(status?.code ?? 0, status?.message ?? 'the watch failed');
  }
}

class StaleConnection extends Error {}

export interface ApiCall {
  readonly method: 'GET' | 'POST' | 'PUT' | 'PATCH';
  /** e.g. `/api/v1/pods`. */
  readonly path: string;
  /** What the role must allow, in words for whoever has to grant it: `list nodes`. */
  readonly right: string;
  readonly query?: URLSearchParams;
  readonly body?: { readonly type: string; readonly value: unknown };
  /** Until the answer has ended. */
  readonly timeoutMs?: number;
  readonly signal?: AbortSignal;
}

export class ApiClient {
  readonly #access: ApiAccess;
  #agent: { readonly ca: string | undefined; readonly agent: PlainAgent | TlsAgent } | null = null;

  constructor(access: ApiAccess) {
    this.#access = access;
  }

  /** The value of the answer. @throws {ApiFailure}, or what the socket says. */
  async json(call: ApiCall): Promise<unknown> {
    return JSON.parse(await bodyOf(await this.open(call)));
  }

  /** @returns an answer with status 2xx, to be read. @throws as `json` does. */
  async open(call: ApiCall): Promise<IncomingMessage> {
    let response: IncomingMessage;
    try {
      response = await this.#send(call);
    } catch (error) {
      // The server closed an idle connection just when it was to be used again.
      if (!(error instanceof StaleConnection)) throw error;
      response = await this.#send(call);
    }
    // Half-open connections of a node that went away would keep a watch silent for minutes.
    response.socket.setKeepAlive(true, 15_000);
    const status = response.statusCode ?? 0;
    if (status >= 200 && status < 300) return response;
    throw new ApiFailure(status, failureText(status, call.right, await bodyOf(response)));
  }

  #send(call: ApiCall): Promise<IncomingMessage> {
    const { server, token } = this.#access;
    const bearer = token();
    const request = server.protocol === 'https:' ? httpsRequest : httpRequest;
    const base = server.pathname.replace(/\/$/, '');
    const query = call.query === undefined ? '' : `?${call.query}`;
    const body = call.body === undefined ? '' : JSON.stringify(call.body.value);
    return new Promise((resolve, reject) => {
      const sent = request(new URL(`${base}${call.path}${query}`, server), {
        method: call.method,
        agent: this.#agentNow(),
        ...(call.signal === undefined ? {} : { signal: call.signal }),
        headers: {
          Accept: 'application/json',
          ...(bearer === null ? {} : { Authorization: `Bearer ${bearer}` }),
          ...(call.body === undefined ? {} : { 'Content-Type': call.body.type }),
          'Content-Length': Buffer.byteLength(body),
        },
      });
      const late = (): unknown => sent.destroy(new Error('the API server did not answer in time'));
      const timer = setTimeout(late, call.timeoutMs ?? CALL_TIMEOUT_MS);
      sent.once('close', () => clearTimeout(timer));
      sent.once('response', resolve);
      sent.on('error', (error) => {
        const isStale = sent.reusedSocket && errorCode(error) === 'ECONNRESET';
        reject(isStale ? new StaleConnection('the API server closed the connection') : error);
      });
      sent.end(body);
    });
  }

  close(): void {
    this.#agent?.agent.destroy();
    this.#agent = null;
  }

  /** A new one when the authority was replaced; open connections of the old one live on. */
  #agentNow(): PlainAgent | TlsAgent {
    const { server, clientCertificate: cert, clientKey: key } = this.#access;
    const ca = server.protocol === 'https:' ? this.#access.ca() : undefined;
    if (this.#agent !== null && this.#agent.ca === ca) return this.#agent.agent;
    const agent =
      server.protocol === 'https:'
        ? new TlsAgent({
            keepAlive: true,
            ...(ca === undefined ? {} : { ca }),
            ...(cert === undefined ? {} : { cert }),
            ...(key === undefined ? {} : { key }),
          })
        : new PlainAgent({ keepAlive: true });
    this.#agent = { ca, agent };
    return agent;
  }
}

function failureText(status: number, right: string, body: string): string {
  let message = '';
  try {
    message = statusSchema.parse(JSON.parse(body)).message ?? '';
  } catch {
    // Proxies answer with pages of their own; the status says enough.
  }
  const hint =
    status === 403
      ? `the role of this service account lacks the right to ${right}`
      : `the API server answered ${status} to "${right}"`;
  return message === '' ? hint : `${hint}: ${message}`;
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
