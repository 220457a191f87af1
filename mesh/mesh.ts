/**
 * The control plane of one router as a single machine: sessions, topology, routes, gossip, dialer
 * and overlays, wired together. Bytes, time and commands go in; `pollAction` yields what to write,
 * dial and close. Source: reference/wire-protocol.md 3 to 9.
 *
 *   handleAccepted ─> gate ─┐
 *   handleDialed ───────────┴─> session ── introduced ──> topology, overlay, gossip
 *   handleBytes ──────────────> session ── message ─────> gossip or overlay
 *   overlay events ───────────> established, control messages, the end
 *   pollAction <── writes, then dials, then gossip for connections that can take it
 */
import { strict as assert } from 'node:assert';
import { earliest, type Timeout } from '../core/clock.js';
import type { PeerName } from '../core/peer-name.js';
import { AcceptGate } from './accept-gate.js';
import { GOSSIP_INTERVAL_MS, Gossip } from './gossip.js';
import type { GossipChannel, GossipSender } from './gossip-channel.js';
import type { OutgoingGossip } from './gossip-slots.js';
import { LimitedLog } from './limited-log.js';
import { Membership } from './membership.js';
import { MeshCounters } from './mesh-counters.js';
import type { MeshParts } from './mesh-parts.js';
import { buildMeshStatus } from './mesh-status.js';
import type { MeshAction, MeshModules, MeshOptions, NewSocket } from './mesh-types.js';
import type { ForwardingTables } from './overlay.js';
import { OverlaySwitch } from './overlay-switch.js';
import { type ConnectItem, type DialError, Dialer } from './peer/dial.js';
import { leaveLater } from './peer/leave.js';
import { encodeGossip, encodeUnicast, TAG } from './protocol.js';
import { RecentRefusals } from './refusals.js';
import { RouteKeeper } from './route-keeper.js';
import type { Routes } from './routes.js';
import { type Session, SessionTable } from './session.js';
import type { MeshStatus } from './status.js';
import { Topology } from './topology.js';
import { TopologyChannel } from './topology-channel.js';
import { TopologyUpdates } from './topology-updates.js';

const INPUT_MEMORY = leaveLater(
  'input-memory',
  'too many large messages are on their way in; this is the largest of them',
);

export class Mesh {
  /** Something is to be polled that no call of the runner caused, e.g. an overlay's news. */
  onPending: () => void = () => {};
  /** Peers came, went, or can be reached otherwise. Called in the middle of an input. */
  onPeersChanged: () => void = () => {};
  readonly #options: MeshOptions;
  readonly #parts: MeshParts;
  readonly #membership: Membership;
  readonly #gate = new AcceptGate();
  readonly #topologySender: GossipSender;
  readonly #peerGoneListeners: ((name: PeerName) => void)[] = [];
  /** BOUNDED by what one input causes: the runner polls after each. */
  #actions: MeshAction[] = [];
  #nextAction = 0;
  #gossipAtMs: number | null = null;
  #stopping = false;
  /** Time of the last input; what is polled afterwards counts as caused by it. */
  #nowMs = 0;

  constructor(options: MeshOptions, modules: MeshModules) {
    assert(modules.overlays.length > 0, 'a mesh needs an overlay');
    this.#options = options;
    const parts = this.#makeParts(options, modules);
    this.#parts = parts;
    this.#membership = new Membership(options, {
      random: modules.random,
      parts,
      onAction: (action) => this.#actions.push(action),
      onPeerGone: (name) => {
        for (const listener of this.#peerGoneListeners) listener(name);
      },
    });
    this.#topologySender = parts.gossip.register(parts.topologyChannel);
  }

  /** For readers: names, nicknames, who is linked to whom. */
  get topology(): Topology {
    return this.#parts.topology;
  }

  /** Whether a unicast would find its way right now. */
  canReach(peer: PeerName): boolean {
    const routes = this.#parts.routes.forGossip(this.#nowMs);
    return peer === this.#options.name || routes.unicastHop(peer) !== undefined;
  }

  /** Direct peers that have not turned out to be ourselves. */
  targetCount(): number {
    return this.#parts.dialer.foreignDirectCount();
  }

  /** As calculated last. */
  get routes(): Routes {
    return this.#parts.routes.routes;
  }

  /** Timers begin to run. Call once, before the first input. */
  start(nowMs: number): void {
    this.#nowMs = nowMs;
    this.#gossipAtMs = nowMs + GOSSIP_INTERVAL_MS;
    // The data path learns that we exist before it learns of anybody else.
    this.#parts.routes.request(nowMs);
  }

  /** Before `start`: state of another part of the program that spreads through the mesh. */
  registerChannel(channel: GossipChannel): GossipSender {
    const sender = this.#parts.gossip.register(channel);
    // Whoever sends does so outside of our inputs, so the runner must be told to poll.
    return {
      unicast: (destination, payload) => {
        const sent = sender.unicast(destination, payload);
        this.onPending();
        return sent;
      },
      broadcast: (data) => {
        sender.broadcast(data);
        this.onPending();
      },
      neighbours: (data) => {
        sender.neighbours(data);
        this.onPending();
      },
    };
  }

  /** The listener is called when a peer was garbage-collected from the topology. */
  onPeerGone(listener: (name: PeerName) => void): void {
    this.#peerGoneListeners.push(listener);
  }

  handleAccepted(socket: NewSocket, nowMs: number): void {
    this.#nowMs = nowMs;
    this.#parts.counters.add('connections-accepted');
    const evicted = this.#stopping ? socket : this.#gate.add(socket);
    if (evicted !== null) this.#reject(evicted.connId, 'accept-rate');
  }

  /** @param socket.remoteAddr the address as the `dial` action named it */
  handleDialed(socket: NewSocket, direct: boolean, nowMs: number): void {
    this.#nowMs = nowMs;
    if (this.#stopping) this.#reject(socket.connId, 'shutting-down');
    else this.#membership.open(socket, true, direct, nowMs);
  }

  /** @param address as the `dial` action named it */
  handleDialFailed(address: string, error: DialError, nowMs: number): void {
    this.#nowMs = nowMs;
    this.#parts.dialer.handleAttemptFailed(address, error, nowMs);
  }

  /** @param chunk copied; the caller may reuse it. Unknown ids are ignored. */
  handleBytes(connId: number, chunk: Uint8Array, nowMs: number): void {
    if (!this.#gate.hold(connId, chunk)) {
      this.#gate.remove(connId);
      this.#reject(connId, 'accept-early-bytes');
    }
    this.#withSession(connId, nowMs, (session) => {
      session.connection.handleBytes(chunk, nowMs);
      this.#membership.drain(session, nowMs);
      const excess = this.#parts.sessions.noteHeld(session);
      if (excess !== null) this.#membership.close(excess, INPUT_MEMORY, nowMs);
    });
  }

  /** @param error null for an orderly end by the peer */
  handleSocketClosed(connId: number, error: Error | null, nowMs: number): void {
    this.#gate.remove(connId);
    this.#withSession(connId, nowMs, (session) => {
      session.connection.handleSocketClosed(error, nowMs);
      this.#membership.drain(session, nowMs);
    });
  }

  /** The socket has more to write than it can: gossip for it is held back and merged. */
  handleBlocked(connId: number): void {
    const session = this.#parts.sessions.get(connId);
    if (session !== undefined) session.blocked = true;
  }

  handleWritable(connId: number, nowMs: number): void {
    this.#withSession(connId, nowMs, (session) => {
      session.blocked = false;
    });
  }

  /** Overlays or channels did something outside of our inputs (see `onPending`). */
  handlePending(nowMs: number): void {
    this.#nowMs = nowMs;
  }

  handleTimeout(nowMs: number): void {
    this.#nowMs = nowMs;
    const { sessions, dialer, updates, routes, gossip } = this.#parts;
    for (const session of sessions.takeDue(nowMs)) {
      session.connection.handleTimeout(nowMs);
      this.#membership.drain(session, nowMs);
    }
    dialer.handleTimeout(nowMs);
    updates.handleTimeout(nowMs);
    routes.handleTimeout(nowMs);
    if (this.#gossipAtMs !== null && nowMs >= this.#gossipAtMs) {
      this.#gossipAtMs = nowMs + GOSSIP_INTERVAL_MS;
      gossip.spreadCompleteState();
    }
  }

  nextTimeout(): Timeout | null {
    const { sessions, dialer, updates, routes } = this.#parts;
    let next = earliest(dialer.nextTimeout(), updates.nextTimeout());
    next = earliest(next, routes.nextTimeout());
    next = earliest(next, this.#gate.nextTimeout(this.#nowMs));
    if (this.#gossipAtMs !== null) {
      next = earliest(next, { atMs: this.#gossipAtMs, reason: 'periodic gossip' });
    }
    return earliest(next, sessions.nextTimeout());
  }

  /** Call until null after every input. */
  pollAction(): MeshAction | null {
    for (;;) {
      const action = this.#actions[this.#nextAction];
      if (action !== undefined) {
        this.#nextAction++;
        return action;
      }
      this.#actions = [];
      this.#nextAction = 0;
      this.#settle();
      if (this.#actions.length > 0) continue;
      const dial = this.#stopping ? null : this.#parts.dialer.pollAction();
      if (dial !== null) return dial;
      if (!this.#sendGossip()) return null;
    }
  }

  /** Adds direct peers, or replaces them all; open connections stay. */
  connect(items: readonly ConnectItem[], replace: boolean, nowMs: number): void {
    this.#nowMs = nowMs;
    this.#parts.dialer.connect(items, replace, nowMs);
    this.#targetsChanged();
  }

  /** Removes direct peers by their exact texts; open connections stay. */
  forget(texts: readonly string[], nowMs: number): void {
    this.#nowMs = nowMs;
    this.#parts.dialer.forget(texts, nowMs);
    this.#targetsChanged();
  }

  /** Ends all sessions; nothing is accepted or dialled afterwards. */
  stop(nowMs: number): void {
    this.#nowMs = nowMs;
    this.#stopping = true;
    const reason = leaveLater('shutting-down', 'this router is shutting down');
    for (const session of [...this.#parts.sessions.all()]) {
      this.#membership.close(session, reason, nowMs);
    }
  }

  /** @param wallMs wall clock at the same moment, for times that people read */
  status(nowMs: number, wallMs: number): MeshStatus {
    return buildMeshStatus(this.#options, this.#parts, {
      terminationCount: this.#membership.terminationCount,
      warnings: this.#membership.warnings(nowMs),
      waitingCallers: this.#gate.waitingCount,
      nowMs,
      wallMs,
    });
  }

  #makeParts(options: MeshOptions, modules: MeshModules): MeshParts {
    const { name, nickname, uid, shortId, port, discovery, connLimit } = options;
    const { random } = modules;
    const topology = new Topology({ self: { name, nickname, uid, shortId } }, { random });
    const sessions = new SessionTable();
    const overlays = new OverlaySwitch({
      overlays: modules.overlays,
      onPending: () => this.onPending(),
    });
    const onRecalculated = (tables: ForwardingTables): void => {
      overlays.setForwarding(tables);
      this.onPeersChanged();
    };
    const { clock } = modules;
    const routing = { topology, random, clock, onRecalculated };
    const routes = new RouteKeeper({ localPeer: name }, routing);
    const gossip = new Gossip(
      { localPeer: name },
      {
        routes: () => routes.forGossip(this.#nowMs),
        connectionTo: (peer) => sessions.byPeer(peer)?.connId,
      },
    );
    const dialer = new Dialer(
      { ownPort: port, discovery, connLimit },
      {
        random,
        view: () => ({
          connections: sessions.admitted(),
          peers: topology.peers.values(),
          self: name,
          connectedPeers: sessions.admittedPeers(),
          connectionCount: sessions.admittedCount,
        }),
      },
    );
    const updates = new TopologyUpdates({
      onUpdateDue: (names) => {
        const news = this.#parts.topologyChannel.news(names);
        if (news !== null) this.#topologySender.neighbours(news);
      },
      onCollectionDue: () => this.#membership.collectGarbage(this.#nowMs),
      onDialerDue: () => dialer.refresh(this.#nowMs),
    });
    const topologyChannel = new TopologyChannel({
      topology,
      onUpdate: ({ improved, selfChanged }, nowMs) => {
        if (improved.size > 0) {
          updates.requestDialer(nowMs);
          routes.request(nowMs);
        }
        if (selfChanged) updates.request([name], nowMs);
        updates.requestCollection(nowMs);
      },
    });
    const log = new LimitedLog({ log: modules.log });
    const counters = new MeshCounters();
    const refusals = new RecentRefusals();
    return {
      topology,
      topologyChannel,
      routes,
      updates,
      sessions,
      dialer,
      gossip,
      overlays,
      refusals,
      counters,
      log,
    };
  }

  #withSession(connId: number, nowMs: number, act: (session: Session) => void): void {
    this.#nowMs = nowMs;
    const session = this.#parts.sessions.get(connId);
    if (session !== undefined) act(session);
  }

  /** Lets in who may come in, and carries out what overlays asked for meanwhile. */
  #settle(): void {
    for (;;) {
      const next = this.#stopping ? null : this.#gate.take(this.#nowMs);
      if (next !== null) {
        this.#membership.open(next.caller, false, true, this.#nowMs);
        if (next.early.length > 0) this.handleBytes(next.caller.connId, next.early, this.#nowMs);
        continue;
      }
      const action = this.#parts.overlays.pollAction();
      if (action === null) return;
      this.#membership.handleOverlay(action, this.#nowMs);
    }
  }

  /** Moves one gossip message from the slots to the actions. @returns false if none can go. */
  #sendGossip(): boolean {
    const { gossip, sessions } = this.#parts;
    for (const connId of gossip.pendingConnections()) {
      const session = sessions.get(connId);
      if (session === undefined || session.blocked) continue;
      const message = gossip.next(connId);
      if (message === null) continue;
      sendMessage(session, message);
      this.#membership.drain(session, this.#nowMs);
      return true;
    }
    gossip.shedExcess();
    return false;
  }

  #targetsChanged(): void {
    this.#actions.push({ type: 'targets-changed', texts: this.#parts.dialer.directTexts() });
  }

  #reject(connId: number, code: string): void {
    this.#parts.counters.add(`connections-rejected-${code}`);
    this.#actions.push({ type: 'close', connId, code, graceful: false });
  }
}

function sendMessage(session: Session, message: OutgoingGossip): void {
  const { connection } = session;
  if (message.kind === 'unicast') connection.send(TAG.gossipUnicast, encodeUnicast(message));
  else if (message.kind === 'gossip') connection.send(TAG.gossip, encodeGossip(message));
  else connection.send(TAG.gossipBroadcast, encodeGossip(message));
}
