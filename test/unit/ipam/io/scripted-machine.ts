/** An allocator that grants at once, or not at all, for tests of what surrounds it. */
import { RequestError } from '../../../../core/errors.js';
import type { Cidr, Ipv4 } from '../../../../core/ip.js';
import type { PeerName } from '../../../../core/peer-name.js';
import type {
  AllocateRequest,
  IpamAction,
  IpamGauges,
  IpamMachine,
  IpamSnapshot,
  IpamStatus,
  OwnedAddresses,
  RestoreOutcome,
} from '../../../../ipam/interfaces.js';
import type { GossipData } from '../../../../mesh/gossip-channel.js';

/** What the state is, encoded at the moment of sending. */
class State implements GossipData {
  readonly #machine: ScriptedMachine;

  constructor(machine: ScriptedMachine) {
    this.#machine = machine;
  }

  encode(): readonly Uint8Array[] {
    return [Buffer.from(`state of ${this.#machine.list().length}`)];
  }

  merge(): GossipData {
    return this;
  }
}

export class ScriptedMachine implements IpamMachine {
  readonly name = 'IPallocation';
  readonly counters = {};
  /** Requests stay pending. */
  holdBack = false;
  outcome: RestoreOutcome = 'empty';
  readonly events: string[] = [];
  #owned: OwnedAddresses[] = [];
  #actions: IpamAction[] = [];
  #nextId = 1;
  #nextAddress = 0x0a200001;

  start(): RestoreOutcome {
    return this.outcome;
  }

  allocate({ ident, watched }: AllocateRequest): number {
    const id = this.#nextId++;
    if (this.holdBack) return id;
    const cidr = { address: this.#nextAddress++ as Ipv4, prefixLength: 12 };
    this.#owned.push({ ident, watched, cidrs: [cidr] });
    this.#persist();
    const result = { status: 'granted', request: 'allocate', cidr, fresh: true } as const;
    this.#actions.push({ type: 'complete', id, result });
    return id;
  }

  claim(): number {
    throw new Error('not scripted');
  }

  prime(): number {
    throw new Error('not scripted');
  }

  takeOver(): number {
    throw new Error('not scripted');
  }

  cancel(id: number): void {
    const result = { status: 'failed', code: 'ipam-cancelled', text: 'cancelled' } as const;
    this.#actions.push({ type: 'complete', id, result });
  }

  /** A word to a peer and to all, with the next input. */
  send(text: string): void {
    const payload = Buffer.from(text);
    this.#actions.push({ type: 'unicast', destination: 2 as PeerName, payload });
    this.#actions.push({ type: 'broadcast', data: new State(this) });
    this.#persist();
  }

  free(ident: string, address: Ipv4): void {
    const before = this.#owned.length;
    this.#owned = this.#owned.filter(({ cidrs }) => cidrs[0]?.address !== address);
    if (this.#owned.length === before) {
      throw new RequestError('ipam-not-found', `Free: not found for ${ident}`);
    }
    this.#persist();
  }

  freeAll(): void {}

  lookup(): readonly Cidr[] {
    return [];
  }

  list(): readonly OwnedAddresses[] {
    return this.#owned;
  }

  /** Puts an identifier into the list, for those who read it. */
  own(owned: OwnedAddresses): void {
    this.#owned.push(owned);
  }

  workloadDied(ident: string): void {
    this.events.push(`died ${ident}`);
  }

  workloadStarted(ident: string): void {
    this.events.push(`started ${ident}`);
  }

  workloadGone(ident: string): void {
    this.events.push(`gone ${ident}`);
  }

  reconcileWorkloads(living: ReadonlySet<string>): void {
    this.events.push(`living ${[...living]}`);
  }

  leave(): void {}

  handlePeersChanged(): void {}

  handleTimeout(): void {}

  nextTimeout(): null {
    return null;
  }

  pollAction(): IpamAction | null {
    return this.#actions.shift() ?? null;
  }

  status(): IpamStatus {
    throw new Error('not scripted');
  }

  gauges(): IpamGauges {
    throw new Error('not scripted');
  }

  explain(): readonly string[] {
    return [];
  }

  onGossip(): null {
    return null;
  }

  onGossipBroadcast(): null {
    return null;
  }

  onGossipUnicast(): void {}

  completeState(): GossipData {
    return new State(this);
  }

  #persist(): void {
    const snapshot = {
      ...{ localPeer: 1, universe: { start: 0, end: 1 }, ring: { seeds: [], entries: [] } },
      ...{ vote: null, uid: '1', reclaimAfterMs: null },
      owned: this.#owned.map(({ ident, watched }) => ({
        ...{ ident, watched, cidrs: [], stranded: [] },
      })),
    };
    this.#actions.push({ type: 'persist', snapshot: snapshot as IpamSnapshot });
  }
}
