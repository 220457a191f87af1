/**
 * Decides from the links of a host what must be done so that there is one Weave bridge in the right
 * shape: create it, adopt the one of an earlier run or of Weave Net 2, or refuse.
 * Source: reference/host-network.md 1, 2, 3.
 */
import { WeaveError } from '../../core/errors.js';
import { DEFAULT_MTU } from '../../core/limits.js';
import type { LinkState } from './link-state.js';
import { ORIGINAL_BRIDGE_PORT, ORIGINAL_CAPTURE_PORT, WORKLOAD_PORT_PREFIX } from './names.js';

/** Largest MTU of a TAP device: 65 535 minus an Ethernet header. Larger packets could not pass. */
export const MAX_BRIDGE_MTU = 65521;
/** RFC 791: every link carries packets of 68 bytes. */
export const MIN_BRIDGE_MTU = 68;

export interface BridgeOptions {
  readonly bridge: string;
  readonly tapName: string;
  /** Bytes of IP packet; null: keep an existing bridge's, else 1376. */
  readonly mtu: number | null;
  /** `aa:bb:cc:dd:ee:ff`, the peer name; a new bridge gets it as its MAC. */
  readonly peerMac: string;
}

export interface BridgePlan {
  /** For `ip -batch`, in order. The bridge is brought up later, after its settings are made. */
  readonly commands: readonly string[];
  readonly adopted: boolean;
  readonly mtuBytes: number;
  /** Constant texts for the log. */
  readonly warnings: readonly string[];
}

export interface BridgeFacts {
  readonly links: readonly LinkState[];
  /** The router's own data plane already has the TAP device open. */
  readonly ownsTap: boolean;
  /** Some process captures packets on this link. */
  readonly isCaptured: (link: LinkState) => boolean;
}

/** @throws {WeaveError} `bridge-type-differs`, `bridge-name-taken`, `router-running` */
export function planBridge(options: BridgeOptions, facts: BridgeFacts): BridgePlan {
  const { bridge } = options;
  const existing = facts.links.find((link) => link.name === bridge);
  refuseForeign(bridge, existing);
  refuseSecondRouter(options, facts);
  const original = removeOriginalPort(bridge, facts);
  const mtuBytes = Math.min(options.mtu ?? existing?.mtu ?? DEFAULT_MTU, MAX_BRIDGE_MTU);
  const commands = [...original.commands];
  const warnings = [...original.warnings];
  if (existing === undefined) {
    commands.push(
      `link add name ${bridge} address ${options.peerMac} mtu ${mtuBytes} type bridge stp_state 0`,
      // With snooping on, multicast that no local member asked for would not reach the TAP device.
      `link set dev ${bridge} type bridge mcast_snooping 0`,
      // Workloads of a bridge that somebody deleted are still there, without a master.
      ...facts.links
        .filter(isOrphan)
        .map((link) => `link set dev ${link.name} master ${bridge} up`),
    );
    commands.push(...pinMtu(bridge, mtuBytes));
    return { commands, adopted: false, mtuBytes, warnings };
  }
  if (existing.stp) commands.push(`link set dev ${bridge} type bridge stp_state 0`);
  if (existing.multicastSnooping) {
    commands.push(`link set dev ${bridge} type bridge mcast_snooping 0`);
  }
  commands.push(...pinMtu(bridge, mtuBytes));
  if (existing.mac !== options.peerMac) {
    warnings.push('the MAC of the existing bridge differs from the peer name');
  }
  return { commands, adopted: true, mtuBytes, warnings };
}

/**
 * A bridge follows the MTU of its ports until somebody changes it, and setting what it already has
 * is no change to the kernel (br_change_mtu). So it takes a detour.
 */
function pinMtu(bridge: string, mtuBytes: number): string[] {
  const detour = mtuBytes < MAX_BRIDGE_MTU ? mtuBytes + 1 : mtuBytes - 1;
  return [`link set dev ${bridge} mtu ${detour}`, `link set dev ${bridge} mtu ${mtuBytes}`];
}

function refuseForeign(bridge: string, existing: LinkState | undefined): void {
  if (existing === undefined || existing.kind === 'bridge') return;
  if (existing.kind === 'openvswitch') {
    throw new WeaveError(
      'bridge-type-differs',
      `"${bridge}" is a datapath of the kernel (bridge type "fastdp" of Weave Net 2), not a ` +
        'bridge; remove it with "weave reset" of that version',
    );
  }
  throw new WeaveError(
    'bridge-name-taken',
    `an interface named "${bridge}" exists and is no bridge; remove it or choose another name ` +
      'with --weave-bridge',
  );
}

/** The kernel refuses a second opener of the TAP as well; here the user learns why. */
function refuseSecondRouter({ bridge, tapName }: BridgeOptions, facts: BridgeFacts): void {
  const tap = facts.links.find((link) => link.name === tapName);
  const inUse = tap?.up === true && tap.carrier && !facts.ownsTap;
  const capture = facts.links.find((link) => link.name === ORIGINAL_CAPTURE_PORT);
  const captured = capture !== undefined && facts.isCaptured(capture);
  if (!inUse && !captured) return;
  const why = inUse
    ? `device "${tapName}" is open`
    : `Weave Net 2 captures on "${ORIGINAL_CAPTURE_PORT}"`;
  throw new WeaveError(
    'router-running',
    `another router already works on the bridge "${bridge}" (${why}); stop it first`,
  );
}

/**
 * The original's port leads to its capture device or kernel datapath. Left in place beside our TAP
 * it could carry each frame twice; the original makes it anew when it starts.
 */
function removeOriginalPort(
  bridge: string,
  { links }: BridgeFacts,
): { commands: string[]; warnings: string[] } {
  const port = links.find((link) => link.name === ORIGINAL_BRIDGE_PORT);
  const ours = port !== undefined && (port.master === bridge || port.master === null);
  if (!ours) return { commands: [], warnings: [] };
  const viaDatapath = port.peerName !== null && port.peerName !== ORIGINAL_CAPTURE_PORT;
  return {
    commands: [`link del dev ${ORIGINAL_BRIDGE_PORT}`],
    warnings: viaDatapath
      ? ['the kernel datapath of Weave Net 2 remains; "weave reset" of that version removes it']
      : [],
  };
}

function isOrphan(link: LinkState): boolean {
  return link.name.startsWith(WORKLOAD_PORT_PREFIX) && link.kind === 'veth' && !link.master;
}

/**
 * Settings of §5: re-used addresses are noticed fast, and no router of the overlay may configure
 * IPv6 on our interfaces.
 */
export function neighbourSettings(interfaceName: string): [key: string, value: string][] {
  const base = `net/ipv4/neigh/${interfaceName}`;
  return [
    [`${base}/base_reachable_time`, '5'],
    [`${base}/delay_first_probe_time`, '2'],
    [`${base}/ucast_solicit`, '1'],
    // Otherwise removing one address takes the others of the same network along.
    [`net/ipv4/conf/${interfaceName}/promote_secondaries`, '1'],
    // The kernel tells the neighbours when an address appears with an interface, or moves.
    [`net/ipv4/conf/${interfaceName}/arp_notify`, '1'],
    noRouterAdvertisements(interfaceName),
  ];
}

export function noRouterAdvertisements(interfaceName: string): [key: string, value: string] {
  return [`net/ipv6/conf/${interfaceName}/accept_ra`, '0'];
}

/** A mere port of the bridge: without this it would talk IPv6 into the overlay by itself. */
export function portSettings(interfaceName: string): [key: string, value: string][] {
  return [
    noRouterAdvertisements(interfaceName),
    [`net/ipv6/conf/${interfaceName}/disable_ipv6`, '1'],
  ];
}
