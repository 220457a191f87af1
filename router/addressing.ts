/**
 * Addresses of workloads and of this host, from the words of a user to the interface: what is asked
 * of the allocator, what of the host's network, and how one is undone when the other fails.
 *
 *   attach: who is it ─> allocate or claim ─> interface        hide, detach: the other way round
 *
 * With the allocator off, exact addresses work all the same. Source: reference/cli.md 3, 4.
 */
import { RequestError } from '../core/errors.js';
import { type Cidr, formatCidr, parseCidr } from '../core/ip.js';
import type { Logger } from '../core/log.js';
import { Turns } from '../core/turns.js';
import { EXPOSE_IDENT } from '../ipam/interfaces.js';
import type { IpamRunner, RequestOptions } from '../ipam/io/runner.js';
import { contains, hostRangeOf } from '../ipam/range.js';
import { type AddressArgument, parseAddressArguments } from './address-arguments.js';
import type { AttachOptions } from './control.js';
import type { HostNetwork } from './host/host-network.js';
import type { WorkloadWatch } from './workload-watch.js';

export interface AddressingModules {
  /** null: off. */
  readonly ipam: Ipam | null;
  readonly host: HostNetwork;
  readonly log: Logger;
}

/** The allocator as it runs in this router. */
export interface Ipam {
  readonly defaultSubnet: Cidr;
  /** Outside traffic to addresses of ours keeps its source. */
  readonly keepsSources: boolean;
  readonly runner: IpamRunner;
  readonly watch: WorkloadWatch;
}

interface Holder {
  readonly ident: string;
  readonly watched: boolean;
}

export class Addressing {
  readonly #modules: AddressingModules;
  /** Attach and detach of one identifier must not mix. BOUNDED by the connections of the API. */
  readonly #turns = new Turns();

  constructor(modules: AddressingModules) {
    this.#modules = modules;
  }

  /** @returns the addresses as they are on the workload now. @throws {RequestError} */
  async attach(
    target: string,
    words: readonly string[],
    options: AttachOptions & RequestOptions,
  ): Promise<readonly string[]> {
    const { host, ipam, log } = this.#modules;
    const wanted = this.#parse(words);
    const { ident, portName, addresses } = await host.identify(target);
    const holder = { ident: this.#identOf(ident, addresses), watched: true };
    return await this.#withAddresses(wanted, holder, options, async (cidrs) => {
      const attached = await host.attach(target, cidrs, options);
      ipam?.watch.note(holder.ident, portName);
      for (const clash of await host.routeClashes(attached)) {
        log.warn('an attached address clashes with a route of this host', { target, clash });
      }
      return attached;
    });
  }

  /** @returns the addresses that were removed. @throws {RequestError} */
  async detach(target: string, words: readonly string[]): Promise<readonly string[]> {
    const { host } = this.#modules;
    const wanted = this.#parse(words);
    const { ident, addresses } = await host.identify(target);
    const holder = this.#identOf(ident, addresses);
    return await this.#turns.run(holder, async () => {
      const chosen = this.#choose(wanted, addresses);
      const left = this.#leftOver(wanted, holder, chosen);
      // Without addresses the host's network would take all of them away.
      const removed = chosen.length > 0 ? await host.detach(target, chosen.map(formatCidr)) : [];
      if (removed.length === 0 && left.length === 0) {
        throw new RequestError(
          'link-not-found',
          `Link not found: "${target}" has no such address`,
          409,
        );
      }
      for (const cidr of [...removed.map(parseCidr), ...left]) await this.#release(cidr);
      return [...removed, ...left.map(formatCidr)];
    });
  }

  /** @returns the addresses, now on the bridge. @throws {RequestError} */
  async expose(
    words: readonly string[],
    options: { readonly masquerade: boolean } & RequestOptions,
  ): Promise<readonly string[]> {
    const { host } = this.#modules;
    const wanted = this.#parse(words);
    const holder = { ident: EXPOSE_IDENT, watched: false };
    return await this.#withAddresses(wanted, holder, options, async (cidrs) => {
      for (const cidr of cidrs) await host.expose(cidr, options);
      return cidrs;
    });
  }

  /** @returns the addresses that are gone, those included that were not there. */
  async hide(words: readonly string[]): Promise<readonly string[]> {
    const { host } = this.#modules;
    const wanted = this.#parse(words);
    return await this.#turns.run(EXPOSE_IDENT, async () => {
      const present = host.exposures().map(({ cidr }) => parseCidr(cidr));
      const chosen = this.#choose(wanted, present);
      const left = this.#leftOver(wanted, EXPOSE_IDENT, chosen);
      for (const cidr of chosen) await host.hide(formatCidr(cidr));
      for (const cidr of [...chosen, ...left]) await this.#release(cidr);
      return [...chosen, ...left].map(formatCidr);
    });
  }

  #parse(words: readonly string[]): readonly AddressArgument[] {
    const wanted = parseAddressArguments(words);
    if (this.#modules.ipam === null && wanted.some(({ kind }) => kind === 'any')) {
      throw new RequestError(
        'ipam-off',
        "IP address allocation must be enabled to use 'net:' or no address; " +
          'give explicit addresses like 10.2.1.5/24, or start the router with --ipalloc-range',
        409,
      );
    }
    return wanted;
  }

  /** One workload may have been named in several ways: its addresses tell what it was called. */
  #identOf(ident: string, addresses: readonly Cidr[]): string {
    const { ipam } = this.#modules;
    if (ipam === null) return ident;
    const held = addresses.map(({ address }) => ipam.runner.holderOf(address));
    return held.find((holder) => holder !== null && holder !== EXPOSE_IDENT) ?? ident;
  }

  /**
   * Gets the addresses, which may take long, and uses them; those that are new go back if that
   * fails. Nobody has to wait for the first part to detach.
   */
  async #withAddresses(
    wanted: readonly AddressArgument[],
    holder: Holder,
    options: RequestOptions,
    use: (cidrs: readonly string[]) => Promise<readonly string[]>,
  ): Promise<readonly string[]> {
    const fresh: Cidr[] = [];
    try {
      const cidrs: Cidr[] = [];
      for (const argument of wanted) {
        const got = await this.#obtain(argument, holder, options);
        if (got.fresh) fresh.push(got.cidr);
        if (!cidrs.some(({ address }) => address === got.cidr.address)) cidrs.push(got.cidr);
      }
      return await this.#turns.run(holder.ident, () => {
        this.#assertHeld(holder.ident, cidrs);
        return use(cidrs.map(formatCidr));
      });
    } catch (error) {
      for (const cidr of fresh) this.#modules.ipam?.runner.giveBack(holder.ident, cidr);
      throw error;
    }
  }

  /** A detach may have come in between. @throws {RequestError} `address-released` */
  #assertHeld(ident: string, cidrs: readonly Cidr[]): void {
    const { ipam } = this.#modules;
    const lost = cidrs.find(
      ({ address }) => ipam !== null && ipam.runner.holderOf(address) !== ident,
    );
    if (lost === undefined) return;
    const text = `${formatCidr(lost)} was released while it was on its way; try again`;
    throw new RequestError('address-released', text, 409);
  }

  async #obtain(argument: AddressArgument, { ident, watched }: Holder, options: RequestOptions) {
    const runner = this.#modules.ipam?.runner;
    if (argument.kind === 'any') {
      const { subnet } = argument;
      // Parsing has refused this without allocator.
      return await (runner as IpamRunner).allocate({ ident, subnet, watched }, options);
    }
    const { cidr } = argument;
    // Nobody should wait for peers to get an address that they chose themselves.
    const request = { ident, cidr, watched, optimistic: true };
    return { cidr, fresh: (await runner?.claim(request, options)) ?? false };
  }

  /** Which of the present addresses are meant. Exact ones are returned, present or not. */
  #choose(wanted: readonly AddressArgument[], present: readonly Cidr[]): Cidr[] {
    const { ipam } = this.#modules;
    const chosen = new Map<string, Cidr>();
    for (const argument of wanted) {
      if (argument.kind === 'exact') {
        chosen.set(formatCidr(argument.cidr), argument.cidr);
        continue;
      }
      const range = hostRangeOf(argument.subnet ?? (ipam as Ipam).defaultSubnet);
      for (const cidr of present) {
        const isHeld = ipam?.runner.holderOf(cidr.address) != null;
        if (isHeld && contains(range, cidr.address)) chosen.set(formatCidr(cidr), cidr);
      }
    }
    return [...chosen.values()];
  }

  /** Addresses on no interface that are still filed under the identifier. */
  #leftOver(wanted: readonly AddressArgument[], ident: string, chosen: readonly Cidr[]): Cidr[] {
    const { ipam } = this.#modules;
    if (ipam === null) return [];
    const filed = wanted.flatMap((argument) =>
      argument.kind === 'any' ? ipam.runner.lookup(ident, argument.subnet) : [],
    );
    const seen = new Set(chosen.map(({ address }) => address));
    return filed.filter(({ address }) => {
      const isNew = !seen.has(address);
      seen.add(address);
      return isNew;
    });
  }

  async #release({ address }: Cidr): Promise<void> {
    const runner = this.#modules.ipam?.runner;
    const holder = runner?.holderOf(address) ?? null;
    if (holder !== null) await runner?.free(holder, address);
  }
}
