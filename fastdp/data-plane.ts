/**
 * The data plane without its file descriptors: frames and datagrams in, frames and datagrams out,
 * for one router. It owns the links, the tables and all buffers but the ports'. The caller owns
 * devices, sockets and time, calls in from one thread, and ends every batch with `flush`.
 * Nothing here throws for what peers or workloads send. See README.md for the stages.
 */
import { earliest, type Timeout } from '../core/clock.js';
import { DecodeError, errorText } from '../core/errors.js';
import { type Logger, silentLogger } from '../core/log.js';
import { formatPeerName, type PeerName } from '../core/peer-name.js';
import type { ForwardingTables, OverlayEvent, OverlayPeering } from '../mesh/overlay.js';
import { Counters } from './counters.js';
import type { CrossingSink } from './crossing.js';
import { DropReason, sendFailureReason } from './drop-reason.js';
import { FollowerInbound } from './follower-inbound.js';
import type { ForwarderAction } from './forwarder.js';
import { RecordRelay } from './inbound/relay.js';
import { Inbound } from './inbound.js';
import { KEY_LIMITS, type KeyLimits } from './key-schedule.js';
import type { LargeFrame } from './large-frame.js';
import { Link } from './link.js';
import { MacTable } from './mac-table.js';
import { FollowerSealer } from './outbound/follower-seal.js';
import { FrameForwarding } from './outbound/forward.js';
import { Sealer } from './outbound/seal.js';
import { Outbound } from './outbound.js';
import type { AeadFactory, DatagramPort, Secretbox, SendFailure, TapPort } from './ports.js';
import { primaryOf, type Queue } from './queue.js';
import { Routes } from './routes.js';
import type { DataPlaneStatus } from './status.js';
import { ToldMacTable } from './told-mac-table.js';

export interface DataPlaneOptions {
  readonly localPeer: PeerName;
  /** MAC addresses remembered in all, 65 536 unless given. */
  readonly maxMacs?: number;
  /** MAC addresses remembered per peer, 16 384 unless given. */
  readonly maxMacsPerPeer?: number;
  /**
   * Whether unencrypted frames count only if they come from the address of the neighbour's
   * heartbeats; true unless given. Encrypted ones count from anywhere.
   */
  readonly strictSource?: boolean;
  /** When keys of AES-256-GCM change; KEY_LIMITS unless given. */
  readonly keyLimits?: KeyLimits;
}

export interface DataPlaneModules {
  readonly datagrams: DatagramPort;
  readonly tap: TapPort;
  readonly secretbox: Secretbox;
  readonly aead: AeadFactory;
  readonly log?: Logger;
  /** Where this thread stands among several; alone unless given. */
  readonly queue?: Queue;
}

/** How often sending may provoke further sending in one flush, e.g. a refused probe a test. */
const MAX_FLUSH_ROUNDS = 8;
const EMSGSIZE = 90;

export class DataPlane implements CrossingSink {
  readonly #datagrams: DatagramPort;
  readonly #aead: AeadFactory;
  readonly #keyLimits: KeyLimits;
  readonly #log: Logger;
  readonly #queue: Queue | null;
  readonly #counters = new Counters();
  readonly #routes: Routes;
  readonly #macs: MacTable;
  readonly #sealer: Sealer;
  readonly #outbound: Outbound;
  readonly #inbound: Inbound;
  readonly #relay: RecordRelay;
  /** By connection. BOUNDED by the connection limit, which the mesh keeps. */
  readonly #links = new Map<number, Link>();
  /** Links whose forwarder may want something. BOUNDED by the links. */
  readonly #dirty = new Set<Link>();
  /** Taken by `pollEvent`. BOUNDED, as answers to tests are rationed per link. */
  readonly #events: OverlayEvent[] = [];
  /** The wake-up computed last; undefined when something may have changed it. */
  #timeout: Timeout | null | undefined;
  /** Time of the call in progress, for what the ports report during it. */
  #nowMs = 0;

  constructor(options: DataPlaneOptions, modules: DataPlaneModules) {
    const { localPeer } = options;
    const { datagrams, tap, secretbox } = modules;
    const counters = this.#counters;
    const queue = modules.queue ?? null;
    this.#queue = queue;
    this.#datagrams = datagrams;
    this.#aead = modules.aead;
    this.#keyLimits = options.keyLimits ?? KEY_LIMITS;
    this.#log = modules.log ?? silentLogger;
    this.#routes = new Routes(localPeer);
    this.#macs = queue === null ? new MacTable(options) : this.#makeToldMacs(options, queue);
    const primary = primaryOf(queue);
    const sealing = { datagrams, secretbox, counters };
    this.#sealer =
      primary === null
        ? new Sealer(options, sealing)
        : new FollowerSealer(options, { ...sealing, primary });
    const macs = this.#macs;
    const routes = this.#routes;
    const forwarding = new FrameForwarding({ routes, sealer: this.#sealer, counters });
    const relay = new RecordRelay(
      { localPeer, strictSource: options.strictSource ?? true },
      { macs, tap, forwarding, counters, routes },
    );
    this.#relay = relay;
    forwarding.onAnswer = (buffer, frameBytes, source, destination) =>
      relay.handleAnswer(buffer, frameBytes, source, destination, this.#nowMs);
    this.#outbound = new Outbound(options, { macs, forwarding, counters });
    const opening = { routes, relay, secretbox, counters };
    this.#inbound =
      primary === null ? new Inbound(opening) : new FollowerInbound({ ...opening, primary });
    datagrams.onSendFailure = (failure) => this.#handleSendFailure(failure);
  }

  setForwarding(tables: ForwardingTables): void {
    this.#endRuns();
    this.#routes.setTables(tables);
  }

  /**
   * Makes state for a connection. One whose addresses or cipher cannot be used fails by event.
   * @param board what several threads share about it.
   */
  prepare(peering: OverlayPeering, board: SharedArrayBuffer | null = null): void {
    if (this.#links.has(peering.connId)) return;
    const { connId } = peering;
    try {
      const counters = this.#counters;
      const traffic = counters.trafficOf(peering.remotePeer);
      const onKeyChange = (): void => void counters.keyChanges++;
      const modules = { traffic, aead: this.#aead, onKeyChange, queue: this.#queue, board };
      this.#links.set(connId, new Link(peering, modules, this.#keyLimits));
    } catch (error) {
      const code = error instanceof DecodeError ? 'address-unsupported' : 'cipher-failed';
      this.#events.push({ type: 'failed', connId, code, reason: errorText(error) });
    }
  }

  /** Heartbeats may start, and datagrams of the peer are taken from now on. */
  confirm(connId: number, nowMs: number): void {
    const link = this.#links.get(connId);
    if (link === undefined || link.active || link.forwarder.state !== 'prepared') return;
    this.#endRuns();
    this.#routes.addLink(link);
    link.confirm(nowMs);
    this.#touch(link);
    this.flush(nowMs);
  }

  handleControl(connId: number, subTag: number, data: Uint8Array, nowMs: number): void {
    const link = this.#links.get(connId);
    if (link === undefined) return;
    link.forwarder.handleControl(subTag, data, nowMs);
    this.#touch(link);
    this.flush(nowMs);
  }

  /** The connection ended; its keys are wiped. Unknown ids are ignored. */
  stop(connId: number): void {
    const link = this.#links.get(connId);
    if (link === undefined) return;
    this.#links.delete(connId);
    this.#dirty.delete(link);
    this.#detach(link);
    link.close();
    this.#timeout = undefined;
  }

  /** The peer left the topology. Its traffic is forgotten too unless it still is a neighbour. */
  forgetPeer(peer: PeerName): void {
    this.#endRuns();
    this.#macs.forgetPeer(peer);
    for (const link of this.#links.values()) if (link.remotePeer === peer) return;
    this.#counters.forgetPeer(peer);
  }

  /** @returns 0 if the frame captured on the bridge goes to some neighbour. Reasons are counted. */
  handleFrame(buffer: Uint8Array, offset: number, frameBytes: number, nowMs: number): DropReason {
    this.#nowMs = nowMs;
    return this.#outbound.handleFrame(buffer, offset, frameBytes, nowMs);
  }

  /** @returns false if its segments are to be handed in as frames; nothing has been done then. */
  handleLargeFrame(frame: LargeFrame, nowMs: number): boolean {
    this.#nowMs = nowMs;
    return this.#outbound.handleLarge(frame, nowMs);
  }

  /** @param buffer changed in place. @param srcIp IPv4, signed or unsigned 32-bit. */
  handleDatagram(
    buffer: Uint8Array,
    offset: number,
    bytes: number,
    srcIp: number,
    srcPort: number,
    nowMs: number,
  ): void {
    this.#nowMs = nowMs;
    const link = this.#inbound.handleDatagram(buffer, offset, bytes, srcIp | 0, srcPort, nowMs);
    if (link !== null) this.#touch(link);
  }

  /** The end of a batch: everything taken so far leaves for the kernel. */
  flush(nowMs: number): void {
    this.#nowMs = nowMs;
    this.#sealer.sealAll();
    this.#datagrams.flush();
    for (let round = 0; round < MAX_FLUSH_ROUNDS && this.#dirty.size > 0; round++) {
      this.#drain();
      this.#datagrams.flush();
    }
  }

  handleTimeout(nowMs: number): void {
    this.#timeout = undefined;
    this.#macs.handleTimeout(nowMs);
    for (const link of this.#links.values()) {
      const timeout = link.nextTimeout();
      if (timeout === null || timeout.atMs > nowMs) continue;
      link.handleTimeout(nowMs);
      this.#dirty.add(link);
    }
    this.flush(nowMs);
  }

  nextTimeout(): Timeout | null {
    if (this.#dirty.size > 0) return { atMs: this.#nowMs, reason: 'flush' };
    if (this.#timeout !== undefined) return earliest(this.#timeout, this.#macs.nextTimeout());
    let next: Timeout | null = null;
    for (const link of this.#links.values()) next = earliest(next, link.nextTimeout());
    this.#timeout = next;
    return earliest(next, this.#macs.nextTimeout());
  }

  /** Several threads: a round begins, in which what the others published counts. */
  beginRound(nowMs: number): void {
    this.#nowMs = nowMs;
    for (const link of this.#links.values()) link.refresh(nowMs);
  }

  handleHandedRecord(
    connId: number,
    df: boolean,
    source: number,
    destination: number,
    buffer: Uint8Array,
    frameBytes: number,
  ): void {
    const link = this.#links.get(connId);
    if (link === undefined || !link.active) {
      this.#counters.drop(DropReason.noConnection);
      return;
    }
    const [from, to] = [source as PeerName, destination as PeerName];
    this.#counters.drop(this.#sealer.append(link, df, from, to, buffer, 0, frameBytes));
  }

  handleHandedDatagram(buffer: Uint8Array, bytes: number, ip: number, port: number): void {
    this.handleDatagram(buffer, 0, bytes, ip, port, this.#nowMs);
  }

  handleTooBig(connId: number, pathMtuBytes: number): void {
    const link = this.#links.get(connId);
    if (link === undefined) return;
    link.forwarder.handleTooBig(pathMtuBytes, this.#nowMs);
    this.#touch(link);
  }

  handleToldAddress(mac: number, peer: number, from: number): void {
    if (!(this.#macs instanceof ToldMacTable)) return;
    this.#macs.learnTold(mac, peer as PeerName, this.#nowMs);
    // The followers know each other by the primary alone.
    const others = this.#isPrimary ? (this.#queue?.outboxes ?? []) : [];
    for (const [i, outbox] of others.entries()) if (i + 1 !== from) outbox.address(mac, peer);
  }

  pollEvent(): OverlayEvent | null {
    return this.#events.shift() ?? null;
  }

  status(nowMs: number): DataPlaneStatus {
    const { framesCaptured, framesInjected, datagramsSealed, datagramsOpened } = this.#counters;
    return {
      macs: this.#macs.status(nowMs),
      traffic: this.#counters.trafficStatus(),
      drops: this.#counters.dropStatus(),
      framesCaptured,
      framesInjected,
      datagramsSealed,
      datagramsOpened,
      keyChanges: this.#counters.keyChanges,
      macMoves: this.#macs.moves,
      mssClamped: this.#counters.mssClamped,
    };
  }

  get #isPrimary(): boolean {
    return this.#queue?.index === 0;
  }

  #makeToldMacs(options: DataPlaneOptions, { outboxes }: Queue): MacTable {
    return new ToldMacTable(options, (mac, peer) => {
      let told = true;
      for (const outbox of outboxes) told = outbox.address(mac, peer) && told;
      return told;
    });
  }

  /** Runs of frames rest on what is known about peers and links. */
  #endRuns(): void {
    this.#relay.endRun();
    this.#outbound.endRun();
  }

  #touch(link: Link): void {
    this.#dirty.add(link);
    this.#timeout = undefined;
  }

  /** Called by the port while it sends, so nothing may be sent from here. */
  #handleSendFailure(failure: SendFailure): void {
    this.#counters.drop(sendFailureReason(failure.errno));
    if (failure.errno === EMSGSIZE) this.handleTooBig(failure.connId, failure.pathMtuBytes);
  }

  #drain(): void {
    const links = [...this.#dirty];
    this.#dirty.clear();
    for (const link of links) {
      let action = link.forwarder.pollAction();
      while (action !== null) {
        this.#perform(link, action);
        action = link.forwarder.pollAction();
      }
      if (this.#isPrimary) link.publish();
    }
  }

  #perform(link: Link, action: ForwarderAction): void {
    const { connId, forwarder } = link;
    switch (action.type) {
      case 'send-heartbeat':
        this.#sealer.sendSpecial(link, true, 22, forwarder.uidHigh, forwarder.uidLow);
        return;
      case 'send-empty':
        this.#sealer.sendEmpty(link);
        return;
      case 'send-test':
        this.#sealer.sendSpecial(link, action.df, action.frameBytes, 0, 0);
        return;
      case 'control':
        this.#events.push({ type: 'control', connId, subTag: action.subTag, data: action.data });
        return;
      case 'established':
        this.#events.push({ type: 'established', connId });
        return;
      case 'attributes':
        this.#log.debug('path MTU', {
          peer: formatPeerName(link.remotePeer),
          connId,
          mtu: action.attributes['mtu'],
        });
        this.#events.push({ type: 'attributes', connId, attributes: action.attributes });
        return;
      case 'failed':
        this.#detach(link);
        this.#events.push({ type: 'failed', connId, code: action.code, reason: action.reason });
    }
  }

  #detach(link: Link): void {
    this.#endRuns();
    link.active = false;
    this.#sealer.discard(link);
    this.#routes.removeLink(link);
  }
}
