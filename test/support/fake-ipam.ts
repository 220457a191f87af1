/** An allocator without peers for tests of the API: counts upwards and records what was asked. */
import { RequestError } from '../../core/errors.js';
import { type Cidr, formatCidr, formatIpv4, type Ipv4, parseCidr } from '../../core/ip.js';
import type { OwnedAddresses } from '../../ipam/interfaces.js';
import { contains, hostRangeOf } from '../../ipam/range.js';
import type { IpamCall, IpamControl } from '../../router/control.js';

export class FakeIpam implements IpamControl {
  readonly defaultSubnet = parseCidr('10.32.0.0/12');
  readonly tracker = '';
  owned = new Map<string, Cidr[]>();
  findings: string[] = [];
  calls: string[] = [];
  /** Nothing is granted while this is set; requests end when their client goes. */
  waits = false;
  /** Thrown by the next allocate, claim or takeOver. */
  failure: Error | null = null;

  async allocate(ident: string, subnet: Cidr | null, call: IpamCall): Promise<Cidr> {
    await this.#admit(`allocate ${ident} check-alive=${call.checkAlive}`, call);
    const network = subnet ?? this.defaultSubnet;
    const count = [...this.owned.values()].flat().length;
    const address = (network.address + count + 1) as Ipv4;
    const cidr = { address, prefixLength: network.prefixLength };
    this.#file(ident, cidr);
    return cidr;
  }

  async claim(ident: string, cidr: Cidr, optimistic: boolean, call: IpamCall): Promise<void> {
    await this.#admit(`claim ${ident} ${formatCidr(cidr)} optimistic=${optimistic}`, call);
    this.#file(ident, cidr);
  }

  lookup(ident: string, subnet: Cidr | null): readonly Cidr[] {
    const range = hostRangeOf(subnet ?? this.defaultSubnet);
    return (this.owned.get(ident) ?? []).filter(({ address }) => contains(range, address));
  }

  list(): readonly OwnedAddresses[] {
    return [...this.owned].map(([ident, cidrs]) => ({ ident, watched: false, cidrs }));
  }

  async free(ident: string, address: Ipv4): Promise<void> {
    const held = this.owned.get(ident) ?? [];
    const rest = held.filter((cidr) => cidr.address !== address);
    if (rest.length === held.length) {
      const text = `Free: address ${formatIpv4(address)} not found for ${ident}`;
      throw new RequestError('ipam-not-found', text);
    }
    this.owned.set(ident, rest);
  }

  async freeAll(ident: string): Promise<void> {
    if (this.owned.delete(ident)) return;
    throw new RequestError('ipam-not-found', `Delete: no addresses for ${ident}`);
  }

  async prime(): Promise<void> {
    this.calls.push('prime');
  }

  async takeOver(peer: string, force: boolean): Promise<number> {
    this.calls.push(`takeOver ${peer} force=${force}`);
    this.#fail();
    return peer === 'host9' ? 262144 : 0;
  }

  async leave(): Promise<void> {
    this.calls.push('leave');
  }

  check(): readonly string[] {
    this.calls.push('check');
    return this.findings;
  }

  async #admit(call: string, { signal }: IpamCall): Promise<void> {
    this.calls.push(call);
    this.#fail();
    if (!this.waits) return;
    await new Promise<void>((resolve) => signal?.addEventListener('abort', () => resolve()));
    throw new RequestError('ipam-cancelled', 'cancelled');
  }

  #file(ident: string, cidr: Cidr): void {
    this.owned.set(ident, [...(this.owned.get(ident) ?? []), cidr]);
  }

  #fail(): void {
    const failure = this.failure;
    this.failure = null;
    if (failure !== null) throw failure;
  }
}
