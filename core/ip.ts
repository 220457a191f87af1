/** IPv4 addresses and CIDRs as the user writes them, kept as unsigned 32-bit numbers. */
import { DecodeError } from './errors.js';

declare const ipv4Brand: unique symbol;
/** An unsigned 32-bit integer, network order read as a number. */
export type Ipv4 = number & { readonly [ipv4Brand]: true };

/** An address with its prefix length, host bits kept: `10.2.1.5/24`. */
export interface Cidr {
  readonly address: Ipv4;
  readonly prefixLength: number;
}

/** @throws {DecodeError} `ip-invalid` */
export function parseIpv4(text: string): Ipv4 {
  const match = /^(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})$/.exec(text);
  const octets = match?.slice(1).map(Number);
  if (octets === undefined || octets.some((octet) => octet > 255)) {
    throw new DecodeError('ip-invalid', `invalid IPv4 address "${text.slice(0, 64)}"`);
  }
  return octets.reduce((value, octet) => value * 256 + octet, 0) as Ipv4;
}

export function formatIpv4(address: Ipv4): string {
  return `${address >>> 24}.${(address >>> 16) & 255}.${(address >>> 8) & 255}.${address & 255}`;
}

/** @throws {DecodeError} `cidr-invalid`; the message names the text and the expected form. */
export function parseCidr(text: string): Cidr {
  const slash = text.indexOf('/');
  const length = slash < 0 ? '' : text.slice(slash + 1);
  const prefixLength = /^\d{1,2}$/.test(length) ? Number(length) : -1;
  if (prefixLength < 0 || prefixLength > 32) {
    throw new DecodeError('cidr-invalid', `invalid CIDR address: ${text.slice(0, 64)}`);
  }
  try {
    return { address: parseIpv4(text.slice(0, slash)), prefixLength };
  } catch {
    throw new DecodeError('cidr-invalid', `invalid CIDR address: ${text.slice(0, 64)}`);
  }
}

export function formatCidr(cidr: Cidr): string {
  return `${formatIpv4(cidr.address)}/${cidr.prefixLength}`;
}

/** The network a CIDR lies in, host bits cleared. */
export function networkOf(cidr: Cidr): Cidr {
  return {
    address: ((cidr.address & prefixMask(cidr.prefixLength)) >>> 0) as Ipv4,
    prefixLength: cidr.prefixLength,
  };
}

export function cidrContains(network: Cidr, address: Ipv4): boolean {
  const mask = prefixMask(network.prefixLength);
  return (network.address & mask) === (address & mask);
}

function prefixMask(prefixLength: number): number {
  return prefixLength === 0 ? 0 : -1 << (32 - prefixLength);
}
