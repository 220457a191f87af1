/**
 * The options of the allocator: how each is read, and what they mean together. Texts of errors are
 * the original's where it had them. Source: reference/ipam.md 2.1, 10.1.
 */
import { ConfigError } from '../core/errors.js';
import { type Cidr, formatCidr } from '../core/ip.js';
import { formatPeerName, type PeerName, parsePeerName } from '../core/peer-name.js';
import type { IpamInit } from '../ipam/interfaces.js';
import { overlaps, parseSubnet, rangeOf } from '../ipam/range.js';

export const DEFAULT_IPALLOC_RANGE = '10.32.0.0/12';
/** A take-over sooner than this would hit peers that only restart. */
const MIN_RECLAIM_MS = 5 * 60_000;
const MAX_RECLAIM_MS = 365 * 24 * 3600_000;
/** More first owners than any mesh has peers is a mistake. */
const MAX_PEERS = 10_000;

export interface IpamConfig {
  readonly universe: Cidr;
  readonly defaultSubnet: Cidr;
  readonly init: IpamInit;
  /** null: ranges of dead peers pass to others by `weave rmpeer` only. */
  readonly reclaimAfterMs: number | null;
  /** Start although a route of this host lies in the range. */
  readonly allowOverlap: boolean;
}

/** @returns null for nothing. @throws {Error} with the reason. */
export function parseOptionalSubnet(text: string): Cidr | null {
  return text === '' ? null : parseSubnet(text);
}

/** `consensus`, `consensus=N`, `seed=NAME,NAME…`, `observer`, or nothing. @throws {Error} */
export function parseIpamInit(text: string): IpamInit {
  const [mode = '', ...rest] = text.split('=');
  const parameter = rest.length === 0 ? null : rest.join('=');
  const fail = (why: string): Error => new Error(`Unable to parse --ipalloc-init: ${why}`);
  switch (mode) {
    case '':
    case 'consensus': {
      if (parameter === null) return { mode: 'consensus', peers: null };
      const peers = /^\d{1,5}$/.test(parameter) ? Number(parameter) : -1;
      if (peers < 0 || peers > MAX_PEERS) {
        throw fail(`bad consensus parameter: "${parameter}", expected a number of peers`);
      }
      return { mode: 'consensus', peers: peers === 0 ? null : peers };
    }
    case 'seed':
      if (parameter === null) throw fail('seed mode requires peer name list');
      // The original takes an empty list as no list.
      if (parameter === '') return { mode: 'consensus', peers: null };
      return { mode: 'seed', peers: parameter.split(',').map((name) => parseSeed(name, fail)) };
    case 'observer':
      if (parameter !== null) throw fail('observer mode takes no parameter');
      return { mode: 'observer' };
    default:
      throw fail(`unknown mode: ${mode.slice(0, 64)}`);
  }
}

function parseSeed(text: string, fail: (why: string) => Error): PeerName {
  try {
    return parsePeerName(text.trim());
  } catch {
    const name = text.slice(0, 64);
    throw fail(`bad seed parameter: error parsing peer names: invalid peer name format: "${name}"`);
  }
}

const UNITS: Readonly<Record<string, number>> = { s: 1000, m: 60_000, h: 3600_000, d: 86_400_000 };

/** `30m`, `36h`; nothing or 0 is never. @throws {Error} with what is expected. */
export function parseReclaimAfter(text: string): number | null {
  if (text === '' || text === '0') return null;
  const match = /^(\d{1,9})([smhd])$/.exec(text);
  const ms = Number(match?.[1]) * (UNITS[match?.[2] ?? ''] ?? Number.NaN);
  if (ms >= MIN_RECLAIM_MS && ms <= MAX_RECLAIM_MS) return ms;
  throw new Error(
    `expected a time from 5m to 365d, like 30m or 24h, or 0 for never, got "${text.slice(0, 64)}"`,
  );
}

export interface IpamOptionValues {
  readonly 'ipalloc-range': Cidr | null;
  readonly 'ipalloc-default-subnet': Cidr | null;
  readonly 'ipalloc-init': IpamInit;
  readonly 'ipalloc-reclaim-after': number | null;
  readonly 'ipalloc-allow-overlap': boolean;
}

/**
 * @param given names of the options that somebody set to something.
 * @returns null if the allocator is off. @throws {ConfigError}
 */
export function buildIpamConfig(
  values: IpamOptionValues,
  given: ReadonlySet<string>,
): IpamConfig | null {
  const universe = values['ipalloc-range'];
  const subnet = values['ipalloc-default-subnet'];
  if (universe === null) {
    for (const option of ['ipalloc-default-subnet', 'ipalloc-init', 'ipalloc-reclaim-after']) {
      if (!given.has(option)) continue;
      throw new ConfigError(`--${option}`, `specified without --ipalloc-range.`);
    }
    return null;
  }
  if (subnet !== null && !overlaps(rangeOf(subnet), rangeOf(universe))) {
    throw new ConfigError(
      '--ipalloc-default-subnet',
      `IP address allocation default subnet ${formatCidr(subnet)} does not overlap with ` +
        `allocation range ${formatCidr(universe)}`,
    );
  }
  return Object.freeze({
    universe,
    defaultSubnet: subnet ?? universe,
    init: values['ipalloc-init'],
    reclaimAfterMs: values['ipalloc-reclaim-after'],
    allowOverlap: values['ipalloc-allow-overlap'],
  });
}

/** A seed list is not worth anything to a peer that no other peer counts in; say so. */
export function ipamWarnings(config: IpamConfig | null, name: PeerName | null): string[] {
  if (config?.init.mode !== 'seed' || name === null || config.init.peers.includes(name)) return [];
  const own = formatPeerName(name);
  return [`--ipalloc-init: ${own} (this peer) is not in the seed list and owns nothing at first`];
}
