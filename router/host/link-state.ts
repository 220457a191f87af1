/**
 * Reads what `ip -json -details` prints into the few fields that planning needs. Unknown fields are
 * ignored; a missing one becomes null, since versions of the tool differ.
 */
import { DecodeError } from '../../core/errors.js';
import { type Cidr, parseIpv4 } from '../../core/ip.js';

/**
 * How the ip tool denotes another namespace: by its name in /run/netns where it has one, else by
 * the number the kernel gave it from the point of view of this one.
 */
export type PeerNetns = { readonly name: string } | { readonly id: number };

export interface LinkState {
  readonly index: number;
  readonly name: string;
  /** `bridge`, `veth`, `tun`, `openvswitch` …; empty for hardware. */
  readonly kind: string;
  readonly mac: string;
  readonly mtu: number;
  readonly up: boolean;
  /** The device runs: of a TAP device, somebody holds it open. */
  readonly carrier: boolean;
  /** Name of the bridge it is a port of, or null. */
  readonly master: string | null;
  /** Of a veth: index of the other end, in that end's namespace. */
  readonly peerIndex: number | null;
  /** Of a veth whose other end is in the same namespace: that end's name. */
  readonly peerName: string | null;
  /** Of a veth whose other end is elsewhere: which namespace, null if it is here or unknown. */
  readonly peerNetns: PeerNetns | null;
  readonly hairpin: boolean;
  /** Free text kept with the device; we note the target of an attach there. */
  readonly alias: string;
  /** Of a bridge. */
  readonly stp: boolean;
  readonly multicastSnooping: boolean;
  /** IPv4, global scope, in the kernel's order. Empty unless addresses were asked for. */
  readonly addresses: readonly Cidr[];
}

type Fields = Readonly<Record<string, unknown>>;

/** @throws {DecodeError} `ip-output-invalid` */
export function parseLinks(output: readonly unknown[]): LinkState[] {
  // The tool prints an empty object for each link that a filter left out.
  return output.filter((entry) => 'ifname' in asFields(entry)).map(parseLink);
}

function parseLink(entry: unknown): LinkState {
  const link = asFields(entry);
  const info = asFields(link['linkinfo'] ?? {});
  const bridge = asFields(info['info_data'] ?? {});
  const port = asFields(info['info_slave_data'] ?? {});
  const flags = Array.isArray(link['flags']) ? (link['flags'] as unknown[]) : [];
  return {
    index: numberOr(link['ifindex'], 0),
    name: textOr(link['ifname'], ''),
    kind: textOr(info['info_kind'], ''),
    mac: textOr(link['address'], ''),
    mtu: numberOr(link['mtu'], 0),
    up: flags.includes('UP'),
    carrier: flags.includes('LOWER_UP'),
    master: typeof link['master'] === 'string' ? link['master'] : null,
    peerIndex: typeof link['link_index'] === 'number' ? link['link_index'] : null,
    peerName: typeof link['link'] === 'string' ? link['link'] : null,
    peerNetns: parsePeerNetns(link),
    alias: textOr(link['ifalias'], ''),
    hairpin: port['hairpin'] === true,
    stp: numberOr(bridge['stp_state'], 0) !== 0,
    multicastSnooping: numberOr(bridge['mcast_snooping'], 0) !== 0,
    addresses: parseAddresses(link['addr_info']),
  };
}

function parsePeerNetns(link: Fields): PeerNetns | null {
  const { link_netns: name, link_netnsid: id } = link;
  if (typeof name === 'string') return { name };
  return typeof id === 'number' ? { id } : null;
}

function parseAddresses(list: unknown): Cidr[] {
  if (!Array.isArray(list)) return [];
  return list
    .map(asFields)
    .filter((entry) => entry['family'] === 'inet' && entry['scope'] === 'global')
    .map((entry) => ({
      address: parseIpv4(textOr(entry['local'], '')),
      prefixLength: numberOr(entry['prefixlen'], 32),
    }));
}

/** One route of the main table: destination as text (`default` or a CIDR) and its device. */
export interface RouteState {
  readonly destination: string;
  readonly device: string;
}

export function parseRoutes(output: readonly unknown[]): RouteState[] {
  return output.map(asFields).map((route) => ({
    destination: textOr(route['dst'], ''),
    device: textOr(route['dev'], ''),
  }));
}

export function asFields(value: unknown): Fields {
  if (typeof value !== 'object' || value === null) {
    throw new DecodeError('ip-output-invalid', 'the ip tool printed something else than objects');
  }
  return value as Fields;
}

function numberOr(value: unknown, fallback: number): number {
  return typeof value === 'number' ? value : fallback;
}

function textOr(value: unknown, fallback: string): string {
  return typeof value === 'string' ? value : fallback;
}
