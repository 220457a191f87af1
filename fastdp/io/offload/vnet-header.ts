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
export const TCP_FIN = 0x01;
export const TCP_PSH = 0x08;
export const TCP_ACK = 0x10;
export const TCP_CWR = 0x80;

/**
 * Sum of 16-bit big-endian words, carries folded to 16 bits once. Reads eight bytes at a time in
 * little-endian order, since a ones' complement sum may be byte-swapped at the end (RFC 1071
 * section 2B). An odd last byte counts as the high half of a word.
 */
export function sumWords(view: DataView, offset: number, bytes: number): number {
  let low = 0;
  let high = 0;
  let at = offset;
  const end = offset + bytes;
  // At most 2^14 steps of 2^17 each before 31 bits are full: 128 KiB, twice the largest frame.
  for (const last = end - 8; at <= last; at += 8) {
    const a = view.getInt32(at, true);
    const b = view.getInt32(at + 4, true);
    low = (low + (a & 0xffff) + (b & 0xffff)) | 0;
    high = (high + (a >>> 16) + (b >>> 16)) | 0;
  }
  let sum = low + high;
  for (; at + 1 < end; at += 2) sum += view.getUint16(at, true);
  if (at < end) sum += view.getUint8(at);
  const folded = foldSum(sum);
  return ((folded & 0xff) << 8) | (folded >>> 8);
}

/** Carries of a running sum (below 2^48) folded into 16 bits; not complemented. */
export function foldSum(sum: number): number {
  let folded = sum;
  while (folded > 0xffff) folded = (folded % 0x1_0000) + Math.floor(folded / 0x1_0000);
  return folded;
}

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
