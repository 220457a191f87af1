/**
 * A whole data plane over one socket of node:dgram, without a TAP device: for peers that only have
 * to be there. Slow and simple, and established like any other.
 */
import { createSocket, type Socket } from 'node:dgram';
import { systemClock } from '../../core/clock.js';
import { formatIpv4, type Ipv4, parseIpv4 } from '../../core/ip.js';
import type { PeerName } from '../../core/peer-name.js';
import { DataPlane } from '../../fastdp/data-plane.js';
import type { AeadFactory, DatagramPort, Secretbox, SendFailure } from '../../fastdp/ports.js';
import type {
  ForwardingTables,
  Overlay,
  OverlayEvent,
  OverlayPeering,
} from '../../mesh/overlay.js';
import { SinkTap } from './ports.js';

/** One datagram of the largest size is under construction at a time. */
const ARENA_BYTES = 65_536;
const MAX_SLEEP_MS = 1_000;

class DgramPort implements DatagramPort {
  readonly arena = new Uint8Array(ARENA_BYTES);
  onSendFailure: (failure: SendFailure) => void = () => {};
  readonly #socket: Socket;

  constructor(socket: Socket) {
    this.#socket = socket;
  }

  reserve(): number {
    return 0;
  }

  /** The kernel copies it later, so it leaves the arena at once. Probes that are too big vanish. */
  commit(bytes: number, segmentBytes: number, destIp: number, destPort: number): void {
    const address = formatIpv4((destIp >>> 0) as Ipv4);
    for (let at = 0; at < bytes; at += segmentBytes) {
      const copy = this.arena.slice(at, Math.min(bytes, at + segmentBytes));
      this.#socket.send(copy, destPort, address, () => {});
    }
  }

  flush(): void {}
}

export class DgramOverlay implements Overlay {
  readonly name = 'sleeve';
  onEvent: (event: OverlayEvent) => void = () => {};
  readonly #socket = createSocket('udp4');
  readonly #plane: DataPlane;
  #timer: NodeJS.Timeout | null = null;

  constructor(
    options: { readonly localPeer: PeerName; readonly host: string; readonly port: number },
    modules: { readonly secretbox: Secretbox; readonly aead: AeadFactory },
  ) {
    const { localPeer, host, port } = options;
    const datagrams = new DgramPort(this.#socket);
    this.#plane = new DataPlane({ localPeer }, { datagrams, tap: new SinkTap(), ...modules });
    this.#socket.on('error', () => {});
    this.#socket.on('message', (message, { address, port: sourcePort }) => {
      const sourceIp = parseIpv4(address);
      const nowMs = systemClock.nowMs();
      this.#plane.handleDatagram(message, 0, message.length, sourceIp, sourcePort, nowMs);
      this.#after();
    });
    this.#socket.bind(port, host);
  }

  prepare(peering: OverlayPeering): void {
    this.#plane.prepare(peering);
    this.#after();
  }

  confirm(connId: number): void {
    this.#plane.confirm(connId, systemClock.nowMs());
    this.#after();
  }

  handleControl(connId: number, subTag: number, data: Uint8Array): void {
    this.#plane.handleControl(connId, subTag, data, systemClock.nowMs());
    this.#after();
  }

  stop(connId: number): void {
    this.#plane.stop(connId);
  }

  setForwarding(tables: ForwardingTables): void {
    this.#plane.setForwarding(tables);
  }

  forgetPeer(peer: PeerName): void {
    this.#plane.forgetPeer(peer);
  }

  /** Sends, sets the timer anew and tells events, which may not happen within a call of theirs. */
  #after(): void {
    const nowMs = systemClock.nowMs();
    this.#plane.flush(nowMs);
    if (this.#timer !== null) clearTimeout(this.#timer);
    const dueMs = (this.#plane.nextTimeout()?.atMs ?? Number.POSITIVE_INFINITY) - nowMs;
    this.#timer = setTimeout(
      () => {
        this.#plane.handleTimeout(systemClock.nowMs());
        this.#after();
      },
      Math.min(MAX_SLEEP_MS, Math.max(1, dueMs)),
    );
    setImmediate(() => {
      for (let event = this.#plane.pollEvent(); event !== null; event = this.#plane.pollEvent()) {
        this.onEvent(event);
      }
    });
  }
}
