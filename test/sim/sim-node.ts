/** One simulated router: a Mesh with its timers, sockets, overlay and a channel of words. */
import { silentLogger } from '../../core/log.js';
import type { PeerName } from '../../core/peer-name.js';
import type { GossipChannel, GossipSender } from '../../mesh/gossip-channel.js';
import { Mesh } from '../../mesh/mesh.js';
import type { MeshAction, MeshOptions } from '../../mesh/mesh-types.js';
import type { ConnectItem } from '../../mesh/peer/dial.js';
import type { MeshStatus } from '../../mesh/status.js';
import { SimChannel } from './sim-channel.js';
import { SimOverlay } from './sim-overlay.js';
import type { SimHost, SimWire, SimWorld } from './sim-world.js';

export interface SimNodeOptions extends Partial<MeshOptions> {
  readonly name: PeerName;
  /** Names of channels that this router implements; `words` if absent. */
  readonly channels?: readonly string[];
  readonly overlays?: readonly string[];
  /** Another part of the router that joins the mesh before it starts. */
  readonly onMesh?: (mesh: Mesh) => void;
}

export class SimNode implements SimHost {
  readonly name: PeerName;
  readonly ip: string;
  readonly mesh: Mesh;
  readonly overlays: readonly SimOverlay[];
  readonly channels = new Map<string, SimChannel>();
  readonly senders = new Map<string, GossipSender>();
  readonly sockets = new Map<number, SimWire>();
  readonly gone: PeerName[] = [];
  targets: readonly string[] = [];
  alive = true;
  readonly #network: SimWorld;
  #timerGeneration = 0;

  constructor(options: SimNodeOptions, ip: string, network: SimWorld) {
    this.name = options.name;
    this.ip = ip;
    this.#network = network;
    const names = options.overlays ?? ['sleeve'];
    this.overlays = names.map((name) => new SimOverlay(name, ip, network));
    const { random } = network;
    this.mesh = new Mesh(
      {
        nickname: `host${options.name}`,
        uid: random.uint64() | 1n,
        shortId: random.below(4096),
        port: 6783,
        password: null,
        minVersion: 1,
        maxVersion: 2,
        discovery: true,
        connLimit: 200,
        trustedSubnets: [],
        ciphers: ['aes-256-gcm', 'nacl'],
        extraFeatures: {},
        ...options,
      },
      { random, overlays: this.overlays, log: silentLogger },
    );
    for (const name of options.channels ?? ['words']) this.#addChannel(new SimChannel(name));
    options.onMesh?.(this.mesh);
    this.mesh.onPeerGone((name) => this.gone.push(name));
    this.mesh.onPending = () => {
      // Comes in the midst of calls as well; acting later keeps the order of things simple.
      network.events.after(0, () => this.input((nowMs) => this.mesh.handlePending(nowMs)));
    };
    this.input((nowMs) => this.mesh.start(nowMs));
  }

  get words(): SimChannel {
    return this.channels.get('words') as SimChannel;
  }

  sender(channel = 'words'): GossipSender {
    return this.senders.get(channel) as GossipSender;
  }

  status(): MeshStatus {
    return this.mesh.status(this.#network.nowMs, 1_700_000_000_000 + this.#network.nowMs);
  }

  connect(others: readonly SimNode[], replace = false): void {
    const items = others.map(
      (other): ConnectItem => ({ text: other.ip, ip: other.ip, port: null }),
    );
    this.input((nowMs) => this.mesh.connect(items, replace, nowMs));
  }

  /** Feeds the mesh and does what it asks for, if the process lives. */
  input(feed: (nowMs: number) => void): void {
    if (!this.alive) return;
    feed(this.#network.nowMs);
    for (let action = this.mesh.pollAction(); action !== null; action = this.mesh.pollAction()) {
      this.#perform(action);
    }
    this.#setTimer();
  }

  /** The process dies without a word; the kernel resets its sockets. */
  kill(): void {
    this.alive = false;
    for (const overlay of this.overlays) overlay.kill();
    for (const socket of [...this.sockets.values()]) socket.close(false);
    this.sockets.clear();
  }

  #addChannel(channel: SimChannel & GossipChannel): void {
    this.channels.set(channel.name, channel);
    this.senders.set(channel.name, this.mesh.registerChannel(channel));
  }

  #perform(action: MeshAction): void {
    switch (action.type) {
      case 'write':
        if (this.sockets.get(action.connId)?.write(action.bytes) === false) {
          this.mesh.handleBlocked(action.connId);
        }
        break;
      case 'close':
        this.sockets.get(action.connId)?.close(action.graceful);
        this.sockets.delete(action.connId);
        break;
      case 'dial':
        this.#network.dial(this, action.address, action.direct);
        break;
      case 'targets-changed':
        this.targets = action.texts;
    }
  }

  #setTimer(): void {
    const generation = ++this.#timerGeneration;
    const next = this.mesh.nextTimeout();
    if (next === null) return;
    this.#network.events.at(next.atMs, () => {
      if (generation !== this.#timerGeneration) return;
      this.input((nowMs) => this.mesh.handleTimeout(nowMs));
    });
  }
}
