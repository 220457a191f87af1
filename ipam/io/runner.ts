/**
 * Runs the allocator: gives it time, stores what it must not forget, and carries out its actions.
 * Nothing that depends on a change leaves before the change is on disk: neither an answer to a
 * client nor a word to a peer. Changes that come while the disk is busy are stored together.
 *
 *   input ─> machine ─> actions ─┬─ persist ─> store ──┐
 *                                └─ the rest ──────────┴─> answers, gossip
 */
import { strict as assert } from 'node:assert';
import { setTimeout as delay } from 'node:timers/promises';
import type { Clock } from '../../core/clock.js';
import { errorCode, errorText, RequestError } from '../../core/errors.js';
import type { Cidr, Ipv4 } from '../../core/ip.js';
import type { Logger } from '../../core/log.js';
import type { GossipChannel, GossipData, GossipSender } from '../../mesh/gossip-channel.js';
import type {
  AllocateRequest,
  ClaimRequest,
  IpamAction,
  IpamMachine,
  IpamResult,
  IpamSnapshot,
  IpamStatus,
  OwnedAddresses,
  PreClaim,
  RequestId,
} from '../interfaces.js';
import { DurableGossip } from './durable-gossip.js';

/** Timers longer than this are set anew. */
const MAX_SLEEP_MS = 24 * 3600 * 1000;
/** Between attempts to store what could not be stored, growing. */
const FIRST_RETRY_MS = 500;
const MAX_RETRY_MS = 10_000;

export interface IpamStore {
  /** @returns null if nothing usable is stored. */
  load(): IpamSnapshot | null;
  /** Durable when it resolves. One call at a time. */
  save(snapshot: IpamSnapshot): Promise<void>;
  /** What is stored belongs to another peer or range: keep it under another name. */
  setAside(reason: string): void;
}

export interface IpamRunnerModules {
  readonly machine: IpamMachine;
  readonly store: IpamStore;
  readonly clock: Clock;
  readonly log: Logger;
}

export interface IpamStoreStatus {
  readonly saves: number;
  readonly failures: number;
  /** Why the last attempt failed; null if it did not. Until then nothing is answered. */
  readonly fault: string | null;
}

/** Who asked may lose interest: the request is cancelled then, and what it got is given back. */
export interface RequestOptions {
  readonly signal?: AbortSignal;
}

export class IpamRunner {
  readonly #modules: IpamRunnerModules;
  readonly #gossip: DurableGossip;
  /** Who waits for a request. BOUNDED by the machine's limit on requests. */
  readonly #waiting = new Map<RequestId, (result: IpamResult) => void>();
  /** Who waits for all changes so far to be on disk. BOUNDED by the calls of the API. */
  #flushed: (() => void)[] = [];
  /** Actions that wait for the disk. BOUNDED by what inputs cause meanwhile. */
  #held: IpamAction[] = [];
  #unsaved: IpamSnapshot | null = null;
  #sender: GossipSender | null = null;
  #timer: NodeJS.Timeout | null = null;
  #saving: Promise<void> | null = null;
  #stopped = false;
  readonly #stopSignal = new AbortController();
  #saves = 0;
  #failures = 0;
  #fault: string | null = null;

  constructor(modules: IpamRunnerModules) {
    this.#modules = modules;
    this.#gossip = new DurableGossip(modules.machine, (input) => this.#run(input));
  }

  /** To be registered with the mesh; what it gives back goes to `start`. */
  get channel(): GossipChannel {
    return this.#gossip;
  }

  /**
   * Call before the mesh starts.
   * @param snapshot what `store.load` gave.
   * @param preClaims addresses found in use on this host.
   */
  start(snapshot: IpamSnapshot | null, preClaims: readonly PreClaim[], sender: GossipSender): void {
    const { machine, store, clock } = this.#modules;
    this.#sender = sender;
    const outcome = machine.start(snapshot, preClaims, clock.nowMs());
    if (outcome === 'other-peer' || outcome === 'other-range') store.setAside(outcome);
    this.#gossip.noteDurable(this.#gossip.encodeNow());
    this.#run(() => {});
  }

  /** @returns the address with the prefix of its subnet. @throws {RequestError} */
  async allocate(request: AllocateRequest, options: RequestOptions = {}): Promise<Granted> {
    const result = await this.#request((nowMs) => this.#machine.allocate(request, nowMs), options);
    assert(result.status === 'granted' && result.request === 'allocate');
    const { cidr, fresh } = result;
    // An anonymous caller's address stands under its own text, as the machine stored it.
    if (fresh && options.signal?.aborted === true) this.giveBack(request.ident, cidr);
    return { cidr, fresh };
  }

  /** @returns whether it is new. @throws {RequestError} */
  async claim(request: ClaimRequest, options: RequestOptions = {}): Promise<boolean> {
    const result = await this.#request((nowMs) => this.#machine.claim(request, nowMs), options);
    assert(result.status === 'granted' && result.request === 'claim');
    if (result.fresh && options.signal?.aborted === true) {
      this.giveBack(request.ident, request.cidr);
    }
    return result.fresh;
  }

  /** Resolves when addresses can be given. @throws {RequestError} */
  async prime(options: RequestOptions = {}): Promise<void> {
    await this.#request((nowMs) => this.#machine.prime(nowMs), options);
  }

  /** @returns how many addresses passed to us. @throws {RequestError} with status 409 */
  async takeOver(peer: string, force: boolean): Promise<number> {
    const result = await this.#request((nowMs) => this.#machine.takeOver(peer, force, nowMs), {});
    assert(result.status === 'granted' && result.request === 'take-over');
    return result.addresses;
  }

  /** @throws {RequestError} `ipam-not-found` */
  async free(ident: string, address: Ipv4): Promise<void> {
    this.#run((nowMs) => this.#machine.free(ident, address, nowMs));
    await this.flush();
  }

  /** @throws {RequestError} `ipam-not-found` */
  async freeAll(ident: string): Promise<void> {
    this.#run((nowMs) => this.#machine.freeAll(ident, nowMs));
    await this.flush();
  }

  /** Undoes a fresh grant; no error if it is gone already. */
  giveBack(ident: string, cidr: Cidr): void {
    const held = this.holderOf(cidr.address);
    try {
      this.#run((nowMs) => this.#machine.free(held ?? ident, cidr.address, nowMs));
    } catch (error) {
      if (!(error instanceof RequestError)) throw error;
    }
  }

  /** The identifier an address is filed under, or null. */
  holderOf(address: Ipv4): string | null {
    for (const { ident, cidrs } of this.#machine.list()) {
      if (cidrs.some((cidr) => cidr.address === address)) return ident;
    }
    return null;
  }

  lookup(ident: string, subnet: Cidr | null): readonly Cidr[] {
    return this.#machine.lookup(ident, subnet);
  }

  list(): readonly OwnedAddresses[] {
    return this.#machine.list();
  }

  workloadDied(ident: string): void {
    this.#run((nowMs) => this.#machine.workloadDied(ident, nowMs));
  }

  workloadStarted(ident: string): void {
    this.#run((nowMs) => this.#machine.workloadStarted(ident, nowMs));
  }

  workloadGone(ident: string): void {
    this.#run((nowMs) => this.#machine.workloadGone(ident, nowMs));
  }

  reconcileWorkloads(living: ReadonlySet<string>): void {
    this.#run((nowMs) => this.#machine.reconcileWorkloads(living, nowMs));
  }

  /** Hands our ranges to another peer; on disk when it resolves. */
  async leave(): Promise<void> {
    this.#run((nowMs) => this.#machine.leave(nowMs));
    await this.flush();
  }

  handlePeersChanged(): void {
    this.#run((nowMs) => this.#machine.handlePeersChanged(nowMs));
  }

  status(): IpamStatus {
    return this.#machine.status(this.#modules.clock.nowMs());
  }

  counters(): Readonly<Record<string, number>> {
    return this.#machine.counters;
  }

  storeStatus(): IpamStoreStatus {
    return { saves: this.#saves, failures: this.#failures, fault: this.#fault };
  }

  /** Sentences: what is wrong or waits, why, what would resolve it. */
  explain(): readonly string[] {
    const sentences = this.#machine.explain(this.#modules.clock.nowMs());
    return this.#fault === null ? sentences : [storeSentence(this.#fault), ...sentences];
  }

  /** Resolves when all changes so far are on disk. */
  async flush(): Promise<void> {
    if (this.#saving === null) return;
    await new Promise<void>((resolve) => this.#flushed.push(resolve));
  }

  /** Waits for a write under way; what could not be stored by then was never told to anybody. */
  async stop(): Promise<void> {
    this.#stopped = true;
    this.#stopSignal.abort();
    if (this.#timer !== null) clearTimeout(this.#timer);
    await this.#saving;
  }

  get #machine(): IpamMachine {
    return this.#modules.machine;
  }

  async #request(start: (nowMs: number) => RequestId, options: RequestOptions) {
    const { signal } = options;
    const result = await new Promise<IpamResult>((resolve) => {
      let id: RequestId = 0;
      this.#run((nowMs) => {
        id = start(nowMs);
        this.#waiting.set(id, resolve);
      });
      const cancel = (): void => this.#run((nowMs) => this.#machine.cancel(id, nowMs));
      if (signal?.aborted === true) cancel();
      else signal?.addEventListener('abort', cancel, { once: true });
    });
    if (result.status === 'failed')
      throw new RequestError(result.code, result.text, httpStatus(result.code));
    return result;
  }

  /** One input with all that follows from it. What the input throws is passed on. */
  #run<T>(input: (nowMs: number) => T): T | undefined {
    if (this.#stopped) return undefined;
    try {
      return input(this.#modules.clock.nowMs());
    } finally {
      this.#pump();
      this.#setTimer();
    }
  }

  #pump(): void {
    for (let action = this.#machine.pollAction(); action !== null; ) {
      // A later snapshot holds what an earlier one held.
      if (action.type === 'persist') this.#unsaved = action.snapshot;
      else this.#held.push(action);
      action = this.#machine.pollAction();
    }
    if (this.#saving !== null) return;
    if (this.#unsaved === null) this.#release(this.#held.splice(0));
    else this.#saving = this.#saveAll();
  }

  /** Until nothing new came while the disk was busy. */
  async #saveAll(): Promise<void> {
    while (this.#unsaved !== null) {
      const snapshot = this.#unsaved;
      const actions = this.#held.splice(0);
      const flushed = this.#flushed.splice(0);
      const encoded = this.#gossip.encodeNow();
      this.#unsaved = null;
      this.#gossip.setAhead(true);
      // Given up only when the router ends, and then without telling anybody.
      if (!(await this.#saveOne(snapshot))) return;
      this.#gossip.noteDurable(encoded);
      this.#release(actions);
      for (const resolve of flushed) resolve();
    }
    this.#saving = null;
    this.#gossip.setAhead(false);
    this.#release(this.#held.splice(0));
    for (const resolve of this.#flushed.splice(0)) resolve();
  }

  /** @returns false if the router stopped before it could be stored. */
  async #saveOne(snapshot: IpamSnapshot): Promise<boolean> {
    const { store, log } = this.#modules;
    for (let waitMs = FIRST_RETRY_MS; ; waitMs = Math.min(waitMs * 2, MAX_RETRY_MS)) {
      try {
        await store.save(snapshot);
        this.#saves += 1;
        if (this.#fault !== null) log.info('addresses can be stored again');
        this.#fault = null;
        return true;
      } catch (error) {
        const text = errorText(error);
        if (text !== this.#fault) {
          log.error('addresses can not be stored; no request is answered until they can', {
            code: errorCode(error),
            error: text,
          });
        }
        this.#fault = text;
        this.#failures += 1;
      }
      if (this.#stopped) return false;
      await delay(waitMs, undefined, { signal: this.#stopSignal.signal }).catch(() => {});
    }
  }

  #release(actions: readonly IpamAction[]): void {
    for (const action of actions) this.#perform(action);
  }

  #perform(action: IpamAction): void {
    const { log } = this.#modules;
    switch (action.type) {
      case 'unicast':
        this.#sender?.unicast(action.destination, action.payload);
        return;
      case 'broadcast':
        this.#sender?.broadcast(this.#gossip.wrap(action.data) as GossipData);
        return;
      case 'complete':
        this.#waiting.get(action.id)?.(action.result);
        this.#waiting.delete(action.id);
        return;
      case 'log':
        log[action.level](action.text, action.fields);
        return;
      case 'persist':
        throw new Error('a snapshot among the held actions');
    }
  }

  #setTimer(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
    const next = this.#machine.nextTimeout();
    if (next === null || this.#stopped) return;
    const sleepMs = Math.min(Math.max(0, next.atMs - this.#modules.clock.nowMs()), MAX_SLEEP_MS);
    this.#timer = setTimeout(
      () => this.#run((nowMs) => this.#machine.handleTimeout(nowMs)),
      Math.ceil(sleepMs),
    );
  }
}

/** An address given, and whether the identifier did not have it before. */
export interface Granted {
  readonly cidr: Cidr;
  readonly fresh: boolean;
}

const storeSentence = (fault: string): string =>
  `Addresses can not be stored (${fault}): requests wait until that works; free or repair the disk.`;

function httpStatus(code: string): number {
  if (code === 'ipam-too-many-requests') return 503;
  return code === 'ipam-take-over-refused' ? 409 : 400;
}
