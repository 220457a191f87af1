/**
 * io_uring: many reads and writes handed to the kernel by one system call, each with a result of
 * its own. Its two rings are memory shared with the kernel, seen here as typed arrays; heads and
 * tails go through Atomics, which order them against the entries. A ring belongs to the thread
 * that opened it. Source: io_uring(7), io_uring_setup(2), io_uring_enter(2), linux/io_uring.h.
 *
 *   submission entry (64 bytes, as 32-bit words):
 *     0 opcode, flags   1 fd   2–3 offset   4–5 address   6 bytes or iovecs
 *     7 RWF flags   8–9 tag
 *   completion entry (16 bytes): 0–1 tag   2 result   3 flags
 */
import { readFileSync } from 'node:fs';
import koffi from 'koffi';
import { SysError, WeaveError } from '../core/errors.js';
import { check, declare, Errno, errno, libc, sysError } from './libc.js';
import { Memory, mmap, munmap } from './memory.js';

const SYS_SETUP = 425;
const SYS_ENTER = 426;
const PARAMS_BYTES = 120;
const SETUP_SINGLE_ISSUER = 1 << 12;
const SETUP_DEFER_TASKRUN = 1 << 13;
const FEATURE_SINGLE_MMAP = 1 << 0;
const FEATURE_EXT_ARG = 1 << 8;
const OFFSET_SQES = 0x1000_0000;
const PROT_READ_WRITE = 3;
const MAP_SHARED_POPULATE = 0x1 | 0x8000;
const ENTER_GETEVENTS = 1;
const ENTER_EXT_ARG = 8;
const OP_READV = 1;
const OP_WRITEV = 2;
const OP_READ = 22;
const OP_WRITE = 23;
const RWF_NOWAIT = 8;
const SQE_WORDS = 16;
const CQE_WORDS = 4;
const TWO_32 = 0x1_0000_0000;
const DISABLED_PATH = '/proc/sys/kernel/io_uring_disabled';

const syscall3 = declare<(number: number, a: number, b: number, c: number) => number>(
  'intptr_t syscall(intptr_t, uintptr_t, uintptr_t, uintptr_t)',
);
const syscall7 = declare<
  (number: number, a: number, b: number, c: number, d: number, e: number, f: number) => number
>('intptr_t syscall(intptr_t, uintptr_t, uintptr_t, uintptr_t, uintptr_t, uintptr_t, uintptr_t)');
/** @param result bytes, or a negative error number. */
export type CompletionHandler = (tag: number, result: number) => void;

interface Mapping {
  readonly address: number;
  readonly bytes: number;
}

/** Where the parts of the shared memory lie, as word indexes. */
interface Layout {
  readonly submitTail: number;
  readonly completeHead: number;
  readonly completeTail: number;
  readonly completions: number;
  readonly completionMask: number;
}

export class Uring {
  /** Requests that fit between two submissions, a power of two. */
  readonly entries: number;
  readonly #fd: number;
  readonly #ring: Mapping;
  readonly #requests: Mapping;
  readonly #layout: Layout;
  /** Null once closed: the memory behind them is gone then. */
  #words: Int32Array | null;
  #sqes: Int32Array | null;
  /** `io_uring_getevents_arg`, then the timespec that it points to. */
  readonly #waiting = new Memory(24 + 16);
  readonly #canTimeOut: boolean;
  /** Wraps like the kernel's counter does. */
  #tail = 0;
  #queued = 0;
  #inFlight = 0;

  private constructor(fd: number, params: Memory, maps: { ring: Mapping; requests: Mapping }) {
    const at = (offset: number): number => params.getInt(offset) >>> 2;
    this.#fd = fd;
    this.entries = params.getInt(0);
    this.#ring = maps.ring;
    this.#requests = maps.requests;
    this.#words = new Int32Array(koffi.view(maps.ring.address, maps.ring.bytes));
    this.#sqes = new Int32Array(koffi.view(maps.requests.address, maps.requests.bytes));
    this.#canTimeOut = (params.getInt(20) & FEATURE_EXT_ARG) !== 0;
    this.#layout = {
      submitTail: at(44),
      completeHead: at(80),
      completeTail: at(84),
      completions: at(100),
      completionMask: params.getInt(4) - 1,
    };
    // Each place of the submission ring names the entry of the same number, for good.
    for (let i = 0; i < this.entries; i++) this.#words[at(64) + i] = i;
    this.#waiting.setWord(16, this.#waiting.address + 24);
  }

  /**
   * @param entries at most this many requests between submissions; rounded up to a power of two.
   * @throws {SysError} if the kernel has no io_uring or forbids it; see `openUring` for the reason.
   */
  static open(entries: number): Uring {
    const params = new Memory(PARAMS_BYTES);
    // Completions are then handled in the thread that waits for them, without interrupting it.
    params.setInt(8, SETUP_SINGLE_ISSUER | SETUP_DEFER_TASKRUN);
    let fd = syscall3(SYS_SETUP, entries, params.address, 0);
    if (fd < 0 && errno() === Errno.EINVAL) {
      // Kernels before 6.1 do not know these flags.
      params.bytes.fill(0);
      fd = syscall3(SYS_SETUP, entries, params.address, 0);
    }
    check(fd, 'io_uring_setup');
    const maps: Mapping[] = [];
    try {
      if ((params.getInt(20) & FEATURE_SINGLE_MMAP) === 0) {
        throw new WeaveError('uring-too-old', 'io_uring of this kernel is older than 5.4');
      }
      const submitBytes = params.getInt(64) + params.getInt(0) * 4;
      const completeBytes = params.getInt(100) + params.getInt(4) * CQE_WORDS * 4;
      const ring = map(fd, Math.max(submitBytes, completeBytes), 0);
      maps.push(ring);
      const requests = map(fd, params.getInt(0) * SQE_WORDS * 4, OFFSET_SQES);
      maps.push(requests);
      return new Uring(fd, params, { ring, requests });
    } catch (error) {
      for (const { address, bytes } of maps) munmap(address, bytes);
      libc.close(fd);
      throw error;
    }
  }

  /** Requests prepared and not submitted. */
  get queued(): number {
    return this.#queued;
  }

  /** Requests submitted whose results have not been reaped. */
  get inFlight(): number {
    return this.#inFlight;
  }

  get full(): boolean {
    return this.#queued === this.entries;
  }

  /**
   * Each prepares one request; there must be room. They are started in the order of preparation,
   * at position 0: for devices, pipes and sockets, which have none. The memory stays in place
   * until the result has been reaped.
   * @param tag below 2^32, handed back with the result.
   */
  prepareWrite(fd: number, address: number, bytes: number, tag: number): void {
    this.#prepare(OP_WRITE, fd, address, bytes, tag, 0);
  }

  /**
   * Gathered from `count` iovecs; these may be overwritten after `submit`.
   * @param nowait −EAGAIN instead of waiting. A descriptor's O_NONBLOCK does not say that here;
   *   −EOPNOTSUPP if the kernel cannot promise it for this kind of file.
   */
  prepareWritev(fd: number, iovecs: number, count: number, tag: number, nowait = false): void {
    this.#prepare(OP_WRITEV, fd, iovecs, count, tag, nowait ? RWF_NOWAIT : 0);
  }

  prepareRead(fd: number, address: number, bytes: number, tag: number): void {
    this.#prepare(OP_READ, fd, address, bytes, tag, 0);
  }

  prepareReadv(fd: number, iovecs: number, count: number, tag: number): void {
    this.#prepare(OP_READV, fd, iovecs, count, tag, 0);
  }

  /**
   * Starts everything prepared. Requests that need not wait are complete when it returns.
   * @returns requests started, or a negative error number; those not started stay queued.
   */
  submit(): number {
    const words = this.#words;
    if (words === null) return -Errno.EBADFD;
    Atomics.store(words, this.#layout.submitTail, this.#tail | 0);
    const started = this.#enter(this.#queued, 0, ENTER_GETEVENTS, 0, 0);
    if (started < 0) return started;
    this.#queued -= started;
    this.#inFlight += started;
    return started;
  }

  /** Takes back what `submit` did not start. */
  discard(): void {
    this.#tail = (this.#tail - this.#queued) >>> 0;
    this.#queued = 0;
    if (this.#words !== null) Atomics.store(this.#words, this.#layout.submitTail, this.#tail | 0);
  }

  /**
   * Hands on the results that are there, in the order of completion.
   * @returns how many.
   */
  reap(onCompletion: CompletionHandler): number {
    const words = this.#words;
    if (words === null) return 0;
    const { completeHead, completeTail, completions, completionMask } = this.#layout;
    const tail = Atomics.load(words, completeTail);
    let head = words[completeHead] as number;
    let count = 0;
    while (head !== tail) {
      const at = completions + (head & completionMask) * CQE_WORDS;
      const tag = (words[at] as number) >>> 0;
      const result = words[at + 2] as number;
      head = (head + 1) | 0;
      // Freed before the handler runs, so that an exception in it does not repeat the result.
      Atomics.store(words, completeHead, head);
      this.#inFlight--;
      count++;
      onCompletion(tag, result);
    }
    return count;
  }

  /**
   * Waits until a result is there.
   * @param timeoutMs whole milliseconds. Kernels before 5.11 return at once.
   * @returns 0, or a negative error number: −ETIME when the time is over, −EINTR.
   */
  wait(timeoutMs: number): number {
    if (!this.#canTimeOut) return this.#enter(0, 0, ENTER_GETEVENTS, 0, 0);
    this.#waiting.setWord(24, Math.floor(timeoutMs / 1000));
    this.#waiting.setWord(32, (timeoutMs % 1000) * 1_000_000);
    const flags = ENTER_GETEVENTS | ENTER_EXT_ARG;
    return Math.min(0, this.#enter(0, 1, flags, this.#waiting.address, 24));
  }

  /** Nothing may be in flight: the kernel would go on writing into its buffers. */
  close(): void {
    if (this.#words === null) return;
    this.#words = null;
    this.#sqes = null;
    munmap(this.#ring.address, this.#ring.bytes);
    munmap(this.#requests.address, this.#requests.bytes);
    libc.close(this.#fd);
  }

  #prepare(
    opcode: number,
    fd: number,
    address: number,
    count: number,
    tag: number,
    flags: number,
  ): void {
    const sqes = this.#sqes;
    if (sqes === null || this.full) throw new WeaveError('uring-full', 'io_uring has no room');
    const at = (this.#tail & (this.entries - 1)) * SQE_WORDS;
    // All other words are never written and stay zero.
    sqes[at] = opcode;
    sqes[at + 1] = fd;
    sqes[at + 4] = address | 0;
    sqes[at + 5] = Math.floor(address / TWO_32);
    sqes[at + 6] = count;
    sqes[at + 7] = flags;
    sqes[at + 8] = tag | 0;
    this.#tail = (this.#tail + 1) >>> 0;
    this.#queued++;
  }

  #enter(submit: number, wait: number, flags: number, argument: number, bytes: number): number {
    const result = syscall7(SYS_ENTER, this.#fd, submit, wait, flags, argument, bytes);
    return result < 0 ? -(errno() || Errno.EAGAIN) : result;
  }
}

/** A ring, or the reason why there is none, in a few words for status. */
export function openUring(entries: number): Uring | string {
  try {
    return Uring.open(entries);
  } catch (error) {
    if (!(error instanceof SysError)) return error instanceof Error ? error.message : 'unknown';
    switch (error.errno) {
      case Errno.ENOSYS:
        return 'this kernel has no io_uring';
      case Errno.EPERM:
      case Errno.EACCES:
        return forbiddenReason();
      case Errno.ENOMEM:
        return 'io_uring: not enough memory, or a limit of locked memory (ENOMEM)';
      default:
        return `io_uring_setup failed (${error.code})`;
    }
  }
}

function forbiddenReason(): string {
  let setting = '';
  try {
    setting = readFileSync(DISABLED_PATH, 'utf8').trim();
  } catch {
    // Kernels before 6.6 have no such setting.
  }
  if (setting === '1' || setting === '2') return `forbidden by kernel.io_uring_disabled=${setting}`;
  return 'forbidden (EPERM), by a seccomp profile for example';
}

function map(fd: number, bytes: number, at: number): Mapping {
  const address = mmap(0, bytes, PROT_READ_WRITE, MAP_SHARED_POPULATE, fd, at);
  // MAP_FAILED is all ones, which no address can be.
  if (address > Number.MAX_SAFE_INTEGER) throw sysError('mmap', 'io_uring');
  return { address, bytes };
}
