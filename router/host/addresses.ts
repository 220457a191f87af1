/** Addresses that users give to workloads and to the host: parsing, and what they may not be. */
import { RequestError } from '../../core/errors.js';
import { type Cidr, cidrContains, formatCidr, networkOf, parseCidr } from '../../core/ip.js';

export const MULTICAST_NETWORK = '224.0.0.0/4';

const RESERVED: readonly (readonly [Cidr, string])[] = [
  [parseCidr('0.0.0.0/8'), 'an address of "this" network'],
  [parseCidr('127.0.0.0/8'), 'a loopback address'],
  [parseCidr(MULTICAST_NETWORK), 'a multicast address'],
  [parseCidr('240.0.0.0/4'), 'a reserved address'],
];

/**
 * @param text `a.b.c.d/n`
 * @throws {RequestError} `cidr-invalid` for wrong text, `address-unusable` for addresses that no
 * interface can have: loopback, multicast, the network itself, its broadcast address.
 */
export function parseHostCidr(text: string): Cidr {
  let cidr: Cidr;
  try {
    cidr = parseCidr(text);
  } catch (error) {
    throw new RequestError('cidr-invalid', (error as Error).message);
  }
  const reserved = RESERVED.find(([network]) => cidrContains(network, cidr.address));
  if (reserved !== undefined) throw unusable(cidr, reserved[1]);
  if (cidr.prefixLength === 0) throw unusable(cidr, 'without a network (prefix length 0)');
  if (cidr.prefixLength < 31) {
    const hostBits = 2 ** (32 - cidr.prefixLength);
    const host = cidr.address % hostBits;
    if (host === 0) throw unusable(cidr, 'the address of the network itself');
    if (host === hostBits - 1) throw unusable(cidr, "the network's broadcast address");
  }
  return cidr;
}

function unusable(cidr: Cidr, what: string): RequestError {
  return new RequestError('address-unusable', `${formatCidr(cidr)} is ${what}`);
}

/**
 * The networks of some addresses as text, each once, in order of appearance. A /32 stands for
 * itself.
 */
export function networkTexts(cidrs: readonly Cidr[]): string[] {
  return [...new Set(cidrs.map((cidr) => formatCidr(networkOf(cidr))))];
}

/** Same address; the prefix may differ. */
export function hasAddress(list: readonly Cidr[], cidr: Cidr): boolean {
  return list.some((other) => other.address === cidr.address);
}

/** Same address and prefix. */
export function hasCidr(list: readonly Cidr[], cidr: Cidr): boolean {
  return list.some(
    (other) => other.address === cidr.address && other.prefixLength === cidr.prefixLength,
  );
}
