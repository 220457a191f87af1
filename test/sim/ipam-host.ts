/**
 * One simulated host of the allocator's network: the machine, its disk, and the workloads that were
 * told their addresses. A crash loses all but disk and workloads, and may fall between any two
 * actions of the machine.
 */
import assert from 'node:assert/strict';
import { type Cidr, formatIpv4, type Ipv4 } from '../../core/ip.js';
import { formatPeerName, type PeerName } from '../../core/peer-name.js';
import { Allocator } from '../../ipam/allocator.js';
import type {
  IpamAction,
  IpamInit,
  IpamMeshView,
  IpamSnapshot,
  IpamStatus,
  PreClaim,
  RequestId,
} from '../../ipam/interfaces.js';
import { type AddressRange, contains } from '../../ipam/range.js';
import type { IpamTuning } from '../../ipam/tuning.js';
import type { SeededRandom } from './seeded-random.js';

export interface IpamHostOptions {
  readonly name: PeerName;
  readonly universe: Cidr;
  readonly init: IpamInit;
  readonly reclaimAfterMs: number | null;
  readonly tuning: IpamTuning;
}

export interface IpamHostModules {
  readonly random: SeededRandom;
  readonly mesh: IpamMeshView;
  readonly nowMs: () => number;
  readonly onUnicast: (to: PeerName, payload: Uint8Array) => void;
  readonly onBroadcast: (payload: Uint8Array) => void;
  /** A workload is told its address. */
  readonly onGranted: (address: Ipv4) => void;
}

interface Workload {
  readonly ident: string;
  readonly address: Ipv4;
}

const MAX_OLD_DISKS = 8;

export class IpamHost {
  readonly name: PeerName;
  /** null: down. */
  allocator: Allocator | null = null;
  /** Down for good. */
  dead = false;
  /** What the store holds, and what it held before, oldest first. */
  disk: IpamSnapshot | null = null;
  readonly oldDisks: IpamSnapshot[] = [];
  /** By address: these run with it, whatever the allocator is doing. */
  readonly workloads = new Map<Ipv4, Workload>();
  readonly waiting = new Map<RequestId, string>();
  readonly #settling = new Map<RequestId, (refusal: string | null) => void>();
  readonly refusals: string[] = [];
  /** Of the next actions, how many are carried out before a crash; null: all. */
  crashAfter: number | null = null;
  readonly #options: IpamHostOptions;
  readonly #modules: IpamHostModules;
  #nextIdent = 1;

  constructor(options: IpamHostOptions, modules: IpamHostModules) {
    this.name = options.name;
    this.#options = options;
    this.#modules = modules;
  }

  get isUp(): boolean {
    return this.allocator !== null;
  }

  start(): void {
    const { name, universe, init, reclaimAfterMs, tuning } = this.#options;
    const { random, mesh, nowMs } = this.#modules;
    this.allocator = new Allocator(
      {
        localPeer: name,
        nickname: `host${name}`,
        uid: random.uint64() | 1n,
        universe,
        defaultSubnet: universe,
        init,
        reclaimAfterMs,
      },
      { random, mesh },
      tuning,
    );
    const { prefixLength } = universe;
    const inUse = [...this.workloads.values()].map(
      ({ ident, address }): PreClaim => ({
        ident,
        cidr: { address, prefixLength },
        watched: true,
      }),
    );
    this.allocator.start(this.disk, inUse, nowMs());
    // Addresses that nobody was told before a crash have no workload.
    const living = new Set(inUse.map(({ ident }) => ident as string));
    this.allocator.reconcileWorkloads(living, nowMs());
    this.drain();
  }

  crash(): void {
    this.allocator = null;
    this.waiting.clear();
    this.#settling.clear();
    this.crashAfter = null;
  }

  /** The workloads end with it. */
  die(): void {
    this.crash();
    this.dead = true;
    this.workloads.clear();
  }

  allocate(): void {
    const ident = `${this.name}-${this.#nextIdent++}`;
    const request = { ident, subnet: null, watched: true };
    const id = this.allocator?.allocate(request, this.#modules.nowMs());
    if (id !== undefined) this.waiting.set(id, ident);
    this.drain();
  }

  claim(address: Ipv4): void {
    const ident = `${this.name}-${this.#nextIdent++}`;
    const { prefixLength } = this.#options.universe;
    const cidr = { address, prefixLength };
    const request = { ident, cidr, watched: true, optimistic: false };
    const id = this.allocator?.claim(request, this.#modules.nowMs());
    if (id !== undefined) this.waiting.set(id, `${ident} ${address}`);
    this.drain();
  }

  release(workload: Workload): void {
    this.workloads.delete(workload.address);
    this.allocator?.freeAll(workload.ident, this.#modules.nowMs());
    this.drain();
  }

  /** @param settled called once, unless a crash comes first. */
  takeOver(
    target: PeerName,
    force = false,
    settled: (refusal: string | null) => void = () => {},
  ): void {
    const id = this.allocator?.takeOver(formatPeerName(target), force, this.#modules.nowMs());
    if (id !== undefined) this.#settling.set(id, settled);
    this.drain();
  }

  /** To be called after every input. */
  drain(): void {
    for (;;) {
      if (this.crashAfter === 0) this.crash();
      const action = this.allocator?.pollAction() ?? null;
      if (action === null) return;
      if (this.crashAfter !== null) this.crashAfter--;
      this.#carryOut(action);
    }
  }

  status(): IpamStatus {
    return (this.allocator as Allocator).status(this.#modules.nowMs());
  }

  /** What it believes to own. */
  ownRanges(status: IpamStatus): AddressRange[] {
    return status.entries
      .filter(({ peer }) => peer === this.name)
      .map(({ token, size }) => ({ start: token, end: token + size }));
  }

  /** All that must hold within one host. */
  check(status: IpamStatus): void {
    const own = this.ownRanges(status);
    const stranded = new Set(status.stranded.map(({ cidr }) => cidr.address));
    const held = new Map<Ipv4, string>();
    for (const { ident, cidrs } of (this.allocator as Allocator).list()) {
      for (const { address } of cidrs) held.set(address, ident);
    }
    for (const [address, { ident }] of this.workloads) {
      assert.equal(held.get(address), ident, `host${this.name} forgot ${formatIpv4(address)}`);
    }
    let used = 0;
    for (const address of held.keys()) {
      const isOwn = own.some((range) => contains(range, address));
      assert.notEqual(isOwn, stranded.has(address), `stranded or own: ${formatIpv4(address)}`);
      if (isOwn) used++;
    }
    assert.equal(status.activeAddresses, used, `host${this.name} counts its addresses wrong`);
    const free = status.owners.find(({ peer }) => peer === this.name)?.free ?? 0;
    const size = own.reduce((sum, { start, end }) => sum + end - start, 0);
    assert.equal(free + used, size, `host${this.name}: free and used are not all`);
  }

  #carryOut(action: IpamAction): void {
    if (process.env['SIM_TRACE'] !== undefined && action.type === 'log') {
      console.log(`${this.#modules.nowMs()} host${this.name}: ${action.text}`, action.fields);
    }
    switch (action.type) {
      case 'persist':
        if (this.disk !== null) this.oldDisks.push(this.disk);
        if (this.oldDisks.length > MAX_OLD_DISKS) this.oldDisks.shift();
        this.disk = JSON.parse(JSON.stringify(action.snapshot)) as IpamSnapshot;
        return;
      case 'unicast':
        this.#modules.onUnicast(action.destination, action.payload);
        return;
      case 'broadcast':
        for (const payload of action.data.encode()) this.#modules.onBroadcast(payload);
        return;
      case 'complete': {
        const ident = this.waiting.get(action.id);
        this.waiting.delete(action.id);
        const settled = this.#settling.get(action.id);
        this.#settling.delete(action.id);
        settled?.(action.result.status === 'failed' ? action.result.text : null);
        if (action.result.status === 'failed') this.refusals.push(action.result.text);
        else if (ident !== undefined && action.result.request === 'allocate') {
          this.#grant(ident, action.result.cidr.address);
        } else if (ident !== undefined && action.result.request === 'claim') {
          const [name, address] = ident.split(' ');
          this.#grant(name as string, Number(address) as Ipv4);
        }
      }
    }
  }

  #grant(ident: string, address: Ipv4): void {
    if (process.env['SIM_TRACE'] !== undefined) {
      console.log(`${this.#modules.nowMs()} host${this.name}: ${formatIpv4(address)} for ${ident}`);
    }
    this.#modules.onGranted(address);
    this.workloads.set(address, { ident, address });
  }
}
