/**
 * Decides what an attach or detach has to change, from what is there. Pure; workloads.ts does it.
 * Source: reference/host-network.md 4.
 */
import { RequestError } from '../../core/errors.js';
import { type Cidr, formatCidr } from '../../core/ip.js';
import { hasAddress, hasCidr, MULTICAST_NETWORK } from './addresses.js';
import type { LinkState, RouteState } from './link-state.js';
import { WORKLOAD_PORT_PREFIX, workloadPortName } from './names.js';

/** Most addresses of one workload: the rules of its namespace have a line for each. */
export const MAX_WORKLOAD_ADDRESSES = 256;

export interface WorkloadFacts {
  readonly target: string;
  readonly interfaceName: string;
  readonly bridge: LinkState;
  readonly hostLinks: readonly LinkState[];
  readonly netnsInode: number;
  /** Whether the far end of a pair lies in the workload's namespace. */
  readonly leadsThere: (port: LinkState) => boolean;
  readonly netnsLinks: readonly LinkState[];
}

export interface WorkloadInterface {
  /** In the workload's namespace. */
  readonly link: LinkState;
  /** The other end, on the host. */
  readonly port: LinkState;
}

/**
 * The interface that an earlier attach left in the namespace.
 * @returns null if there is none of that name.
 * @throws {RequestError} `interface-foreign` if its name is taken by something that is not on our
 * bridge.
 */
export function findWorkloadInterface(facts: WorkloadFacts): WorkloadInterface | null {
  const { interfaceName, bridge } = facts;
  const link = facts.netnsLinks.find((candidate) => candidate.name === interfaceName);
  if (link === undefined) return null;
  const port = facts.hostLinks.find(
    (candidate) =>
      candidate.kind === 'veth' &&
      candidate.index === link.peerIndex &&
      candidate.peerIndex === link.index &&
      facts.leadsThere(candidate),
  );
  // Without a master it may be anybody's, unless its name says that it has lost our bridge.
  const isOrphan = port?.master === null && port.name.startsWith(WORKLOAD_PORT_PREFIX);
  const isOurs = port?.master === bridge.name || isOrphan;
  if (link.kind === 'veth' && port !== undefined && isOurs) return { link, port };
  throw new RequestError(
    'interface-foreign',
    `"${facts.target}" already has an interface "${interfaceName}" that is not connected to the ` +
      `bridge "${bridge.name}"`,
    409,
  );
}

/** Host-side commands that make a new pair whose other end is born inside the namespace. */
export function createCommands(
  facts: WorkloadFacts,
  netnsPath: string,
  mtuBytes: number,
): string[] {
  const port = workloadPortName(facts.netnsInode, facts.interfaceName);
  const alias = facts.target;
  return [
    // A port of that name belongs to this namespace, but its other end has lost its name there.
    ...(facts.hostLinks.some((link) => link.name === port) ? [`link del dev ${port}`] : []),
    `link add name ${port} mtu ${mtuBytes} type veth ` +
      `peer name ${facts.interfaceName} mtu ${mtuBytes} netns ${netnsPath}`,
    // What the user called the workload, for `weave ps`; only if no quoting can go wrong.
    ...(/^[\w.:@/+-]{1,200}$/.test(alias) ? [`link set dev ${port} alias ${alias}`] : []),
    `link set dev ${port} master ${facts.bridge.name}`,
  ];
}

/** Addresses to add: compared by address alone, so an existing one keeps its prefix. */
export function missingAddresses(present: readonly Cidr[], wanted: readonly Cidr[]): Cidr[] {
  const missing: Cidr[] = [];
  for (const cidr of wanted) {
    if (!hasAddress(present, cidr) && !hasAddress(missing, cidr)) missing.push(cidr);
  }
  if (present.length + missing.length > MAX_WORKLOAD_ADDRESSES) {
    throw new RequestError(
      'too-many-addresses',
      `a workload may have at most ${MAX_WORKLOAD_ADDRESSES} addresses`,
    );
  }
  return missing;
}

/**
 * Addresses to remove; an empty wish means all.
 * @throws {RequestError} `address-not-attached` before anything is changed.
 */
export function removableAddresses(
  target: string,
  present: readonly Cidr[],
  wanted: readonly Cidr[],
): Cidr[] {
  const absent = wanted.find((cidr) => !hasCidr(present, cidr));
  if (absent !== undefined) {
    throw new RequestError(
      'address-not-attached',
      `cannot assign requested address: ${formatCidr(absent)} is not attached to "${target}"`,
      409,
    );
  }
  return wanted.length === 0 ? [...present] : present.filter((cidr) => hasCidr(wanted, cidr));
}

export function addAddressCommand(cidr: Cidr, interfaceName: string): string {
  // `brd +` sets the network's broadcast address, which networks of 31 and 32 bits lack.
  const broadcast = cidr.prefixLength < 31 ? ' brd +' : '';
  return `addr add ${formatCidr(cidr)}${broadcast} dev ${interfaceName}`;
}

export function deleteAddressCommand(cidr: Cidr, interfaceName: string): string {
  return `addr del ${formatCidr(cidr)} dev ${interfaceName}`;
}

export type MulticastRoute = 'present' | 'missing' | 'elsewhere';

/** Whether the namespace sends multicast through our interface. */
export function multicastRoute(
  routes: readonly RouteState[],
  interfaceName: string,
): MulticastRoute {
  const found = routes.filter((route) => route.destination === MULTICAST_NETWORK);
  if (found.some((route) => route.device === interfaceName)) return 'present';
  return found.length > 0 ? 'elsewhere' : 'missing';
}
