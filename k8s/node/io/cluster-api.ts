/**
 * The two calls of a node's set-up to the API server, with the credentials of the pod. They are
 * read anew for each call, since the kubelet replaces the token every hour.
 */
import { readFileSync } from 'node:fs';
import { request as httpRequest } from 'node:http';
import { request as httpsRequest } from 'node:https';
import { join } from 'node:path';
import { WeaveError } from '../../../core/errors.js';
import type { Environment } from '../settings.js';

const CREDENTIALS = '/var/run/secrets/kubernetes.io/serviceaccount';
const TIMEOUT_MS = 10_000;
/** A list of five thousand nodes has some 40 MB. */
const MAX_ANSWER_BYTES = 128 * 1024 * 1024;

export interface ClusterApiOptions {
  /** `https://host:port`; `http:` is for tests. */
  readonly url: string;
  /** Folder with `token` and `ca.crt`; the first may be missing. */
  readonly credentials: string;
}

/** @throws {WeaveError} `not-in-cluster` */
export function inCluster(env: Environment): ClusterApiOptions {
  const host = env['KUBERNETES_SERVICE_HOST'];
  if (host === undefined || host === '') {
    throw new WeaveError('not-in-cluster', 'KUBERNETES_SERVICE_HOST is not set: no pod?');
  }
  const authority = host.includes(':') ? `[${host}]` : host;
  const port = env['KUBERNETES_SERVICE_PORT'] || '443';
  return { url: `https://${authority}:${port}`, credentials: CREDENTIALS };
}

export class ClusterApi {
  readonly #options: ClusterApiOptions;

  constructor(options: ClusterApiOptions) {
    this.#options = options;
  }

  /** @returns JSON of a NodeList. @throws {WeaveError} `api-unreachable`, `api-refused` */
  async nodes(): Promise<unknown> {
    return JSON.parse(await this.#call('GET', '/api/v1/nodes', '', 'list nodes'));
  }

  /** @throws {WeaveError} `api-unreachable`, `api-refused` */
  async networkAvailable(nodeName: string): Promise<void> {
    const now = new Date().toISOString().replace(/\.\d+Z$/, 'Z');
    const condition = {
      type: 'NetworkUnavailable',
      status: 'False',
      reason: 'WeaveIsUp',
      message: 'Weave pod has set this',
      lastTransitionTime: now,
      lastHeartbeatTime: now,
    };
    const path = `/api/v1/nodes/${encodeURIComponent(nodeName)}/status`;
    const body = JSON.stringify({ status: { conditions: [condition] } });
    await this.#call('PATCH', path, body, 'patch nodes/status');
  }

  #call(method: string, path: string, body: string, right: string): Promise<string> {
    const { url, credentials } = this.#options;
    const token = readIfThere(join(credentials, 'token'))?.trim();
    const ca = readIfThere(join(credentials, 'ca.crt'));
    const send = url.startsWith('https:') ? httpsRequest : httpRequest;
    return new Promise((resolve, reject) => {
      const fail = (code: string, text: string): void => reject(new WeaveError(code, text));
      const options = {
        method,
        // Without an agent: a call an hour needs no open connection.
        agent: false,
        timeout: TIMEOUT_MS,
        ...(ca === undefined ? {} : { ca }),
        headers: {
          Accept: 'application/json',
          ...(token === undefined ? {} : { Authorization: `Bearer ${token}` }),
          ...(body === '' ? {} : { 'Content-Type': 'application/strategic-merge-patch+json' }),
          'Content-Length': Buffer.byteLength(body),
        },
      };
      const call = send(`${url}${path}`, options, (response) => {
        const pieces: Buffer[] = [];
        let bytes = 0;
        response.on('data', (piece: Buffer) => {
          bytes += piece.length;
          if (bytes > MAX_ANSWER_BYTES) call.destroy(new Error('the answer is too large'));
          else pieces.push(piece);
        });
        response.on('error', (error) => fail('api-unreachable', error.message));
        response.on('end', () => {
          const status = response.statusCode ?? 0;
          const text = Buffer.concat(pieces).toString('utf8');
          if (status >= 200 && status < 300) return resolve(text);
          const lacks = status === 403 ? `; the service account lacks the right "${right}"` : '';
          fail('api-refused', `the API server answered ${status} to "${right}"${lacks}`);
        });
      });
      call.on('timeout', () => call.destroy(new Error(`no answer within ${TIMEOUT_MS} ms`)));
      call.on('error', (error) => fail('api-unreachable', `the API server: ${error.message}`));
      call.end(body);
    });
  }
}

function readIfThere(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return undefined;
  }
}
