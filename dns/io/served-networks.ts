/**
 * Who asks us from nearby: sources in a network that an interface of this host has, like
 * dnsmasq's `local-service`, and those that were allowed by option.
 */
import { BlockList, isIPv4 } from 'node:net';
import { networkInterfaces } from 'node:os';

export interface LocalAddress {
  readonly address: string;
  readonly isIpv4: boolean;
  /** Only with a zone it says which host it means. */
  readonly isLinkLocal: boolean;
  readonly isInternal: boolean;
  readonly interfaceName: string;
}

/** Of all interfaces that are up, as they are now. */
export function localAddresses(): readonly LocalAddress[] {
  return Object.entries(networkInterfaces()).flatMap(([interfaceName, list = []]) =>
    list.map(({ address, family, internal }) => ({
      address,
      isIpv4: family === 'IPv4',
      isLinkLocal: family === 'IPv6' && /^fe[89ab]/i.test(address),
      isInternal: internal,
      interfaceName,
    })),
  );
}

export class ServedNetworks {
  readonly #allowed: readonly string[];
  #list = new BlockList();
  #key = '';

  /** @param allowed CIDRs of either family beside the host's own networks. */
  constructor(allowed: readonly string[]) {
    this.#allowed = allowed;
    this.refresh();
  }

  /** Reads the host's interfaces anew. @returns whether others are served now than before. */
  refresh(): boolean {
    const own = Object.values(networkInterfaces()).flatMap((list = []) =>
      list.flatMap(({ cidr }) => (cidr === null ? [] : [cidr])),
    );
    const key = own.join();
    if (key === this.#key) return false;
    this.#key = key;
    this.#list = new BlockList();
    for (const cidr of [...this.#allowed, ...own]) addCidr(this.#list, cidr);
    return true;
  }

  serves(address: string): boolean {
    const plain = address.replace(/^::ffff:(?=\d+\.)/i, '').replace(/%.*$/, '');
    return this.#list.check(plain, isIPv4(plain) ? 'ipv4' : 'ipv6');
  }
}

function addCidr(list: BlockList, cidr: string): void {
  const [address = '', length = ''] = cidr.split('/');
  list.addSubnet(address, Number(length), isIPv4(address) ? 'ipv4' : 'ipv6');
}
