/**
 * The flow of a dropped packet from its first bytes: IPv4 or IPv6 and the ports of TCP, UDP and
 * SCTP. Source: RFC 791, RFC 8200 section 4, RFC 9293, RFC 768, RFC 9260.
 */
import { formatIpv4, type Ipv4 } from '../../../core/ip.js';
import { formatAddress } from '../address.js';

/** Enough for the longest headers that are read: IPv4 with options, or IPv6 with a few more. */
export const PACKET_COPY_BYTES = 160;

export type FlowProtocol = 'TCP' | 'UDP' | 'SCTP' | 'ICMP' | 'ICMPv6' | 'other';

export interface PacketFlow {
  readonly protocol: FlowProtocol;
  /** Texts as a pod's status has them: dotted, or IPv6 in its short form. */
  readonly source: string;
  readonly destination: string;
  /** 0 where the protocol has none, or in later fragments. */
  readonly sourcePort: number;
  readonly destinationPort: number;
  /** TCP: SYN without ACK. Others: true. */
  readonly opens: boolean;
}

const PROTOCOLS: ReadonlyMap<number, FlowProtocol> = new Map([
  [1, 'ICMP'],
  [6, 'TCP'],
  [17, 'UDP'],
  [58, 'ICMPv6'],
  [132, 'SCTP'],
]);
/** Hop-by-hop, routing, destination options: each says its own length in units of 8 bytes. */
const EXTENSIONS: ReadonlySet<number> = new Set([0, 43, 60]);
const FRAGMENT = 44;
const MAX_EXTENSIONS = 8;

/** @returns null for bytes that are no whole header. */
export function parseFlow(packet: Uint8Array): PacketFlow | null {
  const version = (packet[0] ?? 0) >> 4;
  if (version === 4) return parseIpv4Flow(packet);
  if (version === 6) return parseIpv6Flow(packet);
  return null;
}

function parseIpv4Flow(packet: Uint8Array): PacketFlow | null {
  const headerBytes = ((packet[0] ?? 0) & 15) * 4;
  if (headerBytes < 20 || packet.length < headerBytes) return null;
  const view = viewOf(packet);
  const isLater = (view.getUint16(6) & 0x1fff) !== 0;
  return flow(
    view.getUint8(9),
    formatIpv4(view.getUint32(12) as Ipv4),
    formatIpv4(view.getUint32(16) as Ipv4),
    isLater ? new Uint8Array(0) : packet.subarray(headerBytes),
  );
}

function parseIpv6Flow(packet: Uint8Array): PacketFlow | null {
  if (packet.length < 40) return null;
  const view = viewOf(packet);
  let next = view.getUint8(6);
  let at = 40;
  let isLater = false;
  for (let count = 0; count < MAX_EXTENSIONS && at + 8 <= packet.length; count++) {
    if (next === FRAGMENT) {
      isLater ||= (view.getUint16(at + 2) & 0xfff8) !== 0;
      next = view.getUint8(at);
      at += 8;
    } else if (EXTENSIONS.has(next)) {
      next = view.getUint8(at);
      at += (view.getUint8(at + 1) + 1) * 8;
    } else break;
  }
  const rest = isLater || at > packet.length ? new Uint8Array(0) : packet.subarray(at);
  return flow(
    next,
    formatAddress(packet.subarray(8, 24)),
    formatAddress(packet.subarray(24, 40)),
    rest,
  );
}

function flow(
  number: number,
  source: string,
  destination: string,
  transport: Uint8Array,
): PacketFlow {
  const protocol = PROTOCOLS.get(number) ?? 'other';
  const hasPorts = protocol === 'TCP' || protocol === 'UDP' || protocol === 'SCTP';
  const view = viewOf(transport);
  const isWhole = hasPorts && transport.length >= 4;
  const flags = protocol === 'TCP' && transport.length >= 14 ? view.getUint8(13) : 0x02;
  return {
    protocol,
    source,
    destination,
    sourcePort: isWhole ? view.getUint16(0) : 0,
    destinationPort: isWhole ? view.getUint16(2) : 0,
    opens: protocol !== 'TCP' || (flags & 0x12) === 0x02,
  };
}

const viewOf = (bytes: Uint8Array): DataView =>
  new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
