/** A few allocators of ours joined by hand: what one sends is delivered when the test says so. */
import { type Cidr, formatIpv4, type Ipv4, parseCidr, parseIpv4 } from '../../../core/ip.js';
import type { PeerName } from '../../../core/peer-name.js';
import { Allocator } from '../../../ipam/allocator.js';
import { decodeState, encodeState } from '../../../ipam/codec.js';
import type {
  IpamInit,
  IpamOptions,
  IpamResult,
  IpamSnapshot,
  PreClaim,
} from '../../../ipam/interfaces.js';
import { DEFAULT_TUNING, type IpamTuning } from '../../../ipam/tuning.js';
import { SeededRandom } from '../../sim/seeded-random.js';

export interface Sent {
  readonly from: PeerName;
  /** null: to all. */
  readonly to: PeerName | null;
  readonly payload: Uint8Array;
}

export interface RigPeer {
  readonly name: PeerName;
  allocator: Allocator;
  readonly results: Map<number, IpamResult>;
  readonly logs: string[];
  disk: IpamSnapshot | null;
}

export interface RigOptions {
  readonly universe?: string;
  readonly init?: IpamInit;
  readonly tuning?: IpamTuning;
  readonly reclaimAfterMs?: number;
  /** Peers that behave to others as originals do: nothing tells that they are of our kind. */
  readonly originals?: readonly number[];
}

const namesOf = (peers: readonly number[]): PeerName[] => peers as PeerName[];

export class MeshRig {
  readonly peers = new Map<PeerName, RigPeer>();
  readonly sent: Sent[] = [];
  readonly down = new Set<PeerName>();
  /** Their names are used by another host, too. */
  readonly cloned = new Set<PeerName>();
  nowMs = 1000;
  readonly #options: RigOptions;

  constructor(names: readonly number[], options: RigOptions = {}) {
    this.#options = { init: { mode: 'seed', peers: namesOf(names) }, ...options };
    for (const name of namesOf(names)) this.add(name, null);
  }

  get universe(): Cidr {
    return parseCidr(this.#options.universe ?? '10.0.0.0/24');
  }

  add(name: number, disk: IpamSnapshot | null, preClaims: readonly PreClaim[] = []): RigPeer {
    const localPeer = name as PeerName;
    const options: IpamOptions = {
      localPeer,
      nickname: `host${name}`,
      uid: BigInt(100 + name),
      universe: this.universe,
      defaultSubnet: this.universe,
      init: this.#options.init as IpamInit,
      reclaimAfterMs: this.#options.reclaimAfterMs ?? null,
    };
    const mesh = {
      peers: () =>
        [...this.peers.keys()]
          .filter((peer) => !this.down.has(peer))
          .map((peer) => ({ name: peer, nickname: `host${peer}` })),
      isReachable: (peer: PeerName) => this.peers.has(peer) && !this.down.has(peer),
      targetCount: () => 0,
      isCloned: () => this.cloned.has(localPeer),
    };
    const modules = { random: new SeededRandom(name), mesh };
    const allocator = new Allocator(options, modules, this.#options.tuning ?? DEFAULT_TUNING);
    const peer: RigPeer = { name: localPeer, allocator, results: new Map(), logs: [], disk };
    this.peers.set(localPeer, peer);
    allocator.start(disk, preClaims, this.nowMs);
    this.drain(peer);
    return peer;
  }

  get(name: number): RigPeer {
    return this.peers.get(name as PeerName) as RigPeer;
  }

  drain(peer: RigPeer): void {
    const { allocator, name } = peer;
    for (let a = allocator.pollAction(); a !== null; a = allocator.pollAction()) {
      if (a.type === 'persist') peer.disk = JSON.parse(JSON.stringify(a.snapshot));
      else if (a.type === 'complete') peer.results.set(a.id, a.result);
      else if (a.type === 'log') peer.logs.push(a.text);
      else if (a.type === 'unicast') {
        this.sent.push({ from: name, to: a.destination, payload: a.payload });
      } else
        for (const payload of a.data.encode()) this.sent.push({ from: name, to: null, payload });
    }
  }

  /** Delivers all that was sent, and what that causes. */
  deliver(): void {
    for (let message = this.sent.shift(); message !== undefined; message = this.sent.shift()) {
      for (const peer of this.peers.values()) {
        const { from, to, payload } = message;
        const meant = to === null ? peer.name !== from : peer.name === to;
        if (!meant || this.down.has(peer.name) || this.down.has(from)) continue;
        const seen = this.#asSent(from, payload, to !== null);
        if (to === null) peer.allocator.onGossipBroadcast(seen, from, this.nowMs);
        else peer.allocator.onGossipUnicast(seen, from, this.nowMs);
        this.drain(peer);
      }
    }
  }

  /** Complete states between all, as periodic gossip brings them. */
  gossip(): void {
    for (const from of this.peers.values()) {
      if (this.down.has(from.name)) continue;
      for (const payload of from.allocator.completeState().encode()) {
        for (const to of this.peers.values()) {
          if (to === from || this.down.has(to.name)) continue;
          to.allocator.onGossip(this.#asSent(from.name, payload, false), from.name, this.nowMs);
          this.drain(to);
        }
      }
    }
    this.deliver();
  }

  /** Time passes, with ticks at their times. */
  pass(durationMs: number, deliver = true): void {
    const endMs = this.nowMs + durationMs;
    for (;;) {
      const alive = [...this.peers.values()].filter(({ name }) => !this.down.has(name));
      const atMs = Math.min(...alive.map((p) => p.allocator.nextTimeout()?.atMs ?? endMs + 1));
      if (atMs > endMs) break;
      this.nowMs = atMs;
      for (const peer of alive) {
        peer.allocator.handleTimeout(atMs);
        this.drain(peer);
      }
      if (deliver) this.deliver();
    }
    this.nowMs = endMs;
  }

  /** @returns the address, or the failure's code; null while the request waits */
  allocate(name: number, ident: string, subnet: string | null = null): string | null {
    const peer = this.get(name);
    const cidr = subnet === null ? null : parseCidr(subnet);
    const id = peer.allocator.allocate({ ident, subnet: cidr, watched: true }, this.nowMs);
    this.drain(peer);
    return this.resultOf(name, id);
  }

  resultOf(name: number, id: number): string | null {
    const result = this.get(name).results.get(id);
    if (result === undefined) return null;
    if (result.status === 'failed') return result.code;
    return result.request === 'allocate' ? formatIpv4(result.cidr.address) : 'granted';
  }

  claim(name: number, ident: string, address: string, optimistic = false): number {
    const peer = this.get(name);
    const { prefixLength } = this.universe;
    const cidr = { address: parseIpv4(address), prefixLength };
    const id = peer.allocator.claim({ ident, cidr, watched: true, optimistic }, this.nowMs);
    this.drain(peer);
    return id;
  }

  free(name: number, ident: string, address: string): void {
    const peer = this.get(name);
    peer.allocator.free(ident, parseIpv4(address), this.nowMs);
    this.drain(peer);
  }

  addressesOf(name: number): string[] {
    const list = this.get(name).allocator.list();
    return list.flatMap(({ cidrs }) => cidrs.map(({ address }) => formatIpv4(address)));
  }

  /** Owner by range, as a peer sees it. */
  ringOf(name: number): string[] {
    const { entries } = this.get(name).allocator.status(this.nowMs);
    return entries.map(({ token, peer }) => `${formatIpv4(token as Ipv4)} ${peer}`);
  }

  /** As an original would have sent it. */
  #asSent(from: PeerName, payload: Uint8Array, unicast: boolean): Uint8Array {
    if (!(this.#options.originals ?? []).includes(from)) return payload;
    if (!unicast) return encodeState({ ...decodeState(payload), healing: null });
    if (payload[0] !== 1) return payload;
    const plain = encodeState({ ...decodeState(payload.subarray(1)), healing: null });
    return Uint8Array.of(1, ...plain);
  }
}
