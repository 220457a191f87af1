/**
 * Routers' data planes joined by a simulated underlay: path MTUs, loss, address translation and a
 * clock that jumps from one wake-up to the next. Nothing sleeps.
 */
import { secretboxOpen, secretboxSeal } from '../../../core/nacl.js';
import type { PeerName } from '../../../core/peer-name.js';
import { DataPlane } from '../../../fastdp/data-plane.js';
import type { KeyLimits } from '../../../fastdp/key-schedule.js';
import type { DatagramPort, Secretbox, SendFailure, TapPort } from '../../../fastdp/ports.js';
import type { DataCipher, ForwardingTables, OverlayAttributes } from '../../../mesh/overlay.js';
import { loadAead } from '../../../sys/libcrypto.js';

export const aead = loadAead();

/** Secretbox in place over the control plane's copying one. */
export const plainSecretbox: Secretbox = {
  seal(buffer, offset, plaintextBytes, nonce, key) {
    const message = buffer.slice(offset + 16, offset + 16 + plaintextBytes);
    buffer.set(secretboxSeal(message, nonce, key), offset);
  },
  open(buffer, offset, boxBytes, nonce, key) {
    const message = secretboxOpen(buffer.slice(offset, offset + boxBytes), nonce, key);
    if (message === null) return false;
    buffer.set(message, offset + 16);
    return true;
  },
};

export interface SentDatagram {
  readonly bytes: Uint8Array;
  readonly destIp: number;
  readonly destPort: number;
  readonly sourceIp: number;
  readonly df: boolean;
  readonly connId: number;
}

/** Keeps what was committed until `flush`. Regions are handed out at changing offsets. */
export class FakeDatagrams implements DatagramPort {
  readonly arena = new Uint8Array(300_000);
  readonly sent: SentDatagram[] = [];
  #next = 7;
  #region = 0;
  #pending: SentDatagram[] = [];
  onSendFailure: (failure: SendFailure) => void = () => {};
  /** @returns the failure, or null if the system takes the datagram. */
  onFlush: (datagram: SentDatagram) => SendFailure | null = (datagram) => {
    this.sent.push(datagram);
    return null;
  };

  reserve(bytes: number): number {
    if (bytes > 65_507) throw new Error(`region of ${bytes} bytes`);
    if (this.#next + bytes > this.arena.length) {
      this.flush();
      this.#next = 0;
    }
    this.#region = this.#next;
    return this.#region;
  }

  commit(
    bytes: number,
    segmentBytes: number,
    destIp: number,
    destPort: number,
    sourceIp: number,
    df: boolean,
    connId: number,
  ): void {
    const region = this.arena.slice(this.#region, this.#region + bytes);
    this.#next = this.#region + bytes;
    const addresses = { destIp: destIp >>> 0, destPort, sourceIp: sourceIp >>> 0 };
    for (let at = 0; at < bytes; at += segmentBytes) {
      const copy = region.slice(at, at + segmentBytes);
      this.#pending.push({ bytes: copy, ...addresses, df, connId });
    }
  }

  flush(): void {
    const pending = this.#pending;
    this.#pending = [];
    for (const datagram of pending) {
      const failure = this.onFlush(datagram);
      if (failure !== null) this.onSendFailure(failure);
    }
  }
}

export class FakeTap implements TapPort {
  readonly frames: Uint8Array[] = [];
  refuses = false;

  write(buffer: Uint8Array, offset: number, frameBytes: number): boolean {
    if (this.refuses) return false;
    this.frames.push(buffer.slice(offset, offset + frameBytes));
    return true;
  }
}

export interface Node {
  readonly name: PeerName;
  readonly ip: number;
  readonly plane: DataPlane;
  readonly tap: FakeTap;
  readonly datagrams: FakeDatagrams;
  readonly established: Set<number>;
  readonly failed: Map<number, string>;
  readonly attributes: Map<number, OverlayAttributes>;
}

interface Connection {
  readonly ends: readonly [{ node: Node; connId: number }, { node: Node; connId: number }];
}

/** What lies between all nodes. */
export interface Underlay {
  /** What the system knows and enforces for DF datagrams: bytes of IP packet. */
  systemMtu: number;
  /** What really passes with DF; larger datagrams vanish. */
  realMtu: number;
  /** Share of datagrams lost, 0 to 1. */
  loss: number;
  /** No fragment arrives. */
  dropsFragments: boolean;
  /** Rewrites the source a receiver sees. */
  translate: (ip: number, port: number) => { ip: number; port: number };
}

export const PORT = 6783;
export const UID = 0xfedc_ba98_7654_3210n;

export class Network {
  nowMs = 1_000;
  readonly nodes: Node[] = [];
  readonly underlay: Underlay = {
    systemMtu: 1500,
    realMtu: 1500,
    loss: 0,
    dropsFragments: false,
    translate: (ip, port) => ({ ip, port }),
  };
  readonly #connections: Connection[] = [];
  readonly #queue: { atMs: number; order: number; run: () => void }[] = [];
  #order = 0;
  #nextConnId = 1;
  #seed = 12345;

  addNode(name: number, keyLimits?: KeyLimits): Node {
    const datagrams = new FakeDatagrams();
    const tap = new FakeTap();
    const localPeer = name as PeerName;
    const plane = new DataPlane(
      { localPeer, ...(keyLimits === undefined ? {} : { keyLimits }) },
      { datagrams, tap, secretbox: plainSecretbox, aead },
    );
    const node: Node = {
      name: localPeer,
      ip: 0xc633_6400 + (name & 0xff),
      plane,
      tap,
      datagrams,
      established: new Set(),
      failed: new Map(),
      attributes: new Map(),
    };
    datagrams.onFlush = (datagram) => this.#send(node, datagram);
    this.nodes.push(node);
    return node;
  }

  /** `a` is the end that dialled. @returns both connection ids. */
  connect(
    a: Node,
    b: Node,
    sessionKey: Uint8Array | null,
    cipher: DataCipher = sessionKey === null ? 'none' : 'nacl',
  ): [number, number] {
    const aId = this.#nextConnId++;
    const bId = this.#nextConnId++;
    const common = { connectionUid: UID + BigInt(aId), cipher, sessionKey };
    a.plane.prepare({
      ...common,
      connId: aId,
      localPeer: a.name,
      remotePeer: b.name,
      outbound: true,
      localIp: ipText(a.ip),
      remoteIp: ipText(b.ip),
      remotePort: PORT,
    });
    b.plane.prepare({
      ...common,
      connId: bId,
      localPeer: b.name,
      remotePeer: a.name,
      outbound: false,
      localIp: ipText(b.ip),
      remoteIp: ipText(a.ip),
      remotePort: null,
    });
    this.#connections.push({
      ends: [
        { node: a, connId: aId },
        { node: b, connId: bId },
      ],
    });
    b.plane.confirm(bId, this.nowMs);
    a.plane.confirm(aId, this.nowMs);
    this.#pollEvents();
    return [aId, bId];
  }

  /** A workload of the node sends; the batch ends with the last frame. */
  capture(node: Node, ...frames: readonly Uint8Array[]): number[] {
    const reasons = frames.map((frame) =>
      node.plane.handleFrame(frame, 0, frame.length, this.nowMs),
    );
    node.plane.flush(this.nowMs);
    this.#pollEvents();
    return reasons;
  }

  /** Lets time pass, jumping from event to event. */
  run(forMs: number): void {
    const endMs = this.nowMs + forMs;
    for (let steps = 0; ; steps++) {
      if (steps > 200_000) throw new Error('the network does not come to rest');
      const next = this.#nextEventMs();
      if (next > endMs) break;
      this.nowMs = Math.max(this.nowMs, next);
      for (const node of this.nodes) {
        const timeout = node.plane.nextTimeout();
        if (timeout !== null && timeout.atMs <= this.nowMs) node.plane.handleTimeout(this.nowMs);
      }
      this.#queue.sort((x, y) => x.atMs - y.atMs || x.order - y.order);
      while (this.#queue.length > 0 && (this.#queue[0]?.atMs ?? 0) <= this.nowMs) {
        this.#queue.shift()?.run();
      }
      this.#pollEvents();
    }
    this.nowMs = endMs;
  }

  /** A datagram out of nowhere. */
  inject(node: Node, bytes: Uint8Array, ip: number, port = PORT): void {
    const buffer = new Uint8Array(bytes.length + 5);
    buffer.set(bytes, 5);
    node.plane.handleDatagram(buffer, 5, bytes.length, ip, port, this.nowMs);
    node.plane.flush(this.nowMs);
    this.#pollEvents();
  }

  drops(node: Node): Record<string, number> {
    const { drops } = node.plane.status(this.nowMs);
    return Object.fromEntries(Object.entries(drops).filter(([, count]) => count > 0));
  }

  #nextEventMs(): number {
    let next = Number.POSITIVE_INFINITY;
    for (const { atMs } of this.#queue) next = Math.min(next, atMs);
    for (const { plane } of this.nodes) {
      next = Math.min(next, plane.nextTimeout()?.atMs ?? Number.POSITIVE_INFINITY);
    }
    return next;
  }

  #send(from: Node, datagram: SentDatagram): SendFailure | null {
    const { systemMtu, realMtu, loss, dropsFragments, translate } = this.underlay;
    const packetBytes = datagram.bytes.length + 28;
    if (datagram.df && packetBytes > systemMtu) {
      return { connId: datagram.connId, errno: 90, pathMtuBytes: systemMtu };
    }
    from.datagrams.sent.push(datagram);
    if (datagram.df && packetBytes > realMtu) return null;
    if (!datagram.df && packetBytes > realMtu && dropsFragments) return null;
    if (this.#random() < loss) return null;
    const source = translate(datagram.sourceIp, PORT);
    const to = this.nodes.find((node) => node.ip === datagram.destIp);
    if (to === undefined) return { connId: datagram.connId, errno: 113, pathMtuBytes: 0 };
    this.#after(1, () => this.inject(to, datagram.bytes, source.ip, source.port));
    return null;
  }

  #pollEvents(): void {
    for (const node of this.nodes) {
      for (let event = node.plane.pollEvent(); event !== null; event = node.plane.pollEvent()) {
        if (event.type === 'established') node.established.add(event.connId);
        else if (event.type === 'failed') node.failed.set(event.connId, event.code);
        else if (event.type === 'attributes') node.attributes.set(event.connId, event.attributes);
        else this.#control(event.connId, event.subTag, event.data);
      }
    }
  }

  #control(connId: number, subTag: number, data: Uint8Array): void {
    const ends = this.#connections.find(({ ends }) =>
      ends.some((end) => end.connId === connId),
    )?.ends;
    const other = ends?.find((end) => end.connId !== connId);
    if (other === undefined) return;
    this.#after(1, () => {
      other.node.plane.handleControl(other.connId, subTag, data, this.nowMs);
      this.#pollEvents();
    });
  }

  #after(delayMs: number, run: () => void): void {
    this.#queue.push({ atMs: this.nowMs + delayMs, order: this.#order++, run });
  }

  /** Lehmer's generator, so that a run repeats. */
  #random(): number {
    this.#seed = (this.#seed * 48_271) % 0x7fff_ffff;
    return this.#seed / 0x7fff_ffff;
  }
}

export function ipText(ip: number): string {
  return [24, 16, 8, 0].map((shift) => (ip >>> shift) & 255).join('.');
}

/** Strict routes over a list of links, by the walk of reference/wire-protocol.md 7. */
export function routesOf(
  self: PeerName,
  all: readonly PeerName[],
  links: readonly (readonly [PeerName, PeerName])[],
): ForwardingTables {
  const adjacent = new Map<PeerName, PeerName[]>(all.map((peer) => [peer, []]));
  for (const [a, b] of links) {
    adjacent.get(a)?.push(b);
    adjacent.get(b)?.push(a);
  }
  const walk = (start: PeerName, stop: PeerName | null) => {
    const table = new Map<PeerName, PeerName>([[start, 0 as PeerName]]);
    let level = [start];
    while (level.length > 0) {
      level.sort((x, y) => x - y);
      const next: PeerName[] = [];
      for (const current of level) {
        if (current === stop) return { met: true, table };
        for (const remote of adjacent.get(current) ?? []) {
          if (table.has(remote)) continue;
          next.push(remote);
          table.set(remote, current === start ? remote : (table.get(current) as PeerName));
        }
      }
      level = next;
    }
    return { met: false, table };
  };
  const unicast = walk(self, null).table;
  unicast.delete(self);
  const broadcast = new Map<PeerName, readonly PeerName[]>();
  for (const source of all) {
    const { met, table } = walk(source, self);
    if (met)
      broadcast.set(
        source,
        (adjacent.get(self) ?? []).filter((peer) => !table.has(peer)),
      );
  }
  return { peers: new Set(all), unicast, broadcast };
}

/** Gives all nodes the routes of the links. */
export function setRoutes(network: Network, links: readonly (readonly [Node, Node])[]): void {
  const names = network.nodes.map((node) => node.name);
  const pairs = links.map(([a, b]) => [a.name, b.name] as const);
  for (const node of network.nodes) node.plane.setForwarding(routesOf(node.name, names, pairs));
}
