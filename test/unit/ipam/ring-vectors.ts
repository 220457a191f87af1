/** The forms in which the golden data writes addresses, ranges and rings. */
import { type Ipv4, parseIpv4 } from '../../../core/ip.js';
import { formatPeerName, type PeerName, parsePeerName } from '../../../core/peer-name.js';
import type { RingState } from '../../../ipam/interfaces.js';
import type { AddressRange } from '../../../ipam/range.js';

export type RangeText = readonly [start: string, end: string];

export interface RingText {
  readonly start: string;
  readonly end: string;
  readonly peer: string;
  readonly entries: readonly {
    readonly token: string;
    readonly peer: string;
    readonly version: number;
    readonly free: number;
  }[];
  readonly seeds: readonly string[];
}

/** An end of 0.0.0.0 stands for 2^32. */
export function rangeFrom([start, end]: RangeText): AddressRange {
  return { start: parseIpv4(start), end: parseIpv4(end) || 2 ** 32 };
}

export function ringFrom(text: RingText): RingState & { peer: PeerName } {
  return {
    ...rangeFrom([text.start, text.end]),
    start: parseIpv4(text.start),
    peer: parsePeerName(text.peer),
    entries: text.entries.map(({ token, peer, version, free }) => ({
      token: parseIpv4(token),
      peer: parsePeerName(peer),
      version,
      free,
    })),
    seeds: text.seeds.map(parsePeerName),
  };
}

/** One line per entry, for comparing. */
export function showEntries(entries: RingState['entries']): string[] {
  return entries.map(
    ({ token, peer, version, free }) => `${token} ${formatPeerName(peer)} v${version} f${free}`,
  );
}

export const addressFrom = (text: string): Ipv4 => parseIpv4(text);
