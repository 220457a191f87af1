/**
 * Address arguments. They come first; the first word that is none ends the list.
 * Source: reference/cli.md 3.
 */
import { CommandFailure, EXIT, UsageFailure } from './exit.js';

const CIDR = String.raw`\d{1,3}(?:\.\d{1,3}){3}\/\d{1,2}`;
const ADDRESS = new RegExp(`^(?:net:default|net:${CIDR}|(?:ip:)?${CIDR})$`);

export interface AddressArguments {
  /** `a.b.c.d/n` each. */
  readonly cidrs: readonly string[];
  readonly rest: readonly string[];
}

/**
 * @throws {CommandFailure} for forms that need the allocator, also for no address at all, which
 *   means `net:default`. @throws {UsageFailure} for an address at a wrong place or without prefix.
 */
export function takeAddresses(words: readonly string[]): AddressArguments {
  const end = words.findIndex((word) => !ADDRESS.test(word));
  const addresses = end < 0 ? words : words.slice(0, end);
  const rest = end < 0 ? [] : words.slice(end);
  for (const word of rest) {
    if (ADDRESS.test(word)) throw new UsageFailure(`${word}: addresses come first`);
    if (/^(ip:|net:)?\d{1,3}(\.\d{1,3}){3}$/.test(word)) {
      throw new UsageFailure(`${word}: expected an address with prefix, like ${word}/24`);
    }
  }
  if (addresses.length === 0 || addresses.some((address) => address.startsWith('net:'))) {
    throw new CommandFailure(
      EXIT.failed,
      "IP address allocation must be enabled to use 'net:' or no address; " +
        'this version has no allocator, so give explicit addresses like 10.2.1.5/24',
    );
  }
  return { cidrs: addresses.map((address) => address.replace(/^ip:/, '')), rest };
}

/** The original prints addresses without their prefix. */
export function withoutPrefixes(cidrs: readonly string[]): string {
  return cidrs.map((cidr) => cidr.split('/')[0]).join(' ');
}
