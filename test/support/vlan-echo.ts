/** ICMP echo frames with a VLAN tag, for kernels without VLAN devices. */

const ETHERTYPE_VLAN = 0x8100;
const ETHERTYPE_IPV4 = 0x0800;
const ETHERNET_BYTES = 18;
const IPV4_BYTES = 20;
const ICMP_BYTES = 8;

export interface VlanEcho {
  readonly sourceMac: string;
  readonly destMac: string;
  readonly vlan: number;
  readonly sourceIp: string;
  readonly destIp: string;
  readonly reply: boolean;
  readonly id: number;
  readonly payload: string;
}

/** RFC 1071 over big-endian words; `bytes` has even length. */
function checksum(bytes: Buffer): number {
  let sum = 0;
  for (let at = 0; at < bytes.length; at += 2) sum += bytes.readUInt16BE(at);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  return ~sum & 0xffff;
}

const macBytes = (mac: string): Buffer => Buffer.from(mac.replaceAll(':', ''), 'hex');
const ipBytes = (ip: string): Buffer => Buffer.from(ip.split('.').map(Number));

/** @returns dest, source, 802.1Q tag, IPv4 header, ICMP echo. RFC 792, IEEE 802.1Q 9.6. */
export function vlanEchoFrame(echo: VlanEcho): Buffer {
  const payload = Buffer.from(echo.payload.length % 2 === 0 ? echo.payload : `${echo.payload} `);
  const ethernet = Buffer.alloc(ETHERNET_BYTES);
  macBytes(echo.destMac).copy(ethernet, 0);
  macBytes(echo.sourceMac).copy(ethernet, 6);
  ethernet.writeUInt16BE(ETHERTYPE_VLAN, 12);
  ethernet.writeUInt16BE(echo.vlan, 14);
  ethernet.writeUInt16BE(ETHERTYPE_IPV4, 16);
  const ip = Buffer.alloc(IPV4_BYTES);
  ip.writeUInt8(0x45, 0);
  ip.writeUInt16BE(IPV4_BYTES + ICMP_BYTES + payload.length, 2);
  ip.writeUInt8(64, 8);
  ip.writeUInt8(1, 9);
  ipBytes(echo.sourceIp).copy(ip, 12);
  ipBytes(echo.destIp).copy(ip, 16);
  ip.writeUInt16BE(checksum(ip), 10);
  const icmp = Buffer.alloc(ICMP_BYTES);
  icmp.writeUInt8(echo.reply ? 0 : 8, 0);
  icmp.writeUInt16BE(echo.id, 4);
  icmp.writeUInt16BE(1, 6);
  icmp.writeUInt16BE(checksum(Buffer.concat([icmp, payload])), 2);
  return Buffer.concat([ethernet, ip, icmp, payload]);
}
