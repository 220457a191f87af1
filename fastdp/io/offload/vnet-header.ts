/**
 * The header before each frame of a TAP device with IFF_VNET_HDR, in the machine's byte order:
 *
 *   +0 flags          +1 gso_type         +2 hdr_len (2)
 *   +4 gso_size (2)   +6 csum_start (2)   +8 csum_offset (2)
 *
 * It lets one read or write carry many TCP segments as one large frame, and leaves transport
 * checksums open. Source: VIRTIO 1.2 section 5.1.6, linux/virtio_net.h.
 */
export const VNET_HEADER_BYTES = 10;
export const VnetField = {
  flags: 0,
  gsoType: 1,
  headerBytes: 2,
  gsoSize: 4,
  checksumStart: 6,
  checksumOffset: 8,
} as const;
/** The checksum field holds the sum of the pseudo header; the rest is left to the receiver. */
export const NEEDS_CHECKSUM = 1;
export const GSO_NONE = 0;
export const GSO_TCPV4 = 1;
export const GSO_TCPV6 = 4;
/** Set in gso_type besides; the kernel repeats nothing of ECN that we would have to. */
export const GSO_ECN = 0x80;

export const ETHERTYPE_IPV4 = 0x0800;
export const ETHERTYPE_IPV6 = 0x86dd;
export const ETHERTYPE_VLAN = 0x8100;
export const ETHERTYPE_SERVICE_VLAN = 0x88a8;
export const IPV6_HEADER_BYTES = 40;
export const PROTOCOL_TCP = 6;
export const TCP_PSH = 0x08;
export const TCP_ACK = 0x10;

/** Where the network header starts behind MAC addresses and VLAN tags; its type is at −2. */
export function networkOffset(view: DataView, frameAt: number, frameBytes: number): number {
  let at = 14;
  while (at + 4 <= frameBytes) {
    const type = view.getUint16(frameAt + at - 2);
    if (type !== ETHERTYPE_VLAN && type !== ETHERTYPE_SERVICE_VLAN) break;
    at += 4;
  }
  return at;
}
