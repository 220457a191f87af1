/**
 * One end of a simulated TCP connection. Bytes arrive in order, cut at random places, after a
 * random delay; while the two hosts cannot reach each other they wait, as TCP would resend them.
 */
import type { SimHost, SimWire, SimWorld } from './sim-world.js';

/** How often a sender whose host is cut off tries again. */
const RESEND_MS = 250;
const BLOCKED_MS = 300;

type Item =
  | { readonly type: 'bytes'; readonly bytes: Uint8Array }
  | { readonly type: 'end' }
  | { readonly type: 'reset' };

export class SimSocket implements SimWire {
  readonly connId: number;
  readonly node: SimHost;
  peer: SimSocket | null = null;
  closed = false;
  readonly #network: SimWorld;
  readonly #queue: Item[] = [];
  #sending = false;
  #blocked = false;

  constructor(connId: number, node: SimHost, network: SimWorld) {
    this.connId = connId;
    this.node = node;
    this.#network = network;
  }

  /** @returns false if the socket is blocked now; its node hears when it no longer is. */
  write(bytes: Uint8Array): boolean {
    if (this.closed) return true;
    const { random, events, options } = this.#network;
    const cut = random.below(bytes.length + 1);
    for (const part of [bytes.slice(0, cut), bytes.slice(cut)]) {
      if (part.length > 0) this.#send({ type: 'bytes', bytes: part });
    }
    if (!this.#blocked && random.chance(options.blockProbability)) {
      this.#blocked = true;
      events.after(BLOCKED_MS, () => {
        this.#blocked = false;
        if (this.closed) return;
        this.node.input((nowMs) => this.node.mesh.handleWritable(this.connId, nowMs));
      });
    }
    return !this.#blocked;
  }

  close(graceful: boolean): void {
    if (this.closed) return;
    this.closed = true;
    if (!graceful) this.#queue.length = 0;
    this.#send({ type: graceful ? 'end' : 'reset' });
  }

  /** The network resets the connection; both ends notice. */
  breakOff(): void {
    this.#receive({ type: 'reset' });
    this.peer?.close(false);
  }

  #send(item: Item): void {
    this.#queue.push(item);
    if (!this.#sending) this.#scheduleNext();
  }

  #scheduleNext(): void {
    this.#sending = true;
    this.#network.events.after(this.#network.latencyMs(), () => this.#deliver());
  }

  #deliver(): void {
    const { peer } = this;
    if (peer !== null && !this.#network.reachable(this.node.ip, peer.node.ip)) {
      this.#network.events.after(RESEND_MS, () => this.#deliver());
      return;
    }
    const item = this.#queue.shift();
    if (item !== undefined && peer !== null) peer.#receive(item);
    this.#sending = false;
    if (this.#queue.length > 0) this.#scheduleNext();
  }

  #receive(item: Item): void {
    if (this.closed) return;
    const { node, connId } = this;
    if (item.type === 'bytes') {
      node.input((nowMs) => node.mesh.handleBytes(connId, item.bytes, nowMs));
      return;
    }
    const reset = Object.assign(new Error('read ECONNRESET'), { code: 'ECONNRESET' });
    const error = item.type === 'reset' ? reset : null;
    node.input((nowMs) => node.mesh.handleSocketClosed(connId, error, nowMs));
    this.closed = true;
    node.sockets.delete(connId);
  }
}
