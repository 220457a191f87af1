/**
 * The host's resolvers: which to ask first, which of them only send us our own questions back.
 * A machine without sockets; io/forwarder.ts asks.
 *
 *   order ──> asked ──> noteAnswer: stays in front
 *                  └──> noteFailure: behind the others for a while
 *   probe sent to each new server ──> came back as a query: that server is a loop, never asked
 */
import type { Random } from '../core/random.js';

/** A server that failed is asked last for this long. */
const PENALTY_MS = 30_000;
/** No name server of the world knows this domain (RFC 6761), so probes end where they should. */
const PROBE_DOMAIN = 'weave-loop-probe.invalid.';

interface Server {
  readonly address: string;
  readonly probeName: string;
  failedMs: number | null;
  isLoop: boolean;
}

export interface UpstreamsModules {
  readonly random: Random;
  readonly onLoop: (address: string) => void;
}

export class Upstreams {
  readonly #modules: UpstreamsModules;
  /** BOUNDED by the servers of a resolv.conf. */
  #servers: Server[] = [];

  constructor(modules: UpstreamsModules) {
    this.#modules = modules;
  }

  /** Those not found to be loops, in the order of the configuration. */
  get addresses(): readonly string[] {
    return this.#servers.filter(({ isLoop }) => !isLoop).map(({ address }) => address);
  }

  /** @returns the probes to be sent to servers that are new. */
  set(
    addresses: readonly string[],
  ): readonly { readonly address: string; readonly name: string }[] {
    const before = this.#servers;
    this.#servers = [...new Set(addresses)].map(
      (address) =>
        before.find((server) => server.address === address) ?? {
          address,
          probeName: `${Buffer.from(this.#modules.random.bytes(8)).toString('hex')}.${PROBE_DOMAIN}`,
          failedMs: null,
          isLoop: false,
        },
    );
    return this.#servers
      .filter((server) => !before.includes(server))
      .map(({ address, probeName }) => ({ address, name: probeName }));
  }

  /** Those that answered last come first; all are in it. */
  order(nowMs: number): readonly string[] {
    const isPenalised = ({ failedMs }: Server): boolean =>
      failedMs !== null && nowMs - failedMs < PENALTY_MS;
    const usable = this.#servers.filter(({ isLoop }) => !isLoop);
    return [...usable.filter((s) => !isPenalised(s)), ...usable.filter(isPenalised)].map(
      ({ address }) => address,
    );
  }

  noteAnswer(address: string): void {
    const server = this.#find(address);
    if (server !== undefined) server.failedMs = null;
  }

  noteFailure(address: string, nowMs: number): void {
    const server = this.#find(address);
    if (server !== undefined) server.failedMs = nowMs;
  }

  /** @param name canonical, of a query. @returns whether it was a probe of ours. */
  noteQuery(name: string): boolean {
    if (!name.endsWith(PROBE_DOMAIN)) return false;
    const server = this.#servers.find(({ probeName }) => probeName === name);
    if (server === undefined) return false;
    if (!server.isLoop) this.#modules.onLoop(server.address);
    server.isLoop = true;
    return true;
  }

  #find(address: string): Server | undefined {
    return this.#servers.find((server) => server.address === address);
  }
}
