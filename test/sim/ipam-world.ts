/**
 * A network of allocators: unicasts and broadcasts with delay and loss, periodic gossip, splits,
 * crashes. Connections that come up carry complete states, as in the mesh. What must never happen
 * is checked after each step.
 */
import assert from 'node:assert/strict';
import { type Cidr, formatIpv4, type Ipv4 } from '../../core/ip.js';
import type { PeerName } from '../../core/peer-name.js';
import type { IpamInit, IpamStatus } from '../../ipam/interfaces.js';
import { rangeOf } from '../../ipam/range.js';
import { DEFAULT_TUNING, type IpamTuning } from '../../ipam/tuning.js';
import { EventQueue } from './event-queue.js';
import { IpamHost } from './ipam-host.js';
import type { SeededRandom } from './seeded-random.js';

export interface IpamWorldOptions {
  readonly hosts: number;
  readonly universe: Cidr;
  readonly init: (hosts: readonly PeerName[]) => IpamInit;
  readonly reclaimAfterMs: number | null;
  /** Share of messages lost. */
  readonly loss: number;
  readonly maxDelayMs: number;
  readonly tuning?: IpamTuning;
}

const GOSSIP_MS = 30_000;
/** A name that was used twice counts as such for so long. */
const RIVAL_MEMORY_MS = 120_000;

export class IpamWorld {
  readonly hosts: IpamHost[] = [];
  readonly options: IpamWorldOptions;
  readonly #random: SeededRandom;
  readonly #init: IpamInit;
  readonly #queue = new EventQueue();
  /** The part of the network that each host is in. */
  readonly #parts = new Map<PeerName, number>();
  /** When a second host of that name was last there. */
  readonly #rivalSeenMs = new Map<PeerName, number>();
  delivered = 0;
  loss: number;

  constructor(options: IpamWorldOptions, random: SeededRandom) {
    this.options = options;
    this.#random = random;
    this.loss = options.loss;
    const names = Array.from({ length: options.hosts }, (_, i) => (i + 1) as PeerName);
    const init = options.init(names);
    for (const name of names) this.#addHost(name, init);
    this.#init = init;
    for (const host of this.hosts) this.start(host);
  }

  get nowMs(): number {
    return this.#queue.nowMs;
  }

  get up(): IpamHost[] {
    return this.hosts.filter(({ isUp }) => isUp);
  }

  get isSplit(): boolean {
    return new Set(this.#parts.values()).size > 1;
  }

  /** With `SIM_TRACE` set: what happens, for a seed that failed. */
  #trace(text: string): void {
    if (process.env['SIM_TRACE'] !== undefined) console.log(`${this.nowMs} ${text}`);
  }

  /** For what happens beside the allocators. */
  after(delayMs: number, run: () => void): void {
    this.#queue.after(delayMs, run);
  }

  /** One more host starts, with nothing on its disk. */
  join(name: PeerName): IpamHost {
    const host = this.#addHost(name, this.#init);
    this.start(host);
    return host;
  }

  start(host: IpamHost): void {
    this.#trace(`host${host.name} starts`);
    host.start();
    this.#peersChanged();
    this.#connect(host);
    this.#schedule(host);
  }

  stop(host: IpamHost): void {
    this.#trace(`host${host.name} stops`);
    host.crash();
    this.#peersChanged();
  }

  /** A second host with the name and the disk of another starts. */
  clone(host: IpamHost): IpamHost {
    this.#trace(`host${host.name} is cloned`);
    const twin = this.#addHost(host.name, this.#init);
    twin.disk = host.disk;
    this.#noteRivals(host.name);
    this.start(twin);
    return twin;
  }

  kill(host: IpamHost): void {
    this.#trace(`host${host.name} dies`);
    this.#noteRivals(host.name);
    host.die();
    this.#peersChanged();
  }

  split(parts: number): void {
    for (const { name } of this.hosts) this.#parts.set(name, this.#random.below(parts));
    this.#trace(`parts ${[...this.#parts.values()].join(' ')}`);
    this.#peersChanged();
    for (const host of this.up) this.#connect(host);
  }

  heal(): void {
    this.#trace('healed');
    for (const { name } of this.hosts) this.#parts.set(name, 0);
    this.#peersChanged();
    for (const host of this.up) this.#connect(host);
  }

  /** In steps, each followed by the checks. */
  run(durationMs: number, stepMs = 5_000): void {
    const endMs = this.nowMs + durationMs;
    while (this.nowMs < endMs) {
      this.#queue.runTo(Math.min(endMs, this.nowMs + stepMs));
      this.check();
    }
  }

  /** No address is owned or used twice, and each host agrees with itself. */
  check(): void {
    const owners = new Map<number, { name: PeerName; end: number }>();
    const excused = new Map<IpamHost, ReadonlySet<Ipv4> | null>();
    for (const host of this.up) {
      const status = host.status();
      host.check(status);
      excused.set(host, excusedBy(status));
      if (status.held !== null) continue;
      for (const { start, end } of host.ownRanges(status)) {
        assert.ok(!owners.has(start), `${formatIpv4(start as Ipv4)} is owned twice`);
        owners.set(start, { name: host.name, end });
      }
    }
    let last = { name: 0 as PeerName, end: 0 };
    for (const [start, range] of [...owners].sort(([a], [b]) => a - b)) {
      const where = `${formatIpv4(start as Ipv4)} of host${range.name} and host${last.name}`;
      assert.ok(start >= last.end, `ranges overlap at ${where}`);
      last = range;
    }
    const users = new Map<Ipv4, PeerName>();
    for (const [host, addresses] of excused) {
      for (const address of host.workloads.keys()) {
        if (addresses === null || addresses.has(address)) continue;
        const other = users.get(address);
        assert.equal(other, undefined, `${formatIpv4(address)}: host${host.name}, host${other}`);
        users.set(address, host.name);
      }
    }
  }

  #addHost(name: PeerName, init: IpamInit): IpamHost {
    this.#parts.set(name, 0);
    const { universe, reclaimAfterMs, tuning = DEFAULT_TUNING } = this.options;
    const host = new IpamHost(
      { name, universe, init, reclaimAfterMs, tuning },
      {
        random: this.#random,
        nowMs: () => this.nowMs,
        mesh: {
          peers: () =>
            this.up
              .filter((other) => this.#connected(name, other.name))
              .map((other) => ({ name: other.name, nickname: `host${other.name}` })),
          isReachable: (peer) => this.#host(peer)?.isUp === true && this.#connected(name, peer),
          targetCount: () => this.options.hosts - 1,
          isCloned: () => this.#isCloned(name),
        },
        onUnicast: (to, payload) =>
          this.#send(name, to, (other) => {
            other.allocator?.onGossipUnicast(payload, name, this.nowMs);
          }),
        onBroadcast: (payload) => {
          for (const { name: to } of this.up) {
            if (to === name) continue;
            this.#send(name, to, (other) => {
              other.allocator?.onGossipBroadcast(payload, name, this.nowMs);
            });
          }
        },
        onGranted: (address) => this.#checkGrant(host, address),
      },
    );
    this.hosts.push(host);
    return host;
  }

  /** As the mesh tells: entries under our name that others know and that are not ours. */
  #isCloned(name: PeerName): boolean {
    this.#noteRivals(name);
    const seenMs = this.#rivalSeenMs.get(name) ?? Number.NEGATIVE_INFINITY;
    return this.nowMs - seenMs <= RIVAL_MEMORY_MS;
  }

  #noteRivals(name: PeerName): void {
    const rivals = this.hosts.filter((host) => host.name === name && !host.dead);
    if (rivals.length > 1) this.#rivalSeenMs.set(name, this.nowMs);
  }

  /** The moment at which an address is handed out. */
  #checkGrant(host: IpamHost, address: Ipv4): void {
    for (const other of this.up) {
      if (other === host || !other.workloads.has(address)) continue;
      const excused = excusedBy(other.status());
      if (excused === null || excused.has(address)) continue;
      throw new Error(`${formatIpv4(address)} given out by host${host.name} and host${other.name}`);
    }
    assert.ok(!host.workloads.has(address), `${formatIpv4(address)} given out twice here`);
  }

  #host(name: PeerName): IpamHost | undefined {
    const living = this.up.filter((host) => host.name === name);
    return living.length > 1 ? this.#random.pick(living) : living[0];
  }

  #connected(a: PeerName, b: PeerName): boolean {
    return this.#parts.get(a) === this.#parts.get(b);
  }

  #send(from: PeerName, to: PeerName, deliver: (host: IpamHost) => void, reliable = false): void {
    const host = this.#host(to);
    if (host === undefined || !this.#connected(from, to)) return;
    if (!reliable && this.#random.chance(this.loss)) return;
    const life = host.allocator;
    this.#queue.after(this.#random.float() * this.options.maxDelayMs, () => {
      // What is on its way when a connection breaks is lost.
      if (host.allocator !== life || !host.isUp || !this.#connected(from, to)) return;
      this.delivered++;
      deliver(host);
      host.drain();
    });
  }

  /** Complete states both ways to and from those that it can reach. */
  #connect(host: IpamHost): void {
    const others = this.up.filter(
      (o) => o.name !== host.name && this.#connected(o.name, host.name),
    );
    const neighbours = others.length <= 3 ? others : [0, 1, 2].map(() => this.#random.pick(others));
    for (const other of neighbours) {
      this.#sendState(host, other);
      this.#sendState(other, host);
    }
  }

  #sendState(from: IpamHost, to: IpamHost): void {
    for (const payload of from.allocator?.completeState().encode() ?? []) {
      const deliver = (host: IpamHost): void => {
        host.allocator?.onGossip(payload, from.name, this.nowMs);
      };
      this.#send(from.name, to.name, deliver, true);
    }
  }

  #peersChanged(): void {
    for (const host of this.up) {
      host.allocator?.handlePeersChanged(this.nowMs);
      host.drain();
    }
  }

  /** Ticks and periodic gossip of one life of a host. */
  #schedule(host: IpamHost): void {
    const life = host.allocator;
    const tick = (): void => {
      if (host.allocator !== life || life === null) return;
      life.handleTimeout(this.nowMs);
      host.drain();
      this.#queue.at(life.nextTimeout()?.atMs ?? this.nowMs + 1000, tick);
    };
    const gossip = (): void => {
      if (host.allocator !== life || life === null) return;
      const others = this.up.filter(
        (o) => o.name !== host.name && this.#connected(o.name, host.name),
      );
      for (let i = 0; i < 2 && others.length > 0; i++)
        this.#sendState(host, this.#random.pick(others));
      this.#queue.after(GOSSIP_MS, gossip);
    };
    this.#queue.at(life?.nextTimeout()?.atMs ?? this.nowMs, tick);
    this.#queue.after(this.#random.float() * GOSSIP_MS, gossip);
  }

  get addresses(): number {
    const { start, end } = rangeOf(this.options.universe);
    return end - start;
  }
}

/** Addresses that a host knows to be not its own any more; null: it relies on none. */
function excusedBy(status: IpamStatus): ReadonlySet<Ipv4> | null {
  if (status.held !== null) return null;
  return new Set(status.stranded.map(({ cidr }) => cidr.address));
}
