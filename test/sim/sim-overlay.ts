/**
 * An overlay without frames: heartbeats fly through the simulated network unless UDP is blocked
 * between the two, and are acknowledged over TCP as sleeve does.
 */
import type { PeerName } from '../../core/peer-name.js';
import type {
  ForwardingTables,
  Overlay,
  OverlayEvent,
  OverlayPeering,
} from '../../mesh/overlay.js';
import type { SimWorld } from './sim-world.js';

const FAST_MS = 500;
const SLOW_MS = 10_000;
const TIMEOUT_MS = 60_000;
const ESTABLISHED = 1;

interface Link {
  readonly peering: OverlayPeering;
  acknowledged: boolean;
  heard: boolean;
  lastHeardMs: number;
}

export class SimOverlay implements Overlay {
  readonly name: string;
  onEvent: (event: OverlayEvent) => void = () => {};
  forwarding: ForwardingTables = { peers: new Set(), unicast: new Map(), broadcast: new Map() };
  readonly forgotten: PeerName[] = [];
  readonly links = new Map<number, Link>();
  readonly #network: SimWorld;
  readonly #ip: string;
  #alive = true;

  constructor(name: string, ip: string, network: SimWorld) {
    this.name = name;
    this.#ip = ip;
    this.#network = network;
  }

  prepare(peering: OverlayPeering): void {
    const lastHeardMs = this.#network.nowMs;
    this.links.set(peering.connId, { peering, acknowledged: false, heard: false, lastHeardMs });
  }

  confirm(connId: number): void {
    this.#beat(connId);
  }

  handleControl(connId: number, subTag: number, _data: Uint8Array): void {
    const link = this.links.get(connId);
    if (link === undefined || subTag !== ESTABLISHED || link.acknowledged) return;
    link.acknowledged = true;
    this.onEvent({ type: 'established', connId });
    this.onEvent({ type: 'attributes', connId, attributes: { mtu: 1400 } });
  }

  /** A heartbeat arrived from the network. */
  handleHeartbeat(connectionUid: bigint): void {
    for (const [connId, link] of this.links) {
      if (!this.#alive || link.peering.connectionUid !== connectionUid) continue;
      link.lastHeardMs = this.#network.nowMs;
      if (link.heard) return;
      link.heard = true;
      const data = new Uint8Array(0);
      this.onEvent({ type: 'control', connId, subTag: ESTABLISHED, data });
    }
  }

  stop(connId: number): void {
    this.links.delete(connId);
  }

  /** The process died. */
  kill(): void {
    this.#alive = false;
    this.links.clear();
  }

  setForwarding(tables: ForwardingTables): void {
    this.forwarding = tables;
  }

  forgetPeer(peer: PeerName): void {
    this.forgotten.push(peer);
  }

  #beat(connId: number): void {
    const link = this.links.get(connId);
    if (link === undefined) return;
    if (this.#network.nowMs - link.lastHeardMs > TIMEOUT_MS) {
      const reason = 'timed out waiting for UDP heartbeat';
      this.onEvent({ type: 'failed', connId, code: 'heartbeat-timeout', reason });
      return;
    }
    const { remoteIp, connectionUid } = link.peering;
    this.#network.sendDatagram(this.#ip, remoteIp, this.name, connectionUid);
    this.#network.events.after(link.acknowledged ? SLOW_MS : FAST_MS, () => this.#beat(connId));
  }
}
