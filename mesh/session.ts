/** The TCP sessions of the mesh, from accepting or dialling to their end, and how to find them. */
import { earliest, type Timeout } from '../core/clock.js';
import type { PeerName } from '../core/peer-name.js';
import type { Connection, Introduction } from './peer/connection.js';

/** Strangers that may be introducing themselves at one time; the oldest has to go. */
export const MAX_INTRODUCING = 128;

/** Parts of messages that all sessions together may hold while the rest is on its way. */
export const MAX_HELD_INPUT_BYTES = 256 * 1024 * 1024;

export interface Session {
  readonly connId: number;
  readonly outbound: boolean;
  /** `ip:port`: dialled, or where the caller comes from. */
  readonly remoteAddr: string;
  readonly localAddr: string;
  /** The user named the address, or the peer called us: it may be one that we never heard of. */
  readonly mayBeUnknown: boolean;
  readonly trustsRemote: boolean;
  readonly connection: Connection;
  /** Set on admission; the connection is in the topology from then on. */
  introduction: Introduction | null;
  /** An overlay carries data. */
  established: boolean;
  /** Why the one before ended, until this one is established: the trouble may be the same. */
  previousEnd: { readonly code: string; readonly text: string } | null;
  /** The socket takes no more at the moment. */
  blocked: boolean;
  /** Bytes of a message that is still arriving. */
  heldBytes: number;
}

/** A session that was admitted. */
export type AdmittedSession = Session & { readonly introduction: Introduction };

export class SessionTable {
  /** In order of age. BOUNDED by the connection limit, MAX_INTRODUCING and the dialer's targets. */
  readonly #byId = new Map<number, Session>();
  /** BOUNDED by the admitted sessions. */
  readonly #byPeer = new Map<PeerName, AdmittedSession>();
  #deadline: Timeout | null = null;
  #deadlineStale = false;
  #heldBytes = 0;

  get(connId: number): Session | undefined {
    return this.#byId.get(connId);
  }

  /** Our connection to the peer, if it was admitted. */
  byPeer(name: PeerName): AdmittedSession | undefined {
    return this.#byPeer.get(name);
  }

  all(): IterableIterator<Session> {
    return this.#byId.values();
  }

  admitted(): IterableIterator<AdmittedSession> {
    return this.#byPeer.values();
  }

  admittedPeers(): ReadonlySet<PeerName> {
    return new Set(this.#byPeer.keys());
  }

  /** Both polarities; what the connection limit counts. */
  get admittedCount(): number {
    return this.#byPeer.size;
  }

  /**
   * No session has to be woken before this. What peers send only moves deadlines away, so they
   * are looked at anew when a session starts or is admitted, and when the time has come: asking
   * hundreds of sessions after every chunk of bytes would cost more than the chunk.
   */
  nextTimeout(): Timeout | null {
    if (this.#deadlineStale) {
      this.#deadlineStale = false;
      this.#deadline = null;
      for (const session of this.#byId.values()) {
        this.#deadline = earliest(this.#deadline, session.connection.nextTimeout());
      }
    }
    return this.#deadline;
  }

  /** @returns the sessions to wake, none if it is not time; their deadlines move by it. */
  takeDue(nowMs: number): readonly Session[] {
    const next = this.nextTimeout();
    if (next === null || nowMs < next.atMs) return [];
    this.#deadlineStale = true;
    return [...this.#byId.values()];
  }

  add(session: Session): void {
    this.#byId.set(session.connId, session);
    this.#deadlineStale = true;
  }

  admit(session: Session, introduction: Introduction): void {
    session.introduction = introduction;
    this.#deadlineStale = true;
    this.#byPeer.set(introduction.name, session as AdmittedSession);
  }

  /**
   * After each input of a session.
   * @returns the session that has to go because all of them together hold too much, or null
   */
  noteHeld(session: Session): Session | null {
    const { heldBytes } = session.connection;
    this.#heldBytes += heldBytes - session.heldBytes;
    session.heldBytes = heldBytes;
    if (this.#heldBytes <= MAX_HELD_INPUT_BYTES) return null;
    let most = session;
    for (const other of this.#byId.values()) if (other.heldBytes > most.heldBytes) most = other;
    return most;
  }

  /** @returns false if it was not in the table any more. */
  remove(session: Session): boolean {
    this.#heldBytes -= session.heldBytes;
    session.heldBytes = 0;
    const { introduction } = session;
    if (introduction !== null && this.#byPeer.get(introduction.name) === session) {
      this.#byPeer.delete(introduction.name);
    }
    return this.#byId.delete(session.connId);
  }

  /** The caller that has been introducing itself for longest, if there are too many of them. */
  excessCaller(): Session | null {
    let oldest: Session | null = null;
    let count = 0;
    for (const session of this.#byId.values()) {
      if (session.outbound || session.introduction !== null) continue;
      oldest ??= session;
      count++;
    }
    return count > MAX_INTRODUCING ? oldest : null;
  }
}
