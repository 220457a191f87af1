/** The router of this node, asked over its root-only socket. */
import { request } from 'node:http';
import { errorText, WeaveError } from '../../../core/errors.js';
import type { AddressesReply, ExposeRequest, Report } from '../../../router/api-types.js';

/** An address may have to be waited for until the nodes have agreed on who owns what. */
const TIMEOUT_MS = 60_000;
const JSON_TYPE = 'application/json';
const FORM_TYPE = 'application/x-www-form-urlencoded';

interface Answer {
  readonly status: number;
  readonly body: string;
}

export class RouterSocket {
  readonly #socketPath: string;

  constructor(socketPath: string) {
    this.#socketPath = socketPath;
  }

  async notReady(): Promise<string | null> {
    const { status, body } = await this.#call('GET', '/readyz', '');
    return status === 200 ? null : body.trim();
  }

  /** Whether a router listens, in whatever state. */
  async isThere(): Promise<boolean> {
    try {
      await this.#call('GET', '/livez', '');
      return true;
    } catch {
      return false;
    }
  }

  /** @throws {WeaveError} `router-refused`, `router-unreachable` */
  async expose(cidr: string | null): Promise<readonly string[]> {
    const wanted: ExposeRequest = { addresses: cidr === null ? [] : [cidr], masquerade: true };
    const { status, body } = await this.#call('POST', '/expose', JSON.stringify(wanted));
    if (status !== 200) throw new WeaveError('router-refused', body.trim());
    return (JSON.parse(body) as AddressesReply).addresses;
  }

  /** @throws {WeaveError} `router-refused`, `router-unreachable` */
  async peerName(): Promise<string> {
    const { status, body } = await this.#call('GET', '/report', '');
    if (status !== 200) throw new WeaveError('router-refused', body.trim());
    return (JSON.parse(body) as Pick<Report, 'Router'>).Router.Name;
  }

  /** Replaces whom it calls. @throws {WeaveError} `router-refused`, `router-unreachable` */
  async connect(peers: readonly string[]): Promise<void> {
    const form = new URLSearchParams(peers.map((peer): [string, string] => ['peer', peer]));
    form.set('replace', 'true');
    const { status, body } = await this.#call('POST', '/connect', `${form}`, FORM_TYPE);
    if (status !== 200) throw new WeaveError('router-refused', body.trim());
  }

  /**
   * Also when few peers are left that could be asked: that the node is gone, and that nobody else
   * takes its addresses, is known from the cluster's record. Refused while the peer is alive.
   * @returns what it says. @throws {WeaveError} `router-refused`, `router-unreachable`
   */
  async removePeer(peer: string): Promise<string> {
    const { status, body } = await this.#call(
      'DELETE',
      `/peer/${encodeURIComponent(peer)}?force=true`,
      '',
    );
    if (status !== 200) throw new WeaveError('router-refused', body.trim());
    return body.trim();
  }

  #call(method: string, path: string, body: string, type = JSON_TYPE): Promise<Answer> {
    return new Promise((resolve, reject) => {
      const fail = (error: unknown): void =>
        reject(new WeaveError('router-unreachable', `the router: ${errorText(error)}`));
      const options = { socketPath: this.#socketPath, method, path, timeout: TIMEOUT_MS };
      const headers = {
        Host: 'localhost',
        Accept: 'application/json',
        ...(body === '' ? {} : { 'Content-Type': type }),
        'Content-Length': Buffer.byteLength(body),
      };
      const call = request({ ...options, agent: false, headers }, (response) => {
        let text = '';
        response.setEncoding('utf8').on('data', (chunk: string) => {
          text += chunk;
        });
        response.on('error', fail);
        response.on('end', () => resolve({ status: response.statusCode ?? 0, body: text }));
      });
      call.on('timeout', () => call.destroy(new Error('no answer')));
      call.on('error', fail);
      call.end(body);
    });
  }
}
