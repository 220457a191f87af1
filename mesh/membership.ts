/**
 * The life of a session inside the mesh: introduction, admission into the topology, messages,
 * establishment, end. Source: reference/wire-protocol.md 3.8 to 3.13.
 *
 *   open ─> introduced ─> admit ─> message*, established ─> end
 *                      └> refuse ──────────────────────────> end
 */
import { wipe } from '../core/bytes.js';
import { DecodeError, ProtocolError } from '../core/errors.js';
import { formatPeerName, type PeerName } from '../core/peer-name.js';
import type { Random } from '../core/random.js';
import type { MeshParts } from './mesh-parts.js';
import type { MeshAction, MeshOptions, NewSocket } from './mesh-types.js';
import type { DataCipher } from './overlay.js';
import type { OverlaySwitchAction } from './overlay-switch.js';
import { announceCiphers } from './peer/ciphers.js';
import { Connection, type Introduction } from './peer/connection.js';
import { decideJoin, duplicateOf, isTrustedAddress } from './peer/join.js';
import { type LeaveReason, leaveForError, leaveLater } from './peer/leave.js';
import { parseIpPort } from './peer/target-address.js';
import { decodeGossip, decodeUnicast, isOverlayTag, TAG } from './protocol.js';
import type { AdmittedSession, Session } from './session.js';

/** Shown in status while it is news: another host answers to our own name. */
const COLLISION_MEMORY_MS = 5 * 60_000;

/** Collecting garbage visits some 15,000 links in a millisecond; the pause is a few times that. */
const LINKS_PER_COLLECTION_PAUSE_MS = 5_000;

/** Peers whose last session's end is remembered. */
const MAX_REMEMBERED_ENDS = 256;

/** Ends that say nothing about the caller's setup and so are not kept for status. */
const UNREMARKABLE: ReadonlySet<string> = new Set([
  'duplicate-connection',
  'connected-to-self',
  'shutting-down',
  'too-many-callers',
]);

export interface MembershipModules {
  readonly random: Random;
  readonly parts: MeshParts;
  readonly onAction: (action: MeshAction) => void;
  readonly onPeerGone: (name: PeerName) => void;
}

export class Membership {
  readonly #options: MeshOptions;
  readonly #modules: MembershipModules;
  readonly #parts: MeshParts;
  /** Why the last session with a peer ended; oldest first. BOUNDED by MAX_REMEMBERED_ENDS. */
  readonly #lastEnds = new Map<PeerName, { readonly code: string; readonly text: string }>();
  #terminationCount = 0;
  #collectedMs = Number.NEGATIVE_INFINITY;
  #collision: { readonly text: string; readonly atMs: number } | null = null;

  constructor(options: MeshOptions, modules: MembershipModules) {
    this.#options = options;
    this.#modules = modules;
    this.#parts = modules.parts;
  }

  /** Sessions ended since start, those to ourselves excepted. */
  get terminationCount(): number {
    return this.#terminationCount;
  }

  /** Sentences for people about refused callers. */
  warnings(nowMs: number): readonly string[] {
    const collision = this.#collision;
    if (collision === null || nowMs - collision.atMs > COLLISION_MEMORY_MS) return [];
    return [collision.text];
  }

  /** A TCP connection exists: the introduction begins. */
  open(socket: NewSocket, outbound: boolean, mayBeUnknown: boolean, nowMs: number): void {
    const { sessions, topology, overlays } = this.#parts;
    const { name, nickname, uid, password, minVersion, maxVersion } = this.#options;
    const { ciphers, extraFeatures } = this.#options;
    const trustsRemote = isTrustedAddress(this.#options.trustedSubnets, socket.remoteAddr);
    const connection = new Connection(
      {
        ...socket,
        outbound,
        identity: { name, nickname, uid, shortId: topology.self.shortId },
        password,
        minVersion,
        maxVersion,
        trustsRemote,
        overlays: overlays.names,
        ciphers,
        extraFeatures,
      },
      { random: this.#modules.random },
    );
    const session: Session = {
      ...socket,
      outbound,
      mayBeUnknown,
      trustsRemote,
      connection,
      introduction: null,
      established: false,
      previousEnd: null,
      blocked: false,
      heldBytes: 0,
    };
    sessions.add(session);
    const excess = sessions.excessCaller();
    if (excess !== null) {
      this.close(excess, leaveLater('too-many-callers', 'too many callers at once'), nowMs);
    }
    connection.start(nowMs);
    this.drain(session, nowMs);
  }

  /** Ends a session of ours. */
  close(session: Session, reason: LeaveReason, nowMs: number): void {
    session.connection.close(reason, nowMs);
    this.drain(session, nowMs);
  }

  /** Carries out what the session's machine asks for. To be called after every input to it. */
  drain(session: Session, nowMs: number): void {
    for (;;) {
      const action = session.connection.pollAction();
      if (action === null) return;
      switch (action.type) {
        case 'write':
          this.#modules.onAction({ type: 'write', connId: session.connId, bytes: action.bytes });
          break;
        case 'introduced':
          this.#decide(session, action.introduction, nowMs);
          break;
        case 'message':
          this.#handleMessage(session, action.tag, action.payload, nowMs);
          break;
        case 'closed':
          this.#end(session, action.reason, nowMs);
      }
    }
  }

  /** What an overlay reported about one of our sessions. */
  handleOverlay(action: OverlaySwitchAction, nowMs: number): void {
    const session = this.#parts.sessions.get(action.connId);
    if (session === undefined || !isAdmitted(session)) return;
    switch (action.type) {
      case 'send':
        session.connection.send(action.tag, action.payload);
        this.drain(session, nowMs);
        break;
      case 'established':
        this.#establish(session, action.overlay, nowMs);
        break;
      case 'exhausted':
        this.close(session, leaveLater(action.code, action.reason), nowMs);
    }
  }

  /** Removes peers that nothing leads to any more. */
  collectGarbage(nowMs: number): void {
    const { topology, topologyChannel, routes, updates, overlays } = this.#parts;
    this.#collectedMs = nowMs;
    const { removed, selfChanged } = topology.collectGarbage();
    if (selfChanged) updates.request([this.#options.name], nowMs);
    if (removed.length === 0) return;
    topologyChannel.touch();
    routes.request(nowMs);
    for (const name of removed) {
      overlays.forgetPeer(name);
      this.#modules.onPeerGone(name);
    }
  }

  #decide(session: Session, introduction: Introduction, nowMs: number): void {
    const { name, nickname, uid } = this.#options;
    const { sessions, topology, overlays, counters } = this.#parts;
    const existing = sessions.byPeer(introduction.name);
    const decision = decideJoin(
      { ...introduction, ...session, inTheClear: isInTheClear(session, introduction) },
      {
        self: { name, nickname, uid },
        known: topology.peers.has(introduction.name),
        topologyFull: topology.full,
        existing:
          existing === undefined
            ? null
            : {
                connId: existing.connId,
                connectionUid: existing.introduction.connectionUid,
              },
        connectionCount: sessions.admittedCount,
        connLimit: this.#options.connLimit,
        overlays: overlays.names,
        ciphers: this.#options.ciphers,
      },
    );
    if (decision.type === 'admit') {
      counters.add('handshakes-ok');
      const replaced = decision.replaces === null ? null : (existing ?? null);
      this.#admit(session, introduction, decision.cipher, replaced, nowMs);
      return;
    }
    if (decision.closes !== null && existing !== undefined) {
      this.close(existing, duplicateOf(introduction), nowMs);
    }
    if (decision.reason.code === 'name-collision') {
      this.#collision = { text: decision.reason.text, atMs: nowMs };
    }
    session.connection.refuse(decision.reason, nowMs);
  }

  /** In the order of 3.12; the caller goes on to poll the session. */
  #admit(
    session: Session,
    introduction: Introduction,
    cipher: DataCipher,
    replaced: Session | null,
    nowMs: number,
  ): void {
    const { sessions, topology, topologyChannel, routes, updates, dialer, gossip, overlays } =
      this.#parts;
    const { name: remotePeer, nickname, uid, shortId } = introduction;
    const { restarted, selfChanged } = topology.introduce(remotePeer, nickname, uid, shortId);
    if (selfChanged) updates.request([this.#options.name], nowMs);
    // Held from before the older connection ends, so that its end does not collect the peer.
    topology.retain(remotePeer);
    if (replaced !== null) this.close(replaced, duplicateOf(introduction), nowMs);
    // If that can't be said at the moment, saying too much does no harm.
    const knewRoute = routes.current(nowMs)?.unicast.has(remotePeer) ?? false;
    topology.addConnection({
      remotePeer,
      remoteTcpAddr: session.remoteAddr,
      outbound: session.outbound,
    });
    topologyChannel.touch();
    sessions.admit(session, introduction);
    session.previousEnd = this.#lastEnds.get(remotePeer) ?? null;
    gossip.addConnection(session.connId);
    if (restarted || !knewRoute) gossip.offerCompleteState(session.connId);
    routes.request(nowMs);
    updates.request([this.#options.name, remotePeer], nowMs);
    if (session.outbound) dialer.handleConnected(session.remoteAddr, nowMs);
    else dialer.refresh(nowMs);
    this.#parts.refusals.forget(ipOf(session.remoteAddr));
    this.#prepareOverlays(session, introduction, cipher);
    session.connection.admit(nowMs);
    overlays.confirm(session.connId);
    const { version, sessionKey } = introduction;
    const fields = { version, encrypted: sessionKey !== null, cipher };
    this.#log(session, 'connection added', fields, nowMs);
  }

  #prepareOverlays(session: Session, introduction: Introduction, cipher: DataCipher): void {
    const { connId, outbound } = session;
    const { ciphers } = this.#options;
    const remote = parseIpPort(session.remoteAddr);
    this.#parts.overlays.prepare(
      {
        connId,
        localPeer: this.#options.name,
        remotePeer: introduction.name,
        connectionUid: introduction.connectionUid,
        outbound,
        localIp: ipOf(session.localAddr),
        remoteIp: ipOf(session.remoteAddr),
        remotePort: outbound ? (remote?.port ?? null) : null,
        cipher,
        openChecksums: introduction.ciphers !== null && announceCiphers(ciphers) !== null,
        lanes: introduction.lanes,
        sessionKey: cipher === 'none' ? null : introduction.sessionKey,
      },
      introduction.overlays,
    );
  }

  #establish(session: AdmittedSession, overlay: string, nowMs: number): void {
    const { topology, topologyChannel, routes, updates } = this.#parts;
    session.established = true;
    session.previousEnd = null;
    this.#lastEnds.delete(session.introduction.name);
    topology.setEstablished(session.introduction.name);
    topologyChannel.touch();
    routes.request(nowMs);
    updates.request([this.#options.name], nowMs);
    this.#log(session, 'connection established', { overlay }, nowMs);
  }

  #handleMessage(session: Session, tag: number, payload: Uint8Array, nowMs: number): void {
    const { gossip, overlays, counters } = this.#parts;
    const { connId } = session;
    counters.add(`messages-received-tag-${tag}`);
    if (isOverlayTag(tag)) {
      overlays.handleControl(connId, tag, payload, nowMs);
      return;
    }
    try {
      if (tag === TAG.gossipUnicast) {
        gossip.handleMessage(connId, { kind: 'unicast', ...decodeUnicast(payload) }, nowMs);
      } else {
        const kind = tag === TAG.gossip ? 'gossip' : 'broadcast';
        gossip.handleMessage(connId, { kind, ...decodeGossip(payload) }, nowMs);
      }
    } catch (error) {
      if (!(error instanceof DecodeError || error instanceof ProtocolError)) throw error;
      counters.add('gossip-failed');
      // `drain` is running and will find the end among the actions.
      session.connection.close(leaveForError(error), nowMs);
    }
  }

  /** As 3.13 has it; whoever ended the session. */
  #end(session: Session, reason: LeaveReason, nowMs: number): void {
    const { sessions, updates, dialer, gossip, overlays, counters } = this.#parts;
    const { connId } = session;
    if (!sessions.remove(session)) return;
    const sessionKey = session.connection.introduction?.sessionKey ?? null;
    if (sessionKey !== null) wipe(sessionKey);
    this.#modules.onAction({ type: 'close', connId, code: reason.code, graceful: reason.byUs });
    counters.add(`connections-ended-${reason.code}`);
    if (reason.code !== 'connected-to-self') this.#terminationCount++;
    if (isAdmitted(session)) {
      this.#rememberEnd(session.introduction.name, reason);
      this.#leaveTopology(session, nowMs);
      updates.request([this.#options.name], nowMs);
      overlays.stop(connId);
      gossip.removeConnection(connId);
    } else {
      counters.add(`handshakes-failed-${reason.code}`);
      this.#noteRefusal(session, reason, nowMs);
    }
    if (session.outbound) dialer.handleEnded(session.remoteAddr, reason, nowMs);
    else if (isAdmitted(session)) dialer.refresh(nowMs);
    this.#log(session, 'connection ended', { code: reason.code, reason: reason.text }, nowMs);
  }

  #leaveTopology(session: AdmittedSession, nowMs: number): void {
    const { topology, topologyChannel, routes, updates } = this.#parts;
    const { name } = session.introduction;
    topology.release(name);
    topology.removeConnection(name);
    topologyChannel.touch();
    // At once, but for huge topologies that sessions come and go in all the time.
    const pauseMs = Math.floor(routes.routes.linkCount / LINKS_PER_COLLECTION_PAUSE_MS);
    if (nowMs - this.#collectedMs >= pauseMs) this.collectGarbage(nowMs);
    else updates.requestCollection(nowMs);
    routes.request(nowMs);
  }

  #rememberEnd(peer: PeerName, { code, text }: LeaveReason): void {
    if (UNREMARKABLE.has(code)) return;
    this.#lastEnds.delete(peer);
    this.#lastEnds.set(peer, { code, text });
    if (this.#lastEnds.size <= MAX_REMEMBERED_ENDS) return;
    const [oldest] = this.#lastEnds.keys();
    if (oldest !== undefined) this.#lastEnds.delete(oldest);
  }

  #noteRefusal(session: Session, reason: LeaveReason, nowMs: number): void {
    // Those who say nothing, like health checks and port scanners, are no routers.
    const spoke = session.connection.state !== 'idle' && session.connection.counters.bytesIn > 0;
    if (session.outbound || !spoke || UNREMARKABLE.has(reason.code)) return;
    const { code, text } = reason;
    const refusal = { address: session.remoteAddr, code, text };
    this.#parts.refusals.note(ipOf(session.remoteAddr), refusal, nowMs);
  }

  #log(
    session: Session,
    text: string,
    fields: Readonly<Record<string, string | number | boolean>>,
    nowMs: number,
  ): void {
    const { connId, remoteAddr, outbound, introduction } = session;
    const peer =
      introduction === null
        ? {}
        : { peer: `${formatPeerName(introduction.name)}(${introduction.nickname})` };
    const kind = introduction === null ? `${text}: stranger` : text;
    this.#parts.log.info(kind, text, { connId, remoteAddr, outbound, ...peer, ...fields }, nowMs);
  }
}

function isAdmitted(session: Session): session is AdmittedSession {
  return session.introduction !== null;
}

/** Mutual trust leaves the TCP session sealed but lets frames go in the clear (3.11). */
function isInTheClear(session: Session, introduction: Introduction): boolean {
  return introduction.sessionKey === null || (session.trustsRemote && introduction.trustsUs);
}

function ipOf(address: string): string {
  return parseIpPort(address)?.ip ?? '';
}
