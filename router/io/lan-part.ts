/** Discovery on the local network, `--discovery multicast`: machine, sockets and mesh together. */
import type { Clock } from '../../core/clock.js';
import type { Logger } from '../../core/log.js';
import type { PeerName } from '../../core/peer-name.js';
import type { Random } from '../../core/random.js';
import { LanSockets } from '../../mesh/io/lan-sockets.js';
import { announcementKey } from '../../mesh/lan-announcement.js';
import { LanNeighbours } from '../../mesh/lan-neighbours.js';
import type { ConnectItem } from '../../mesh/peer/dial.js';

export interface LanPartOptions {
  readonly name: PeerName;
  readonly port: number;
  /** Secret. */
  readonly password: Uint8Array | null;
  readonly bridge: string;
}

export interface LanPartModules {
  readonly mesh: {
    canReach(peer: PeerName): boolean;
    connect(items: readonly ConnectItem[], replace: boolean): void;
    forget(texts: readonly string[]): void;
  };
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
}

/** Interfaces of ours beside the bridge begin with it. */
const OWN_PREFIX = 'vethwe';

export class LanPart {
  readonly #modules: LanPartModules;
  readonly #neighbours: LanNeighbours;
  readonly #sockets: LanSockets;
  #timer: NodeJS.Timeout | undefined;

  constructor({ name, port, password, bridge }: LanPartOptions, modules: LanPartModules) {
    this.#modules = modules;
    const { clock, random, mesh, log } = modules;
    this.#neighbours = new LanNeighbours(
      { name, port, key: announcementKey(password) },
      { random, isKnown: (peer) => mesh.canReach(peer) },
      clock.nowMs(),
    );
    this.#sockets = new LanSockets({
      onDatagram: (bytes, source) => {
        this.#neighbours.handleDatagram(bytes, source, clock.nowMs());
        this.#drain();
      },
      isExcluded: (interfaceName) =>
        interfaceName === bridge || interfaceName.startsWith(OWN_PREFIX),
      log,
    });
  }

  get counters(): Readonly<Record<string, number>> {
    return this.#neighbours.counters;
  }

  /** @throws {WeaveError} `lan-listen-failed` */
  async start(): Promise<void> {
    await this.#sockets.open();
    this.#tick();
  }

  stop(): void {
    clearTimeout(this.#timer);
    this.#sockets.close();
  }

  #tick(): void {
    const { clock } = this.#modules;
    this.#neighbours.handleTimeout(clock.nowMs(), clock.wallMs());
    this.#drain();
    const waitMs = Math.max(0, this.#neighbours.nextTimeout().atMs - clock.nowMs());
    this.#timer = setTimeout(() => this.#tick(), waitMs);
  }

  #drain(): void {
    const { mesh, log } = this.#modules;
    for (;;) {
      const action = this.#neighbours.pollAction();
      if (action === null) return;
      if (action.type === 'announce') this.#sockets.send(action.bytes);
      else if (action.type === 'forget') mesh.forget([action.text]);
      else {
        log.info('a router announces itself on the local network', { address: action.item.text });
        mesh.connect([action.item], false);
      }
    }
  }
}
