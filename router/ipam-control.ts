/**
 * The allocator as the API sees it, and the addresses that were there before it started.
 * Source: reference/ipam.md 10.2, 16.
 */
import { errorCode, RequestError } from '../core/errors.js';
import { type Cidr, type Ipv4, parseCidr } from '../core/ip.js';
import {
  ANONYMOUS_IDENT,
  EXPOSE_IDENT,
  type OwnedAddresses,
  type PreClaim,
} from '../ipam/interfaces.js';
import type { RequestOptions } from '../ipam/io/runner.js';
import type { Ipam } from './addressing.js';
import type { IpamCall, IpamControl } from './control.js';
import type { HostNetwork } from './host/host-network.js';
import type { ContainerEngines } from './host/ports.js';

export class RunningIpam implements IpamControl {
  readonly #ipam: Ipam;
  readonly #engines: ContainerEngines;

  constructor(ipam: Ipam, engines: ContainerEngines) {
    this.#ipam = ipam;
    this.#engines = engines;
  }

  get tracker(): string {
    return this.#ipam.keepsSources ? 'no-masq-local' : '';
  }

  get defaultSubnet(): Cidr {
    return this.#ipam.defaultSubnet;
  }

  async allocate(ident: string, subnet: Cidr | null, call: IpamCall): Promise<Cidr> {
    await this.#checkAlive(ident, call);
    const request = { ident, subnet, watched: call.checkAlive };
    return (await this.#ipam.runner.allocate(request, call)).cidr;
  }

  async claim(ident: string, cidr: Cidr, optimistic: boolean, call: IpamCall): Promise<void> {
    await this.#checkAlive(ident, call);
    await this.#ipam.runner.claim({ ident, cidr, watched: call.checkAlive, optimistic }, call);
  }

  lookup(ident: string, subnet: Cidr | null): readonly Cidr[] {
    return this.#ipam.runner.lookup(ident, subnet);
  }

  list(): readonly OwnedAddresses[] {
    return this.#ipam.runner.list();
  }

  free(ident: string, address: Ipv4): Promise<void> {
    return this.#ipam.runner.free(ident, address);
  }

  freeAll(ident: string): Promise<void> {
    return this.#ipam.runner.freeAll(ident);
  }

  prime(options: RequestOptions): Promise<void> {
    return this.#ipam.runner.prime(options);
  }

  takeOver(peer: string, force: boolean): Promise<number> {
    return this.#ipam.runner.takeOver(peer, force);
  }

  leave(): Promise<void> {
    return this.#ipam.runner.leave();
  }

  check(): readonly string[] {
    return this.#ipam.runner.explain();
  }

  /** An event of the engine may be on its way still, so a dead one is asked for by name. */
  async #checkAlive(ident: string, { checkAlive }: IpamCall): Promise<void> {
    if (!checkAlive || ident === ANONYMOUS_IDENT || this.#ipam.watch.mayBeAlive(ident)) return;
    let isRunning = true;
    try {
      isRunning = (await this.#engines.find(ident)) !== null;
    } catch (error) {
      isRunning = errorCode(error) !== 'container-not-running';
    }
    if (!isRunning) throw new RequestError('ipam-cancelled', `${ident} does not run`);
  }
}

/**
 * Addresses in use on this host at the start: those of the bridge and of everything attached to it.
 * The allocator's own memory says under which name it filed them.
 * @param filed by address, as stored.
 */
export async function findPreClaims(
  host: HostNetwork,
  filed: ReadonlyMap<number, { readonly ident: string; readonly watched: boolean }>,
): Promise<{ readonly claims: PreClaim[]; readonly ports: ReadonlyMap<string, string> }> {
  const claims: PreClaim[] = [];
  const ports = new Map<string, string>();
  for (const text of (await host.bridgeState()).cidrs) {
    claims.push({ ident: EXPOSE_IDENT, cidr: parseCidr(text), watched: false });
  }
  for (const { ident: found, portName, cidrs } of await host.attachments()) {
    for (const text of cidrs) {
      const cidr = parseCidr(text);
      const { ident, watched } = filed.get(cidr.address) ?? { ident: found, watched: true };
      claims.push({ ident, cidr, watched });
      ports.set(ident, portName);
    }
  }
  return { claims, ports };
}
