/**
 * Names of interfaces, tables and settings on a host. The prefix `vethwe` is the original's: its
 * own `weave reset` removes what we leave, and ours removes what it left.
 * Source: reference/host-network.md 3.
 */
import { createHash } from 'node:crypto';
import { ConfigError } from '../../core/errors.js';

/** IFNAMSIZ minus the terminating zero. */
export const MAX_INTERFACE_NAME = 15;
/** Every interface with this prefix belongs to Weave. */
export const INTERFACE_PREFIX = 'vethwe';
/** The port of the bridge through which the data plane sees the overlay. */
export const DEFAULT_TAP_NAME = 'vethwe-tap';
export const DEFAULT_BRIDGE_NAME = 'weave';
export const WORKLOAD_INTERFACE = 'ethwe';
/** Host ends of workload pairs start like this. */
export const WORKLOAD_PORT_PREFIX = 'vethwepl';
/** The original's pair between its bridge and its packet capture or kernel datapath. */
export const ORIGINAL_BRIDGE_PORT = 'vethwe-bridge';
export const ORIGINAL_CAPTURE_PORT = 'vethwe-pcap';
/** Our nftables table, family ip, on the host and in each workload's namespace. */
export const NFT_TABLE = 'weave';

const SUFFIX_LENGTH = MAX_INTERFACE_NAME - WORKLOAD_PORT_PREFIX.length;
const SUFFIX_LIMIT = 36 ** SUFFIX_LENGTH;

/**
 * Name of the host end for the workload in a namespace. The number of a namespace has 32 bits and
 * fits in seven base-36 digits as a whole, so two living namespaces never share a name, however
 * the user spells them. (Seven characters of a container id, the original's choice, can collide.)
 * Interfaces of other names in the same namespace get a hash instead.
 */
export function workloadPortName(netnsInode: number, interfaceName = WORKLOAD_INTERFACE): string {
  let value = netnsInode;
  if (interfaceName !== WORKLOAD_INTERFACE || netnsInode >= SUFFIX_LIMIT) {
    const digest = createHash('sha256').update(`${netnsInode} ${interfaceName}`).digest();
    value = digest.readUIntBE(0, 6) % SUFFIX_LIMIT;
  }
  return WORKLOAD_PORT_PREFIX + value.toString(36).padStart(SUFFIX_LENGTH, '0');
}

/** Whether the kernel, command lines and rule scripts can carry the name as it is. */
export function isInterfaceName(name: string): boolean {
  return name.length <= MAX_INTERFACE_NAME && /^[A-Za-z_][A-Za-z0-9_.-]*$/.test(name);
}

/** @param field the option as the user writes it. @throws {ConfigError} */
export function checkInterfaceName(field: string, name: string): void {
  if (isInterfaceName(name)) return;
  throw new ConfigError(
    field,
    `"${name.slice(0, 64)}" is no interface name: expected a letter, then at most ` +
      `${MAX_INTERFACE_NAME - 1} letters, digits, dots, dashes or underscores`,
  );
}
