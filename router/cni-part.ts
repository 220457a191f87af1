/** The CNI verbs over this router's host network and allocator. */
import { dirname, join } from 'node:path';
import { RequestError } from '../core/errors.js';
import { type Cidr, formatCidr } from '../core/ip.js';
import type { Logger } from '../core/log.js';
import type { PodAddresses } from '../k8s/cni/ports.js';
import type { CniReply, CniRequest } from '../k8s/cni/protocol.js';
import { CniVerbs } from '../k8s/cni/verbs.js';
import type { Control } from './control.js';
import { KernelPodNetwork } from './host/io/pod-network.js';
import type { HostModules } from './host/ports.js';
import { CniLeftovers } from './io/cni-leftovers.js';
import type { IpamPart } from './ipam-part.js';

export interface CniPartOptions {
  readonly bridge: string;
  readonly procPath: string;
  readonly dbPrefix: string;
}

export interface CniPartModules {
  readonly hostModules: HostModules;
  /** null: off. */
  readonly ipam: IpamPart | null;
  readonly log: Logger;
}

export class CniPart {
  readonly #network: KernelPodNetwork;
  readonly #verbs: CniVerbs;
  readonly #leftovers: CniLeftovers;
  #control: Pick<Control, 'expose' | 'ready'> | null = null;

  /** @throws {SysError} */
  constructor(options: CniPartOptions, { hostModules, ipam, log }: CniPartModules) {
    this.#network = new KernelPodNetwork(options, hostModules);
    this.#verbs = new CniVerbs({
      network: this.#network,
      addresses: ipam === null ? null : podAddresses(ipam),
      expose: (subnet, signal) => this.#expose(subnet, signal),
      ready: () => this.#control?.ready() ?? false,
    });
    this.#leftovers = new CniLeftovers(join(dirname(options.dbPrefix), 'cni'), {
      log,
      perform: async (request) =>
        'result' in (await this.#verbs.run(request, new AbortController().signal)),
    });
  }

  /** What plugins left is done first. @param control of the same router, for the gateway. */
  async start(control: Pick<Control, 'expose' | 'ready'>): Promise<void> {
    this.#control = control;
    await this.#leftovers.start();
  }

  async run(request: CniRequest, signal: AbortSignal): Promise<CniReply> {
    // A DEL that was left must not hit what an ADD of the same name makes now.
    await this.#leftovers.drain();
    return await this.#verbs.run(request, signal);
  }

  counters(): Readonly<Record<string, number>> {
    return this.#verbs.counters;
  }

  async stop(): Promise<void> {
    await this.#leftovers.stop();
    await this.#network.close();
  }

  async #expose(subnet: Cidr | null, signal: AbortSignal): Promise<void> {
    const address = subnet === null ? 'net:default' : `net:${formatCidr(subnet)}`;
    await this.#control?.expose([address], { masquerade: true, signal });
  }
}

function podAddresses({ runner }: IpamPart): PodAddresses {
  return {
    // Its end is told by DEL or GC, not by the port of a bridge.
    allocate: (ident, subnet, signal) =>
      runner.allocate({ ident, subnet, watched: false }, { signal }),
    held: (ident) => runner.lookup(ident, null),
    release: async (ident) => {
      try {
        await runner.freeAll(ident);
      } catch (error) {
        if (!(error instanceof RequestError) || error.code !== 'ipam-not-found') throw error;
      }
    },
    idents: (prefix) =>
      runner.list().flatMap(({ ident }) => (ident.startsWith(prefix) ? [ident] : [])),
  };
}
