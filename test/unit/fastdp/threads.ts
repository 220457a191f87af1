/**
 * Routers with several threads of the data plane, in one thread: planes joined by rings, and a
 * wire that takes each datagram to the thread that the kernel would choose (sys/udp.ts).
 */
import { MAX_LANES } from '../../../core/limits.js';
import type { PeerName } from '../../../core/peer-name.js';
import { Inbox, Outbox } from '../../../fastdp/crossing.js';
import { DataPlane } from '../../../fastdp/data-plane.js';
import { FrameRing } from '../../../fastdp/frame-ring.js';
import { KEY_LIMITS, type KeyLimits } from '../../../fastdp/key-schedule.js';
import { LANE_MARK } from '../../../fastdp/lane-mark.js';
import { LinkBoard } from '../../../fastdp/link-board.js';
import type { AeadFactory } from '../../../fastdp/ports.js';
import { readU32 } from '../../../fastdp/wire.js';
import type { DataCipher, OverlayEvent } from '../../../mesh/overlay.js';
import { aead, FakeDatagrams, FakeTap, PORT, plainSecretbox, UID } from './network.js';

const RING_BYTES = 256 * 1024;
/** What the system allows with DF: bytes of IP packet. */
const SYSTEM_MTU = 1500;

export interface RouterOptions {
  readonly name: number;
  readonly threads: number;
  /** That the router announces. */
  readonly lanes?: number;
  readonly keyLimits?: KeyLimits;
  readonly aead?: AeadFactory;
  readonly ringBytes?: number;
}

export interface Thread {
  readonly plane: DataPlane;
  readonly tap: FakeTap;
  readonly datagrams: FakeDatagrams;
  readonly inboxes: readonly Inbox[];
}

export class ThreadedRouter {
  readonly name: PeerName;
  readonly ip: number;
  readonly lanes: number;
  readonly threads: readonly Thread[];
  readonly events: OverlayEvent[] = [];
  systemMtu = SYSTEM_MTU;

  constructor(options: RouterOptions) {
    const { threads: count, ringBytes = RING_BYTES } = options;
    this.name = options.name as PeerName;
    this.ip = 0x0a00_0000 + (options.name & 0xff);
    this.lanes = options.lanes ?? MAX_LANES;
    const makeRings = (): FrameRing[] =>
      Array.from({ length: count }, () => FrameRing.create(ringBytes));
    const [toPrimary, fromPrimary] = [makeRings(), makeRings()];
    const scratch = new Uint8Array(65_536);
    this.threads = Array.from({ length: count }, (_, index) => {
      const others = index === 0 ? [...toPrimary.keys()].slice(1) : [0];
      const [written, read] = index === 0 ? [fromPrimary, toPrimary] : [toPrimary, fromPrimary];
      const ringOf = (rings: FrameRing[], other: number): FrameRing =>
        rings[Math.max(index, other)] as FrameRing;
      const [tap, datagrams] = [new FakeTap(), new FakeDatagrams()];
      datagrams.onFlush = (datagram) => {
        const tooBig = datagram.df && datagram.bytes.length + 28 > this.systemMtu;
        if (tooBig) return { connId: 1, errno: 90, pathMtuBytes: this.systemMtu };
        datagrams.sent.push(datagram);
        return null;
      };
      const outboxes = others.map((other) => new Outbox(ringOf(written, other)));
      const plane = new DataPlane(
        { localPeer: this.name, keyLimits: options.keyLimits ?? KEY_LIMITS },
        {
          ...{ datagrams, tap, secretbox: plainSecretbox, aead: options.aead ?? aead },
          ...(count === 1 ? {} : { queue: { index, count, outboxes } }),
        },
      );
      const inboxes = others.map((other) => new Inbox(ringOf(read, other), other, scratch));
      return { plane, tap, datagrams, inboxes };
    });
  }

  get primary(): Thread {
    return this.threads[0] as Thread;
  }

  thread(index: number): Thread {
    return this.threads[index] as Thread;
  }

  /** Summed over the threads. */
  drops(nowMs: number): Record<string, number> {
    const sums: Record<string, number> = {};
    for (const { plane } of this.threads) {
      for (const [reason, count] of Object.entries(plane.status(nowMs).drops)) {
        if (count > 0) sums[reason] = (sums[reason] ?? 0) + count;
      }
    }
    return sums;
  }

  /** The thread whose socket gets the datagram. */
  receiverOf(bytes: Uint8Array): Thread {
    const word = bytes.length < 12 ? 0 : readU32(bytes, 8);
    const isMarked = word - (word & 0xff) === LANE_MARK;
    return this.thread(isMarked ? (word & 0xff) % this.threads.length : 0);
  }
}

/** Two routers with a connection, established by `settle`. */
export class ThreadedPair {
  nowMs = 1000;
  /** Datagrams that do not arrive. */
  isLost: (bytes: Uint8Array) => boolean = () => false;
  readonly a: ThreadedRouter;
  readonly b: ThreadedRouter;

  constructor(a: RouterOptions, b: RouterOptions, cipher: DataCipher, key: Uint8Array) {
    this.a = new ThreadedRouter(a);
    this.b = new ThreadedRouter(b);
    for (const [own, other] of this.#ends()) {
      const board = own.threads.length === 1 ? null : LinkBoard.createBuffer();
      for (const { plane } of own.threads) {
        plane.setForwarding({
          peers: new Set([own.name, other.name]),
          unicast: new Map([[other.name, other.name]]),
          broadcast: new Map([
            [own.name, [other.name]],
            [other.name, []],
          ]),
        });
        const peering = {
          ...{ connId: 1, localPeer: own.name, remotePeer: other.name, connectionUid: UID },
          ...{ outbound: own === this.a, localIp: ipText(own.ip), remoteIp: ipText(other.ip) },
          remotePort: own === this.a ? PORT : null,
          ...{ cipher, lanes: other.lanes, sessionKey: cipher === 'none' ? null : key },
        };
        plane.prepare(peering, board);
        plane.confirm(1, this.nowMs);
      }
    }
    for (let i = 0; i < 60; i++) this.settle(10);
  }

  /** Time passes, and everything that is on its way arrives. */
  settle(ms = 1): void {
    this.nowMs += ms;
    for (let busy = true; busy; ) {
      busy = false;
      for (const [own, other] of this.#ends()) {
        for (const thread of own.threads) busy = this.#round(thread, own, other) || busy;
      }
    }
  }

  #ends(): readonly (readonly [ThreadedRouter, ThreadedRouter])[] {
    return [
      [this.a, this.b],
      [this.b, this.a],
    ];
  }

  /** @returns whether anything happened that others may have to act upon. */
  #round(thread: Thread, own: ThreadedRouter, other: ThreadedRouter): boolean {
    const { plane, datagrams, inboxes } = thread;
    plane.beginRound(this.nowMs);
    for (const inbox of inboxes) inbox.drain(1000, plane);
    const timeout = plane.nextTimeout();
    if (timeout !== null && timeout.atMs <= this.nowMs) plane.handleTimeout(this.nowMs);
    plane.flush(this.nowMs);
    const isPrimary = thread === own.primary;
    let busy = false;
    for (let event = plane.pollEvent(); event !== null; event = plane.pollEvent()) {
      busy = true;
      if (!isPrimary) continue;
      own.events.push(event);
      if (event.type === 'control') {
        other.primary.plane.handleControl(1, event.subTag, event.data, this.nowMs);
      }
    }
    for (const { bytes } of datagrams.sent.splice(0)) {
      busy = true;
      if (this.isLost(bytes)) continue;
      const to = other.receiverOf(bytes).plane;
      to.handleDatagram(bytes.slice(), 0, bytes.length, own.ip, PORT, this.nowMs);
      to.flush(this.nowMs);
    }
    return busy;
  }
}

function ipText(ip: number): string {
  return [ip >>> 24, (ip >>> 16) & 255, (ip >>> 8) & 255, ip & 255].join('.');
}
