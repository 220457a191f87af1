/**
 * SCTP as far as a new association shows whether it is let pass: INIT and the INIT ACK to it, over
 * raw sockets. The runtime has no sockets for SCTP, and so needs no module of the kernel either.
 *
 *   0 source port 2 | 2 destination port 2 | 4 verification tag 4 | 8 CRC32c 4, little-endian
 *   12 chunk type 1, flags 1, length 2 | 16 initiate tag 4 | 20 window 4 | 24 streams 2 + 2
 *   28 initial TSN 4 | 32 parameter: type 2, length 2, value
 *
 * INIT carries the sender's address as a parameter, so that an answer needs no header of IP.
 * Source: RFC 9260 3.3.2, 3.3.3, appendix A.
 */
import { addressBytes, formatAddress, isIpv6 } from '../../k8s/npc/address.js';
import { libc } from '../../sys/libc.js';
import { Memory, SOCKADDR_IN_BYTES } from '../../sys/memory.js';
import { AF_INET, SOCK_CLOEXEC, SOCK_NONBLOCK, SOCK_RAW } from '../../sys/socket.js';

const IPPROTO_SCTP = 132;
const AF_INET6 = 10;
const SOCKADDR_IN6_BYTES = 28;
const INIT = 1;
const INIT_ACK = 2;
const STATE_COOKIE = 7;
const HEADER_BYTES = 32;
const POLL_MS = 5;
const MAX_BYTES = 2048;

export interface SctpTrip {
  readonly from: string;
  readonly to: string;
  readonly port: number;
  readonly sourcePort: number;
}

export class SctpProbe {
  readonly #ports: ReadonlySet<number>;
  readonly #onAnswer: (sourcePort: number) => void;
  readonly #sockets = { 4: open(AF_INET), 6: open(AF_INET6) };
  readonly #memory = new Memory(MAX_BYTES);
  readonly #target = new Memory(SOCKADDR_IN6_BYTES);

  /** @param ports that answer. @param onAnswer gets the port from which was asked. */
  constructor(ports: readonly number[], onAnswer: (sourcePort: number) => void) {
    this.#ports = new Set(ports);
    this.#onAnswer = onAnswer;
    setInterval(() => this.#receive(), POLL_MS).unref();
  }

  ask({ from, to, port, sourcePort }: SctpTrip): void {
    const own = addressBytes(from) ?? new Uint8Array(4);
    // The source port is no other's in this namespace, so it serves as tag, too.
    const parameter = { type: own.length === 4 ? 5 : 6, value: own };
    this.#send(to, packet(INIT, [sourcePort, port], { own: sourcePort, other: 0 }, parameter));
  }

  #receive(): void {
    for (const family of [4, 6] as const) {
      for (;;) {
        const length = libc.read(this.#sockets[family], this.#memory.address, MAX_BYTES);
        if (length < 0) break;
        const all = this.#memory.bytes.subarray(0, length);
        // Only the socket of IPv4 gives the header of IP with the packet.
        this.#take(family === 4 ? all.subarray(((all[0] ?? 0) & 15) * 4) : all);
      }
    }
  }

  #take(bytes: Uint8Array): void {
    if (bytes.length < HEADER_BYTES + 4) return;
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
    const [source, destination] = [view.getUint16(0), view.getUint16(2)];
    const chunk = view.getUint8(12);
    if (chunk === INIT_ACK) this.#onAnswer(destination);
    if (chunk !== INIT || !this.#ports.has(destination)) return;
    const address = formatAddress(bytes.slice(HEADER_BYTES + 4, view.getUint16(34) + HEADER_BYTES));
    const tags = { own: destination, other: view.getUint32(16) };
    const cookie = { type: STATE_COOKIE, value: new Uint8Array(4) };
    this.#send(address, packet(INIT_ACK, [destination, source], tags, cookie));
  }

  /** A failed sending counts like a lost packet. */
  #send(to: string, bytes: Uint8Array): void {
    const address = addressBytes(to);
    if (address === null) return;
    const target = this.#target;
    target.bytes.fill(0);
    target.setShort(0, isIpv6(to) ? AF_INET6 : AF_INET);
    target.bytes.set(address, isIpv6(to) ? 8 : 4);
    this.#memory.bytes.set(bytes);
    const size = isIpv6(to) ? SOCKADDR_IN6_BYTES : SOCKADDR_IN_BYTES;
    const fd = this.#sockets[isIpv6(to) ? 6 : 4];
    libc.sendto(fd, this.#memory.address, bytes.length, 0, target.address, size);
  }
}

/** @returns −1 where that family is turned off. */
const open = (family: number): number =>
  libc.socket(family, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, IPPROTO_SCTP);

function packet(
  chunk: number,
  [source, destination]: readonly [number, number],
  tags: { readonly own: number; readonly other: number },
  parameter: { readonly type: number; readonly value: Uint8Array },
): Uint8Array {
  const bytes = new Uint8Array(HEADER_BYTES + 4 + parameter.value.length);
  const view = new DataView(bytes.buffer);
  view.setUint16(0, source);
  view.setUint16(2, destination);
  view.setUint32(4, tags.other);
  view.setUint8(12, chunk);
  view.setUint16(14, bytes.length - 12);
  view.setUint32(16, tags.own);
  view.setUint32(20, 65_536);
  view.setUint16(24, 1);
  view.setUint16(26, 1);
  view.setUint32(28, 1);
  view.setUint16(32, parameter.type);
  view.setUint16(34, 4 + parameter.value.length);
  bytes.set(parameter.value, HEADER_BYTES + 4);
  view.setUint32(8, crc32c(bytes), true);
  return bytes;
}

/** Castagnoli, reflected. */
function crc32c(bytes: Uint8Array): number {
  let rest = 0xffff_ffff;
  for (const byte of bytes) {
    rest ^= byte;
    for (let bit = 0; bit < 8; bit++) rest = (rest >>> 1) ^ (rest & 1 ? 0x82f6_3b78 : 0);
  }
  return ~rest >>> 0;
}
