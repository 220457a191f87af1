/**
 * Tells systemd how the service is doing: one text datagram to the socket that systemd named in
 * NOTIFY_SOCKET. Node has no Unix datagram sockets. Source: sd_notify(3), unix(7).
 */
import { check, libc } from './libc.js';
import { Memory } from './memory.js';
import { AF_UNIX, MSG_DONTWAIT, MSG_NOSIGNAL, SOCK_CLOEXEC, SOCK_DGRAM } from './socket.js';

/** `sun_path` of `struct sockaddr_un`. */
const PATH_LIMIT_BYTES = 108;

/**
 * @param socketPath value of NOTIFY_SOCKET: a path, or `@name` for an abstract socket.
 * @param state lines like `READY=1`, `WATCHDOG=1`, `STOPPING=1`, `STATUS=text`.
 * @throws {SysError} e.g. `ECONNREFUSED` if nobody listens.
 * @throws {RangeError} for a path that is too long.
 */
export function sdNotify(socketPath: string, state: string): void {
  const path = Buffer.from(socketPath, 'utf8');
  const text = Buffer.from(state, 'utf8');
  const abstract = path[0] === 0x40;
  // A path needs room for its terminator, an abstract name does not.
  if (path.length > PATH_LIMIT_BYTES - (abstract ? 0 : 1)) {
    throw new RangeError(`notification socket path of ${path.length} bytes is too long`);
  }
  const address = new Memory(2 + PATH_LIMIT_BYTES);
  address.setShort(0, AF_UNIX);
  address.bytes.set(path, 2);
  if (abstract) address.bytes[2] = 0;
  const addressBytes = 2 + path.length + (abstract ? 0 : 1);
  const message = new Memory(Math.max(1, text.length));
  message.bytes.set(text);
  const fd = check(libc.socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0), 'socket', 'AF_UNIX');
  try {
    const flags = MSG_DONTWAIT | MSG_NOSIGNAL;
    const to = address.address;
    const sent = libc.sendto(fd, message.address, text.length, flags, to, addressBytes);
    check(sent, 'sendto', 'service notification');
  } finally {
    libc.close(fd);
  }
}
