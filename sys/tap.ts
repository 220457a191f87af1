/**
 * A TAP device: a network interface whose frames this process reads and writes. It appears in the
 * network namespace of the thread that opens it. Source: Documentation/networking/tuntap.rst of
 * the kernel, ioctl numbers of linux/if_tun.h.
 */
import { type SysError, WeaveError } from '../core/errors.js';
import { check, Errno, errno, libc, sysError } from './libc.js';
import { Memory } from './memory.js';

const DEVICE_NODE = '/dev/net/tun';
const O_RDWR_NONBLOCK_CLOEXEC = 0x2 | 0x800 | 0x80000;
const TUNSETIFF = 0x400454ca;
const TUNSETPERSIST = 0x400454cb;
const TUNSETOFFLOAD = 0x400454d0;
const TUNSETTXFILTER = 0x400454d1;
const TUNSETVNETHDRSZ = 0x400454d8;
const TUNSETQUEUE = 0x400454d9;
const TUNGETIFF = 0x800454d2;
const TUN_F_CSUM = 0x01;
/** TUN_F_TSO4 | TUN_F_TSO6 */
const TUN_F_TSO = 0x02 | 0x04;
const IFF_TAP = 0x0002;
const IFF_MULTI_QUEUE = 0x0100;
const IFF_DETACH_QUEUE = 0x0400;
const IFF_PERSIST = 0x0800;
const IFF_NO_PI = 0x1000;
const IFF_VNET_HDR = 0x4000;
/** Of `struct virtio_net_hdr` without later additions. */
const VNET_HEADER_BYTES = 10;
/** `struct ifreq`: name, then flags. */
const IFREQ_BYTES = 40;
const FLAGS_OFFSET = 16;
const NAME_LIMIT = 15;

export interface TapOptions {
  /** Name of the interface, 1 to 15 bytes. A persistent device of this name is adopted. */
  readonly name: string;
  /** The device outlives the process, with its place in the bridge. */
  readonly persist?: boolean;
  /**
   * Every frame, read or written, has a 10-byte virtio_net_hdr before it; frames may be large TCP
   * segments to be cut, with checksums left open.
   */
  readonly offloads?: boolean;
  /** With offloads: whether frames read may be larger than the MTU. Default true. */
  readonly segmentation?: boolean;
  /**
   * Take one of several queues, where the kernel keeps each flow on one; default false. A device
   * of the other kind is opened as it is, see `Tap.multiQueue`.
   */
  readonly multiQueue?: boolean;
  /** The interface may be there already, made by another queue of ours; default false. */
  readonly shared?: boolean;
}

export class Tap {
  readonly fd: number;
  /** Where frames are written to; `fd` itself with one queue. */
  readonly writeFd: number;
  /** As the kernel has it: a `%d` in the wished name has become a number. */
  readonly name: string;
  /** Further queues may be opened. */
  readonly multiQueue: boolean;

  private constructor(queue: Queue, writeFd: number) {
    this.fd = queue.fd;
    this.name = queue.name;
    this.multiQueue = queue.multiQueue;
    this.writeFd = writeFd;
  }

  /** @throws {SysError} with a sentence for the user in its text. */
  static open(options: TapOptions): Tap {
    if (options.name === '' || Buffer.byteLength(options.name) > NAME_LIMIT) {
      throw new WeaveError('interface-name-invalid', `invalid TAP name "${options.name}"`);
    }
    const existed = options.shared !== true && libc.ifNameToIndex(options.name) !== 0;
    const queue = openQueue(options);
    let writeFd = queue.fd;
    try {
      // One that stays without a process is adopted; the others are held by one.
      if (existed && queue.multiQueue && !queue.persistent) {
        throw sysError(
          'ioctl',
          `interface ${options.name} is in use by another process`,
          Errno.EBUSY,
        );
      }
      if (options.multiQueue === true && queue.multiQueue) writeFd = openDetached(options, queue);
      const tap = new Tap(queue, writeFd);
      // A device adopted from an earlier process may carry a receive filter; we take all frames.
      libc.ioctl(queue.fd, TUNSETTXFILTER, new Memory(8).address);
      tap.#setOffloads(options.offloads === true, options.segmentation !== false);
      if (options.persist !== undefined) tap.setPersist(options.persist);
      return tap;
    } catch (error) {
      libc.close(queue.fd);
      if (writeFd !== queue.fd) libc.close(writeFd);
      throw error;
    }
  }

  /** Both are set either way: an adopted device has what its last owner set. */
  #setOffloads(wanted: boolean, segmentation: boolean): void {
    if (wanted) {
      const size = new Memory(8);
      size.setInt(0, VNET_HEADER_BYTES);
      const result = libc.ioctl(this.fd, TUNSETVNETHDRSZ, size.address);
      check(result, 'ioctl', `header size of ${this.name}`);
    }
    // Refused only by kernels that cannot do it; frames come one by one then.
    const features = TUN_F_CSUM | (segmentation ? TUN_F_TSO : 0);
    libc.ioctl(this.fd, TUNSETOFFLOAD, wanted ? features : 0);
  }

  /** @throws {SysError} */
  setPersist(persist: boolean): void {
    check(libc.ioctl(this.fd, TUNSETPERSIST, persist ? 1 : 0), 'ioctl', `persist ${this.name}`);
  }

  /**
   * One frame into memory. @returns its bytes, or a negative error number: −EAGAIN if none
   * waits, −EBADFD if the interface has been deleted.
   */
  read(address: number, bytes: number): number {
    const count = libc.read(this.fd, address, bytes);
    return count < 0 ? failure() : count;
  }

  /**
   * One frame out of memory. @returns its bytes, or a negative error number: −EIO while the
   * interface is down, −EBADFD if it has been deleted, −EINVAL for less than 14 bytes.
   */
  write(address: number, bytes: number): number {
    const count = libc.write(this.writeFd, address, bytes);
    return count < 0 ? failure() : count;
  }

  /** One frame gathered from `count` iovecs. @returns as `write`. */
  writePieces(iovecs: number, count: number): number {
    const written = libc.writev(this.writeFd, iovecs, count);
    return written < 0 ? failure() : written;
  }

  close(): void {
    libc.close(this.fd);
    if (this.writeFd !== this.fd) libc.close(this.writeFd);
  }
}

interface Queue {
  readonly fd: number;
  readonly name: string;
  readonly multiQueue: boolean;
  readonly persistent: boolean;
}

function openQueue(options: TapOptions): Queue {
  const fd = libc.open(DEVICE_NODE, O_RDWR_NONBLOCK_CLOEXEC);
  if (fd < 0) throw openError();
  const request = new Memory(IFREQ_BYTES);
  const attach = (multiQueue: boolean): boolean => {
    request.setText(0, options.name);
    const flags = IFF_TAP | IFF_NO_PI | (options.offloads === true ? IFF_VNET_HDR : 0);
    request.setShort(FLAGS_OFFSET, flags | (multiQueue ? IFF_MULTI_QUEUE : 0));
    return libc.ioctl(fd, TUNSETIFF, request.address) >= 0;
  };
  const wanted = options.multiQueue === true;
  // The kernel refuses with EINVAL what differs from a device that is there.
  if (!attach(wanted) && !(errno() === Errno.EINVAL && attach(!wanted))) {
    const error = createError(options.name);
    libc.close(fd);
    throw error;
  }
  libc.ioctl(fd, TUNGETIFF, request.address);
  const flags = request.getShort(FLAGS_OFFSET);
  return {
    fd,
    name: request.getText(0, 16),
    multiQueue: (flags & IFF_MULTI_QUEUE) !== 0,
    persistent: (flags & IFF_PERSIST) !== 0,
  };
}

/**
 * A queue that gets no frames. The kernel moves a flow to the queue whose owner wrote the last
 * frame of its other direction, which would tear it from the thread that has numbered it so far.
 * Frames written through a detached queue move nothing: a flow stays where its hash puts it.
 */
function openDetached(options: TapOptions, queue: Queue): number {
  const { fd } = openQueue({ ...options, name: queue.name });
  const request = new Memory(IFREQ_BYTES);
  request.setShort(FLAGS_OFFSET, IFF_DETACH_QUEUE);
  if (libc.ioctl(fd, TUNSETQUEUE, request.address) >= 0) return fd;
  const error = sysError('ioctl', `detach a queue of ${queue.name}`);
  libc.close(fd);
  throw error;
}

/** Should errno be lost between the call and here, "try again" is the harmless reading. */
function failure(): number {
  return -(errno() || Errno.EAGAIN);
}

function openError(): SysError {
  switch (errno()) {
    case Errno.ENOENT:
    case Errno.ENXIO:
    case Errno.ENODEV:
      return sysError(
        'open',
        `${DEVICE_NODE} is missing: load the module "tun", or give the container this device`,
      );
    case Errno.EPERM:
    case Errno.EACCES:
      return sysError('open', `no permission to use ${DEVICE_NODE}: it takes root and the device`);
    default:
      return sysError('open', DEVICE_NODE);
  }
}

function createError(name: string): SysError {
  switch (errno()) {
    case Errno.EPERM:
      return sysError('ioctl', `no permission to create ${name}: it takes CAP_NET_ADMIN`);
    case Errno.EBUSY:
      return sysError('ioctl', `interface ${name} is in use by another process`);
    case Errno.EINVAL:
      return sysError('ioctl', `interface ${name} exists already and is not a TAP device`);
    default:
      return sysError('ioctl', `create ${name}`);
  }
}
