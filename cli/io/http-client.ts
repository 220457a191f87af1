/**
 * Speaks HTTP to the router, over its root-only socket if it can, else over loopback.
 * Source: reference/cli.md 7 (WEAVE_HTTP_ADDR), http-api.md 1.
 */
import { request as httpRequest } from 'node:http';
import { DEFAULT_HTTP_ADDRESS, DEFAULT_SOCKET_PATH } from '../../router/api-types.js';
import {
  type ApiAnswer,
  type ApiRequest,
  type RouterClient,
  RouterUnreachable,
} from '../client.js';

const ANSWER_TIMEOUT_MS = 10_000;
const CONNECT_TIMEOUT_MS = 3_000;
/** The report of a thousand peers is below this. */
const MAX_ANSWER_BYTES = 512 * 1024 * 1024;

export type Place =
  | { readonly kind: 'unix'; readonly path: string }
  | { readonly kind: 'tcp'; readonly host: string; readonly port: number };

/** `host`, `:port`, `host:port` or an absolute path. */
export function parsePlace(text: string): Place {
  if (text.startsWith('/')) return { kind: 'unix', path: text };
  const [, host = '', port = ''] = /^(.*?)(?::(\d+))?$/.exec(text) ?? [];
  const [defaultHost = '', defaultPort = ''] = DEFAULT_HTTP_ADDRESS.split(':');
  const name = host.replace(/^\[(.*)\]$/, '$1');
  return {
    kind: 'tcp',
    host: name === '' || name === '0.0.0.0' ? defaultHost : name,
    port: Number(port === '' ? defaultPort : port),
  };
}

/**
 * Where to look for the router, in order. What was asked for by name is the only place: the
 * default one may belong to another router.
 * @param option of `--socket`, which also takes host:port.
 */
export function placesToTry(
  option: string | null,
  env: Readonly<Record<string, string | undefined>>,
): Place[] {
  if (option !== null) return [parsePlace(option)];
  const named = [env['WEAVE_SOCKET'], env['WEAVE_HTTP_ADDR']].filter(
    (text): text is string => text !== undefined && text !== '',
  );
  return (named.length > 0 ? named : [DEFAULT_SOCKET_PATH, DEFAULT_HTTP_ADDRESS]).map(parsePlace);
}

const placeText = (place: Place): string =>
  place.kind === 'unix' ? place.path : `${place.host}:${place.port}`;

export function httpClient(places: readonly Place[]): RouterClient {
  return {
    request: async (request) => {
      let worst: 'refused' | 'timeout' | 'denied' = 'refused';
      for (const place of places) {
        try {
          return await send(place, request);
        } catch (error) {
          const reason = unreachableReason(error);
          if (reason === null) throw error;
          // Of several places, the one where somebody might be says most.
          if (reason !== 'refused') worst = reason;
        }
      }
      throw new RouterUnreachable(worst, places.map(placeText));
    },
  };
}

const REFUSED: ReadonlySet<string> = new Set([
  ...['ECONNREFUSED', 'ENOENT', 'ENOTDIR', 'ECONNRESET', 'EPIPE', 'EHOSTUNREACH', 'ENETUNREACH'],
  ...['ENOTFOUND', 'EAI_AGAIN'],
]);

function unreachableReason(error: unknown): 'refused' | 'timeout' | 'denied' | null {
  const code = (error as { code?: unknown } | null)?.code;
  if (code === 'EACCES' || code === 'EPERM') return 'denied';
  if (code === 'ETIMEDOUT') return 'timeout';
  return typeof code === 'string' && REFUSED.has(code) ? 'refused' : null;
}

function timedOut(): Error {
  return Object.assign(new Error('no answer in time'), { code: 'ETIMEDOUT' });
}

function send(place: Place, request: ApiRequest): Promise<ApiAnswer> {
  const query = formText(request.query ?? []);
  const { body, type } = bodyOf(request);
  const target =
    place.kind === 'unix'
      ? { socketPath: place.path, host: 'localhost' }
      : { host: place.host, port: place.port };
  return new Promise((resolve, reject) => {
    const sent = httpRequest({
      ...target,
      // One connection a request: a kept one would hold the process, or be dead when used again.
      agent: false,
      method: request.method,
      path: query === '' ? request.path : `${request.path}?${query}`,
      headers: {
        ...(request.accept === undefined ? {} : { Accept: request.accept }),
        ...(type === null ? {} : { 'Content-Type': type }),
        ...(request.method === 'GET' ? {} : { 'Content-Length': Buffer.byteLength(body) }),
      },
    });
    const timeoutMs = request.timeoutMs === undefined ? ANSWER_TIMEOUT_MS : request.timeoutMs;
    const timers = [setTimeout(() => sent.destroy(timedOut()), CONNECT_TIMEOUT_MS)];
    const stopTimers = (): void => timers.forEach(clearTimeout);
    sent.once('socket', (socket) => {
      socket.once('connect', () => {
        clearTimeout(timers[0]);
        if (timeoutMs !== null) timers.push(setTimeout(() => sent.destroy(timedOut()), timeoutMs));
      });
    });
    sent.once('error', (error) => {
      stopTimers();
      reject(error);
    });
    sent.once('response', (response) => {
      const chunks: Buffer[] = [];
      let bytes = 0;
      response.on('data', (chunk: Buffer) => {
        bytes += chunk.length;
        if (bytes > MAX_ANSWER_BYTES) sent.destroy(new Error('the answer is too long'));
        else chunks.push(chunk);
      });
      response.once('error', reject);
      response.once('end', () => {
        stopTimers();
        const text = Buffer.concat(chunks).toString('utf8');
        resolve({ status: response.statusCode ?? 0, body: text });
      });
    });
    sent.end(body);
  });
}

function formText(pairs: readonly (readonly [string, string])[]): string {
  return new URLSearchParams(
    pairs.map(([name, value]): [string, string] => [name, value]),
  ).toString();
}

function bodyOf(request: ApiRequest): { body: string; type: string | null } {
  if (request.json !== undefined) {
    return { body: JSON.stringify(request.json), type: 'application/json' };
  }
  if (request.form === undefined || request.form.length === 0) return { body: '', type: null };
  const body = formText(request.form);
  return { body, type: 'application/x-www-form-urlencoded' };
}
