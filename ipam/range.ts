/**
 * Ranges of addresses and what is computed with them. Numbers reach to 2^32, so that a range may
 * end behind 255.255.255.255 without wrapping. Source: reference/ipam.md 2.1.
 */
import { RequestError } from '../core/errors.js';
import { type Cidr, formatCidr, formatIpv4, type Ipv4, parseCidr } from '../core/ip.js';

export const ADDRESS_LIMIT = 2 ** 32;
/** Network, broadcast and two that can be used. */
export const MIN_SUBNET_ADDRESSES = 4;

/** Half-open: `start` up to and without `end`; `end` is at most 2^32. */
export interface AddressRange {
  readonly start: number;
  readonly end: number;
}

export function sizeOf(range: AddressRange): number {
  return range.end - range.start;
}

export function cidrSize(cidr: Cidr): number {
  return 2 ** (32 - cidr.prefixLength);
}

/** From the given address on, which need not be the network's. */
export function rangeOf(cidr: Cidr): AddressRange {
  return { start: cidr.address, end: cidr.address + cidrSize(cidr) };
}

/** Without the first and the last address, which workloads don't get. */
export function hostRangeOf(cidr: Cidr): AddressRange {
  const { start, end } = rangeOf(cidr);
  return { start: start + 1, end: Math.max(start + 1, end - 1) };
}

export function contains(range: AddressRange, address: number): boolean {
  return address >= range.start && address < range.end;
}

export function overlaps(a: AddressRange, b: AddressRange): boolean {
  return a.start < b.end && b.start < a.end;
}

/** `10.32.0.0-10.32.0.9`: first and last. */
export function formatRange(range: AddressRange): string {
  return `${formatIpv4(range.start as Ipv4)}-${formatIpv4((range.end - 1) as Ipv4)}`;
}

/** As a CIDR if the size is a power of two, else as a range. */
export function formatRangeAsCidr(range: AddressRange): string {
  const bits = Math.log2(sizeOf(range));
  if (!Number.isInteger(bits)) return formatRange(range);
  return formatCidr({ address: range.start as Ipv4, prefixLength: 32 - bits });
}

export function isSubnet(cidr: Cidr): boolean {
  return cidr.address % cidrSize(cidr) === 0;
}

/**
 * A network that addresses can be taken from.
 * @throws {DecodeError} `cidr-invalid` if it is no CIDR
 * @throws {RequestError} `ipam-subnet-invalid`, with the original's text
 */
export function parseSubnet(text: string): Cidr {
  const cidr = parseCidr(text);
  const invalid = (why: string): RequestError =>
    new RequestError('ipam-subnet-invalid', `invalid subnet - ${why}: ${text.slice(0, 64)}`);
  if (cidrSize(cidr) < MIN_SUBNET_ADDRESSES) throw invalid('smaller than minimum size 4');
  if (!isSubnet(cidr)) throw invalid('bits after network prefix are not all zero');
  return cidr;
}

function powerBelow(value: number): number {
  return 2 ** Math.floor(Math.log2(value));
}

/** The largest block of a power of two addresses, aligned to its size, within a range. */
export function largestBlock(range: AddressRange): AddressRange {
  const size = sizeOf(range);
  const most = powerBelow(size);
  const past = range.start % most;
  const rest = size - most;
  const block = (offset: number, length: number): AddressRange => ({
    start: range.start + offset,
    end: range.start + offset + length,
  });
  if (past === 0) return block(0, most);
  if (most - past <= rest) return block(most - past, most);
  if (most / 2 >= past) return block(most / 2 - past, most / 2);
  return block(most - past, most / 2);
}

/** The fewest aligned blocks that make up a range, ascending. */
export function blocksOf(range: AddressRange): Cidr[] {
  const blocks: Cidr[] = [];
  let { start } = range;
  while (start < range.end) {
    let size = powerBelow(range.end - start);
    while (start % size !== 0) size /= 2;
    blocks.push({ address: start as Ipv4, prefixLength: 32 - Math.log2(size) });
    start += size;
  }
  return blocks;
}

/** Joins neighbours; the ranges are disjoint and ascending. */
export function mergeAdjacent(ranges: readonly AddressRange[]): AddressRange[] {
  const merged: AddressRange[] = [];
  for (const range of ranges) {
    const last = merged.at(-1);
    if (last !== undefined && last.end === range.start) {
      merged[merged.length - 1] = { start: last.start, end: range.end };
    } else merged.push(range);
  }
  return merged;
}
