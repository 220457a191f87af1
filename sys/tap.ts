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
const TUN_F_CSUM = 0x01;
/** TUN_F_TSO4 | TUN_F_TSO6 */
const TUN_F_TSO = 0x02 | 0x04;
const IFF_TAP = 0x0002;
const IFF_NO_PI = 0x1000;
const IFF_VNET_HDR = 0x4000;
/** Of `struct virtio_net_hdr` without later additions. */
const VNET_HEADER_BYTES = 10;
/** `struct ifreq`: name, then flags. */
const IFREQ_BYTES = 40;
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
}

export class Tap {
  readonly fd: number;
  /** As the kernel has it: a `%d` in the wished name has become a number. */
  readonly name: string;

  private constructor(fd: number, name: string) {
    this.fd = fd;
    this.name = name;
  }

  /** @throws {SysError} with a sentence for the user in its text. */
  static open(options: TapOptions): Tap {
    if (options.name === '' || Buffer.byteLength(options.name) > NAME_LIMIT) {
      throw new WeaveError('interface-name-invalid', `invalid TAP name "${options.name}"`);
    }
    const fd = libc.open(DEVICE_NODE, O_RDWR_NONBLOCK_CLOEXEC);
    if (fd < 0) throw openError();
    try {
      const request = new Memory(IFREQ_BYTES);
      request.setText(0, options.name);
      const flags = IFF_TAP | IFF_NO_PI | (options.offloads === true ? IFF_VNET_HDR : 0);
      request.setShort(16, flags);
      if (libc.ioctl(fd, TUNSETIFF, request.address) < 0) throw createError(options.name);
      const tap = new Tap(fd, request.getText(0, 16));
      // A device adopted from an earlier process may carry a receive filter; we take all frames.
      libc.ioctl(fd, TUNSETTXFILTER, new Memory(8).address);
      tap.#setOffloads(options.offloads === true, options.segmentation !== false);
      if (options.persist !== undefined) tap.setPersist(options.persist);
      return tap;
    } catch (error) {
      libc.close(fd);
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
    const count = libc.write(this.fd, address, bytes);
    return count < 0 ? failure() : count;
  }

  /** One frame gathered from `count` iovecs. @returns as `write`. */
  writePieces(iovecs: number, count: number): number {
    const written = libc.writev(this.fd, iovecs, count);
    return written < 0 ? failure() : written;
  }

  close(): void {
    libc.close(this.fd);
  }
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
