/**
 * The little that the self-test does to network interfaces, in a namespace of its own: making a
 * bridge, plugging ports into it, setting them up. Source: netdevice(7), linux/sockios.h.
 */
import { check, libc } from './libc.js';
import { Memory } from './memory.js';
import { AF_INET, SOCK_CLOEXEC, SOCK_DGRAM } from './socket.js';

const SIOCGIFFLAGS = 0x8913;
const SIOCSIFFLAGS = 0x8914;
const SIOCBRADDBR = 0x89a0;
const SIOCBRADDIF = 0x89a2;
const IFF_UP = 1;
/** `struct ifreq`: name, then what the request is about. */
const IFREQ_BYTES = 40;

/** @throws {SysError} */
export function setLinkUp(name: string): void {
  const request = makeRequest(name);
  ask(SIOCGIFFLAGS, request, `flags of ${name}`);
  request.setShort(16, request.getShort(16) | IFF_UP);
  ask(SIOCSIFFLAGS, request, `set ${name} up`);
}

/** @throws {SysError} */
export function addBridge(name: string): void {
  ask(SIOCBRADDBR, makeRequest(name), `add bridge ${name}`);
}

/** @throws {SysError} */
export function addBridgePort(bridge: string, port: string): void {
  const request = makeRequest(bridge);
  request.setInt(16, check(libc.ifNameToIndex(port) || -1, 'if_nametoindex', port));
  ask(SIOCBRADDIF, request, `add ${port} to ${bridge}`);
}

function makeRequest(name: string): Memory {
  const request = new Memory(IFREQ_BYTES);
  request.setText(0, name);
  return request;
}

function ask(request: number, argument: Memory, what: string): void {
  const fd = check(libc.socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), 'socket');
  try {
    check(libc.ioctl(fd, request, argument.address), 'ioctl', what);
  } finally {
    libc.close(fd);
  }
}
