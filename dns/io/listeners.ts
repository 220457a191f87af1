/**
 * Where the server listens: one address, or all of this host. "All" is one pair of sockets for each
 * address rather than a wildcard: an answer then leaves from the address that was asked, and
 * another name server on an address of its own, like systemd-resolved, is no obstacle.
 */
import { errorCode, WeaveError } from '../../core/errors.js';
import type { Logger } from '../../core/log.js';
import { localAddresses } from './served-networks.js';
import { listenTcp, type TcpHandler } from './tcp-listener.js';
import { type Listener, listenUdp, type UdpHandler } from './udp-listener.js';

export interface ListenOptions {
  /** `0.0.0.0` is all IPv4 addresses, null and `::` all of both families. */
  readonly host: string | null;
  readonly port: number;
}

export interface ListenersModules {
  readonly log: Logger;
  readonly onDatagram: UdpHandler;
  readonly onMessage: TcpHandler;
  readonly isServed: (client: string) => boolean;
}

/** Addresses served at the same time; a host has some dozen at most. */
const MAX_ADDRESSES = 128;
const WILDCARDS: readonly (string | null)[] = [null, '0.0.0.0', '::'];

export class Listeners {
  readonly #options: ListenOptions;
  readonly #modules: ListenersModules;
  /** By address. BOUNDED by MAX_ADDRESSES. */
  readonly #open = new Map<string, readonly Listener[]>();
  /** Addresses where somebody else listens, with the error's code. */
  #failed = new Map<string, string>();
  #refreshing: Promise<void> = Promise.resolve();
  #closed = false;

  constructor(options: ListenOptions, modules: ListenersModules) {
    this.#options = options;
    this.#modules = modules;
  }

  /** Addresses served now. */
  get addresses(): readonly string[] {
    return [...this.#open.keys()];
  }

  /** Those that could not be had, `address: CODE`. */
  get failures(): readonly string[] {
    return [...this.#failed].map(([address, code]) => `${address}: ${code}`);
  }

  get port(): number {
    return [...this.#open.values()][0]?.[0]?.port ?? this.#options.port;
  }

  /** @throws {WeaveError} `dns-listen-failed` if a single address was asked for and can't be had. */
  async start(): Promise<void> {
    await this.refresh();
    const [failure] = this.#failed;
    if (failure === undefined || this.#isWildcard) return;
    const [address, code] = failure;
    const cause = {
      EADDRINUSE: 'something else listens there',
      EADDRNOTAVAIL: 'this host has no such address',
      EACCES: 'not permitted',
    }[code];
    throw new WeaveError(
      'dns-listen-failed',
      `--dns-listen-address: can't listen on ${address} port ${this.#options.port}: ` +
        `${cause ?? code}`,
    );
  }

  /** Follows the addresses of this host; calls overlap safely. */
  refresh(): Promise<void> {
    this.#refreshing = this.#refreshing.then(() => this.#refresh());
    return this.#refreshing;
  }

  async close(): Promise<void> {
    this.#closed = true;
    await this.#refreshing;
    for (const address of [...this.#open.keys()]) await this.#closeAddress(address);
  }

  get #isWildcard(): boolean {
    return WILDCARDS.includes(this.#options.host);
  }

  #wanted(): readonly string[] {
    const { host } = this.#options;
    if (!this.#isWildcard) return [host as string];
    return localAddresses()
      .filter(({ isIpv4, isLinkLocal }) => (isIpv4 || host !== '0.0.0.0') && !isLinkLocal)
      .map(({ address }) => address)
      .slice(0, MAX_ADDRESSES);
  }

  async #refresh(): Promise<void> {
    if (this.#closed) return;
    const wanted = this.#wanted();
    for (const address of this.#open.keys()) {
      if (!wanted.includes(address)) await this.#closeAddress(address);
    }
    const failed = new Map<string, string>();
    for (const address of wanted.filter((one) => !this.#open.has(one))) {
      try {
        this.#open.set(address, await this.#listen(address));
      } catch (error) {
        failed.set(address, errorCode(error));
      }
    }
    this.#reportNew(failed);
    this.#failed = failed;
  }

  async #listen(address: string): Promise<readonly Listener[]> {
    const { onDatagram, onMessage, isServed, log } = this.#modules;
    const tcp = await listenTcp(address, this.#options.port, onMessage, isServed);
    try {
      const udp = await listenUdp(address, tcp.port, onDatagram, (error) => {
        log.warn('a DNS socket failed; opening it again', { address, code: errorCode(error) });
        void this.#closeAddress(address);
      });
      return [tcp, udp];
    } catch (error) {
      await tcp.close();
      throw error;
    }
  }

  async #closeAddress(address: string): Promise<void> {
    const listeners = this.#open.get(address) ?? [];
    this.#open.delete(address);
    await Promise.all(listeners.map((listener) => listener.close()));
  }

  /** Once for each failure, not at every look. */
  #reportNew(failed: ReadonlyMap<string, string>): void {
    if (!this.#isWildcard) return;
    for (const [address, code] of failed) {
      if (this.#failed.get(address) === code) continue;
      this.#modules.log.warn('names are not served on an address', { address, code });
    }
  }
}
