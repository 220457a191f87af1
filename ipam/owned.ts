/**
 * Who holds which address on this host. An address has one holder. Addresses outside the range may
 * be held too; nobody else is asked about those. Source: reference/ipam.md 2.5.
 */
import { type Cidr, formatIpv4, type Ipv4 } from '../core/ip.js';
import { ANONYMOUS_IDENT, type IpamSnapshot, type OwnedAddresses } from './interfaces.js';
import { type AddressRange, contains } from './range.js';
import { inRanges } from './space.js';

type StoredHolding = IpamSnapshot['owned'][number];

interface Holding {
  watched: boolean;
  cidrs: Cidr[];
  /** As it is stored; null: it changed since. A full table is stored with every change of one. */
  stored: StoredHolding | null;
}

export class OwnedTable {
  /** BOUNDED by the addresses that this host's users asked for. */
  readonly #holdings = new Map<string, Holding>();
  /** The reverse. */
  readonly #holders = new Map<Ipv4, string>();
  /** Those whose range another peer has. BOUNDED as #holders. */
  readonly #stranded = new Map<Ipv4, { duplicate: boolean; askedAtMs: number }>();

  get addressCount(): number {
    return this.#holders.size;
  }

  get stranded(): ReadonlyMap<Ipv4, { readonly duplicate: boolean; readonly askedAtMs: number }> {
    return this.#stranded;
  }

  /** @param ident `_` is stored as the address. */
  add(ident: string, cidr: Cidr, watched: boolean): void {
    const key = ident === ANONYMOUS_IDENT ? formatIpv4(cidr.address) : ident;
    const holding = this.#holdings.get(key) ?? { watched: false, cidrs: [], stored: null };
    // A further address without the flag must not keep the others from being released.
    holding.watched ||= watched;
    holding.cidrs.push(cidr);
    holding.stored = null;
    this.#holdings.set(key, holding);
    this.#holders.set(cidr.address, key);
  }

  holderOf(address: Ipv4): string | undefined {
    return this.#holders.get(address);
  }

  cidrsOf(ident: string): readonly Cidr[] {
    return this.#holdings.get(ident)?.cidrs ?? [];
  }

  isWatched(ident: string): boolean {
    return this.#holdings.get(ident)?.watched ?? false;
  }

  /** The address stays with its holder, under another prefix or flag. */
  watch(ident: string): void {
    const holding = this.#holdings.get(ident);
    if (holding === undefined) return;
    holding.watched = true;
    holding.stored = null;
  }

  /** The first of an identifier within a range. */
  find(ident: string, range: AddressRange): Cidr | undefined {
    return this.cidrsOf(ident).find(({ address }) => contains(range, address));
  }

  cidrOf(address: Ipv4): Cidr | undefined {
    const ident = this.#holders.get(address);
    if (ident === undefined) return undefined;
    return this.cidrsOf(ident).find((cidr) => cidr.address === address);
  }

  /** @returns whether the identifier held the address */
  remove(ident: string, address: Ipv4): boolean {
    const holding = this.#holdings.get(ident);
    const index = holding?.cidrs.findIndex((cidr) => cidr.address === address) ?? -1;
    if (holding === undefined || index < 0) return false;
    holding.cidrs.splice(index, 1);
    holding.stored = null;
    if (holding.cidrs.length === 0) this.#holdings.delete(ident);
    this.#holders.delete(address);
    this.#stranded.delete(address);
    return true;
  }

  idents(): IterableIterator<string> {
    return this.#holdings.keys();
  }

  list(): OwnedAddresses[] {
    return [...this.#holdings].map(([ident, { watched, cidrs }]) => ({
      ident,
      watched,
      cidrs: [...cidrs],
    }));
  }

  /** Held addresses that lie in one of the ranges. */
  heldWithin(ranges: readonly AddressRange[]): Ipv4[] {
    if (ranges.length === 0) return [];
    return [...this.#holders.keys()].filter((address) => inRanges(ranges, address));
  }

  strand(address: Ipv4): void {
    if (this.#stranded.has(address)) return;
    this.#stranded.set(address, { duplicate: false, askedAtMs: Number.NEGATIVE_INFINITY });
    this.#touch(address);
  }

  /** Its range is ours again. */
  land(address: Ipv4): void {
    this.#stranded.delete(address);
    this.#touch(address);
  }

  /** The owner said that somebody else has it. */
  markDuplicate(address: Ipv4): void {
    const stranded = this.#stranded.get(address);
    if (stranded !== undefined) stranded.duplicate = true;
  }

  noteAsked(address: Ipv4, nowMs: number): void {
    const stranded = this.#stranded.get(address);
    if (stranded !== undefined) stranded.askedAtMs = nowMs;
  }

  snapshot(): IpamSnapshot['owned'] {
    const owned: StoredHolding[] = [];
    for (const [ident, holding] of this.#holdings) {
      holding.stored ??= this.#store(ident, holding);
      owned.push(holding.stored);
    }
    return owned;
  }

  restore(owned: IpamSnapshot['owned']): void {
    for (const { ident, watched, cidrs } of owned) {
      for (const [address, prefixLength] of cidrs) {
        if (this.#holders.has(address as Ipv4)) continue;
        this.add(ident, { address: address as Ipv4, prefixLength }, watched);
      }
    }
  }

  #touch(address: Ipv4): void {
    const holding = this.#holdings.get(this.#holders.get(address) ?? '');
    if (holding !== undefined) holding.stored = null;
  }

  #store(ident: string, { watched, cidrs }: Holding): StoredHolding {
    return {
      ident,
      watched,
      cidrs: cidrs.map(({ address, prefixLength }) => [address, prefixLength] as const),
      stranded: cidrs.map(({ address }) => address).filter((a) => this.#stranded.has(a)),
    };
  }
}
