/**
 * The number by which one network namespace knows another. The kernel names the far end of a veth
 * pair by it. Source: rtnetlink(7), `RTM_GETNSID` of linux/rtnetlink.h, linux/net_namespace.h.
 */
import { check, libc, sysError } from './libc.js';
import { Memory } from './memory.js';
import { SOCK_CLOEXEC, SOCK_RAW } from './socket.js';

const AF_NETLINK = 16;
const NETLINK_ROUTE = 0;
const NLMSG_ERROR = 2;
const NLM_F_REQUEST = 1;
const RTM_GETNSID = 90;
const NETNSA_NSID = 1;
const NETNSA_FD = 3;
/** `struct nlmsghdr` (16 bytes), `struct rtgenmsg` padded to 4 bytes, then attributes. */
const ATTRIBUTES_AT = 20;
const REQUEST_BYTES = ATTRIBUTES_AT + 8;
const REPLY_BYTES = 256;

/**
 * The id of the namespace behind `fd` as seen from the calling thread's one. Call it inside
 * `withNetns` for another point of view.
 * @returns null if the kernel has given it no id there.
 * @throws {SysError} e.g. `EINVAL` if `fd` is no network namespace.
 */
export function netnsIdOf(fd: number): number | null {
  const socket = check(
    libc.socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE),
    'socket',
    'AF_NETLINK',
  );
  try {
    const memory = new Memory(REPLY_BYTES);
    memory.setInt(0, REQUEST_BYTES);
    memory.setShort(4, RTM_GETNSID);
    memory.setShort(6, NLM_F_REQUEST);
    memory.setShort(ATTRIBUTES_AT, 8);
    memory.setShort(ATTRIBUTES_AT + 2, NETNSA_FD);
    memory.setInt(ATTRIBUTES_AT + 4, fd);
    // The kernel answers while it handles the write, so the read never waits.
    check(libc.write(socket, memory.address, REQUEST_BYTES), 'write', 'RTM_GETNSID');
    memory.bytes.fill(0);
    const bytes = check(libc.read(socket, memory.address, REPLY_BYTES), 'read', 'RTM_GETNSID');
    return parseReply(memory, bytes);
  } finally {
    libc.close(socket);
  }
}

function parseReply(memory: Memory, bytes: number): number | null {
  if (memory.getShort(4) === NLMSG_ERROR) {
    throw sysError('RTM_GETNSID', '', -memory.getInt(16));
  }
  let at = ATTRIBUTES_AT;
  while (at + 8 <= bytes) {
    const length = memory.getShort(at);
    if (memory.getShort(at + 2) === NETNSA_NSID) {
      const id = memory.getInt(at + 4);
      return id < 0 ? null : id;
    }
    // Attributes are padded to 4 bytes; a length below its header would never end.
    at += Math.max(4, (length + 3) & ~3);
  }
  return null;
}
