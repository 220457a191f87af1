/**
 * When the search for the path MTU tests which sizes, and how long it waits for answers. The
 * first search follows reference/wire-protocol.md 10.7 and 13; the rest is our own.
 */
import { ETHERNET_HEADER_BYTES } from '../core/limits.js';
import { FIRST_PROBE_FRAME_BYTES } from './wire.js';

/** Overlay MTU while nothing is known: frames of any size are tried. */
export const UNKNOWN_MTU = 65535;
export const ASSUMED_GOOD_MTU = 552;
/** The least packet IPv4 must carry (RFC 791); the search ends here and takes it for granted. */
export const LEAST_MTU = 68;
export const PROBE_MTU = FIRST_PROBE_FRAME_BYTES - ETHERNET_HEADER_BYTES;
export const SEARCH_TESTS = 8;
export const SEARCH_WAIT_MS = 10;
export const PROBE_WAITS_MS = [400, 600, 1000];
export const VERIFY_WAITS_MS = [200, 300, 500, 500];
export const SWEEP_WAITS_MS = [250, 400, 650];
export const VERIFY_INTERVAL_MS = 3_000;
export const RAISE_INTERVAL_MS = 5 * 60_000;
/** After a sweep without any answer the path is dead rather than narrow. */
export const SILENT_RETRY_MS = 5_000;
/** How long a late answer to a test of a sweep may still raise the MTU. */
export const LATE_ANSWER_MS = 10_000;
/** Assumed if the system refuses a size without telling which one it wants. */
export const COMMON_UNDERLAY_MTU = 1500;

/**
 * Sizes worth testing all at once when the size in use stops working: what common links and
 * tunnels leave of Ethernet. An exact match ends the search, other paths are bisected from there.
 * Underlay MTUs, descending; each costs a datagram a round, so the list stays short.
 */
const UNDERLAY_MTUS = [
  8951, 4352, 2304, 1500, 1492, 1480, 1460, 1450, 1440, 1430, 1420, 1400, 1380, 1360, 1340, 1320,
  1300, 1280, 1200, 1100, 1000, 800, 576,
];

/** @returns overlay MTUs below `limit`, descending; at most 23. */
export function sweepSizes(limit: number, overheadBytes: number): number[] {
  return UNDERLAY_MTUS.map((underlay) => underlay - overheadBytes).filter((mtu) => mtu < limit);
}
