/**
 * Open checksums: a frame whose TCP or UDP checksum field holds only the sum of the pseudo header,
 * as interfaces with checksum offload leave it. Between routers of ours frames travel like this,
 * since the datagram is protected as a whole, and no router has to read payloads twice.
 *
 * There is no flag: the field tells. A complete checksum equals the pseudo header's sum once in
 * 65 536 frames. Completing such a one gives the same value again if it was right; if it was wrong,
 * an error passes with the probability with which any checksum lets one pass.
 * Source: RFC 768, RFC 9293 3.1, RFC 8200 8.1; VIRTIO 1.2 section 5.1.6.2.
 */
import { ETHERNET_HEADER_BYTES } from '../core/limits.js';
import { completeChecksum, ViewCache } from './checksum.js';
import { ETHERTYPE_IPV4, ETHERTYPE_IPV6 } from './frame.js';
import { readU16 } from './wire.js';

const ETHERTYPE_VLAN = 0x8100;
const ETHERTYPE_QINQ = 0x88a8;
const PROTOCOL_TCP = 6;
const PROTOCOL_UDP = 17;
const TCP_FIELD = 16;
const UDP_FIELD = 6;
const IPV4_BYTES = 20;
const IPV6_BYTES = 40;
/** More fragments, or not the first one. */
const FRAGMENT_MASK = 0x3fff;

/** Looks for open checksums; the fields tell of the frame looked at last. */
export class OpenChecksum {
  /** Offset of the transport header from the frame's first byte. */
  transport = 0;
  /** Offset of the checksum field from the transport header. */
  field = 0;
  readonly #views = new ViewCache();

  /**
   * Only whole TCP and UDP packets that end with their frame count: IPv4 unfragmented, IPv6 without
   * extension headers, up to two VLAN tags.
   * @returns true if the checksum is open.
   */
  find(buffer: Uint8Array, offset: number, frameBytes: number): boolean {
    let ip = ETHERNET_HEADER_BYTES;
    if (frameBytes < ip + IPV4_BYTES + 8) return false;
    let type = readU16(buffer, offset + ip - 2);
    while (type === ETHERTYPE_VLAN || type === ETHERTYPE_QINQ) {
      ip += 4;
      if (ip > ETHERNET_HEADER_BYTES + 8 || frameBytes < ip + IPV4_BYTES + 8) return false;
      type = readU16(buffer, offset + ip - 2);
    }
    if (type === ETHERTYPE_IPV4) return this.#findIpv4(buffer, offset, ip, frameBytes);
    if (type === ETHERTYPE_IPV6) return this.#findIpv6(buffer, offset, ip, frameBytes);
    return false;
  }

  /** Completes the checksum if it is open. */
  complete(buffer: Uint8Array, offset: number, frameBytes: number): void {
    if (!this.find(buffer, offset, frameBytes)) return;
    const { transport, field } = this;
    const view = this.#views.of(buffer);
    completeChecksum(view, offset + transport, frameBytes - transport, field);
  }

  #findIpv4(buffer: Uint8Array, offset: number, ip: number, frameBytes: number): boolean {
    const at = offset + ip;
    const version = buffer[at] as number;
    const headerBytes = (version & 0x0f) * 4;
    if (version >>> 4 !== 4 || headerBytes < IPV4_BYTES) return false;
    if ((readU16(buffer, at + 6) & FRAGMENT_MASK) !== 0) return false;
    if (readU16(buffer, at + 2) !== frameBytes - ip) return false;
    return this.#test(
      buffer,
      offset,
      ip + headerBytes,
      frameBytes,
      buffer[at + 9] as number,
      12,
      ip,
    );
  }

  #findIpv6(buffer: Uint8Array, offset: number, ip: number, frameBytes: number): boolean {
    const at = offset + ip;
    if (frameBytes < ip + IPV6_BYTES + 8 || (buffer[at] as number) >>> 4 !== 6) return false;
    if (readU16(buffer, at + 4) !== frameBytes - ip - IPV6_BYTES) return false;
    const transport = ip + IPV6_BYTES;
    return this.#test(buffer, offset, transport, frameBytes, buffer[at + 6] as number, 8, ip);
  }

  /** Compares the field with the sum of addresses, protocol and length. */
  #test(
    buffer: Uint8Array,
    offset: number,
    transport: number,
    frameBytes: number,
    protocol: number,
    addresses: number,
    ip: number,
  ): boolean {
    if (protocol !== PROTOCOL_TCP && protocol !== PROTOCOL_UDP) return false;
    const field = protocol === PROTOCOL_TCP ? TCP_FIELD : UDP_FIELD;
    const bytes = frameBytes - transport;
    if (bytes < field + 2) return false;
    let sum = protocol + bytes;
    const end = offset + ip + (addresses === 12 ? IPV4_BYTES : IPV6_BYTES);
    for (let at = offset + ip + addresses; at < end; at += 2) sum += readU16(buffer, at);
    while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
    if (readU16(buffer, offset + transport + field) !== sum) return false;
    this.transport = transport;
    this.field = field;
    return true;
  }
}
