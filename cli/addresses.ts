/**
 * Address arguments. They come first; the first word that is none ends the list. No address means
 * `net:default`; the router decides whether it can choose one.
 * Source: reference/cli.md 3.
 */
import type { AddressText } from '../router/api-types.js';
import { UsageFailure } from './exit.js';

const CIDR = String.raw`\d{1,3}(?:\.\d{1,3}){3}\/\d{1,2}`;
const ADDRESS = new RegExp(`^(?:net:default|(?:net:|ip:)?${CIDR})$`);

export interface AddressArguments {
  readonly addresses: readonly AddressText[];
  readonly rest: readonly string[];
}

/** @throws {UsageFailure} for an address at a wrong place or without prefix. */
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
  return { addresses, rest };
}

/** The original prints addresses without their prefix. */
export function withoutPrefixes(cidrs: readonly string[]): string {
  return cidrs.map((cidr) => cidr.split('/')[0]).join(' ');
}
