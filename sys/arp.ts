/**
 * Gratuitous ARP: tells the neighbours of an interface where an address now lives. Call it inside
 * `withNetns` for interfaces of other namespaces. Source: packet(7), RFC 5227 section 3.
 */
import { BROADCAST_MAC, type Mac } from '../core/mac.js';
import { check, libc, sysError } from './libc.js';
import { Memory } from './memory.js';
import { AF_PACKET, SOCK_CLOEXEC, SOCK_RAW } from './socket.js';

const SIOCGIFHWADDR = 0x8927;
const INTERFACE_NAME_LIMIT = 15;
const ETH_P_ARP = 0x0806;
const ARP_FRAME_BYTES = 42;
const SOCKADDR_LL_BYTES = 20;
const ADDRESS_OFFSET = 64;

/**
 * An ARP announcement: request form, sender and target address alike.
 * Ethernet (14 bytes) + ARP for IPv4 over Ethernet (28 bytes), written at `offset`.
 */
export function writeGratuitousArp(view: DataView, offset: number, mac: Mac, ip: number): void {
  writeMac(view, offset, BROADCAST_MAC);
  writeMac(view, offset + 6, mac);
  view.setUint16(offset + 12, ETH_P_ARP);
  view.setUint16(offset + 14, 1);
  view.setUint16(offset + 16, 0x0800);
  view.setUint8(offset + 18, 6);
  view.setUint8(offset + 19, 4);
  view.setUint16(offset + 20, 1);
  writeMac(view, offset + 22, mac);
  view.setUint32(offset + 28, ip);
  writeMac(view, offset + 32, 0 as Mac);
  view.setUint32(offset + 38, ip);
}

function writeMac(view: DataView, offset: number, mac: Mac): void {
  view.setUint16(offset, Math.floor(mac / 0x1_0000_0000));
  view.setUint32(offset + 2, mac >>> 0);
}

/**
 * Sends one announcement of `ip` with the interface's own hardware address.
 * @throws {SysError} e.g. `ENODEV` for an unknown interface, `ENETDOWN` for one that is down.
 */
export function sendGratuitousArp(interfaceName: string, ip: number): void {
  const index = libc.ifNameToIndex(interfaceName);
  if (index === 0) throw sysError('if_nametoindex', interfaceName);
  const fd = check(libc.socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0), 'socket', 'AF_PACKET');
  try {
    const memory = new Memory(ADDRESS_OFFSET + SOCKADDR_LL_BYTES);
    const mac = interfaceMac(fd, interfaceName);
    writeGratuitousArp(memory.view, 0, mac, ip);
    memory.setShort(ADDRESS_OFFSET, AF_PACKET);
    memory.view.setUint16(ADDRESS_OFFSET + 2, ETH_P_ARP);
    memory.setInt(ADDRESS_OFFSET + 4, index);
    memory.view.setUint8(ADDRESS_OFFSET + 11, 6);
    writeMac(memory.view, ADDRESS_OFFSET + 12, BROADCAST_MAC);
    const to = memory.address + ADDRESS_OFFSET;
    const sent = libc.sendto(fd, memory.address, ARP_FRAME_BYTES, 0, to, SOCKADDR_LL_BYTES);
    check(sent, 'sendto', `gratuitous ARP on ${interfaceName}`);
  } finally {
    libc.close(fd);
  }
}

/** `struct ifreq`: name (16 bytes), then a sockaddr whose address starts at byte 18. */
function interfaceMac(fd: number, interfaceName: string): Mac {
  const request = new Memory(40);
  request.setText(0, interfaceName.slice(0, INTERFACE_NAME_LIMIT));
  check(libc.ioctl(fd, SIOCGIFHWADDR, request.address), 'ioctl', `address of ${interfaceName}`);
  return (request.view.getUint16(18) * 0x1_0000_0000 + request.view.getUint32(20)) as Mac;
}
