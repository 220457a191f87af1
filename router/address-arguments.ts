/**
 * Addresses as users ask for them: exactly one, or one that the allocator chooses.
 * Source: reference/cli.md 3.
 */
import { RequestError } from '../core/errors.js';
import type { Cidr } from '../core/ip.js';
import { parseSubnet } from '../ipam/range.js';
import { parseHostCidr } from './host/addresses.js';

export type AddressArgument =
  | { readonly kind: 'exact'; readonly cidr: Cidr }
  /** Chosen from a subnet; null is the default one. */
  | { readonly kind: 'any'; readonly subnet: Cidr | null };

/**
 * @param words `net:default`, `net:a.b.c.d/n`, `a.b.c.d/n` or `ip:a.b.c.d/n`; none means the first.
 * @throws {RequestError} with what is wrong
 */
export function parseAddressArguments(words: readonly string[]): AddressArgument[] {
  if (words.length === 0) return [{ kind: 'any', subnet: null }];
  return words.map((word): AddressArgument => {
    if (word === 'net:default') return { kind: 'any', subnet: null };
    if (word.startsWith('net:')) return { kind: 'any', subnet: parseNetwork(word.slice(4)) };
    return { kind: 'exact', cidr: parseHostCidr(word.replace(/^ip:/, '')) };
  });
}

/** @throws {RequestError} `cidr-invalid`, `ipam-subnet-invalid`, with the original's text */
export function parseNetwork(text: string): Cidr {
  if (/^[0-9a-f.]*:[0-9a-f:.]*\/\d{1,3}$/i.test(text)) {
    throw new RequestError('cidr-invalid', `invalid Non-IPv4 address not supported: ${text}`);
  }
  try {
    return parseSubnet(text);
  } catch (error) {
    if (error instanceof RequestError) throw error;
    throw new RequestError('cidr-invalid', (error as Error).message);
  }
}
