/**
 * One TCP session with another router, from the first byte to the last: bytes in, actions out.
 *
 *   idle → header → introducing → introduced → running → closed
 *
 * The caller owns socket and clock. It feeds bytes and time, and performs the actions it polls
 * after every call. Between `introduced` and `admit` the machine reads no further, so that nobody
 * is heard before the owner decided to keep him.
 * Source: reference/wire-protocol.md 3.
 */
import { strict as assert } from 'node:assert';
import { concatBytes } from '../../core/bytes.js';
import type { Timeout } from '../../core/clock.js';
import { DecodeError, ProtocolError } from '../../core/errors.js';
import { MAX_CONTROL_FRAME_BYTES } from '../../core/limits.js';
import type { Random } from '../../core/random.js';
import { TAG } from '../protocol.js';
import type { MessageCodec } from './framing.js';
import { Handshake, type HandshakeOptions, type Introduction } from './handshake.js';
import { InputBuffer } from './input-buffer.js';
import { Keepalive } from './keepalive.js';
import {
  type AwaitedInput,
  type LeaveReason,
  leaveForError,
  leaveLater,
  type SessionPhase,
  socketClosed,
  timedOut,
} from './leave.js';

export type { LocalIdentity } from './features.js';
export type { Introduction, ProtocolVersion } from './handshake.js';
export type { LeaveReason } from './leave.js';

export interface ConnectionOptions extends HandshakeOptions {
  /** Unique in this process, never reused. */
  readonly connId: number;
  /** `ip:port`; for outbound sessions the dialled address. */
  readonly remoteAddr: string;
  readonly localAddr: string;
}

export type ConnectionState =
  | 'idle'
  | 'header'
  | 'introducing'
  | 'introduced'
  | 'running'
  | 'closed';

export type ConnectionAction =
  | { readonly type: 'write'; readonly bytes: Uint8Array }
  /** Decide now: `admit` or `refuse`. */
  | { readonly type: 'introduced'; readonly introduction: Introduction }
  /** Tags 1 to 7 only. The payload belongs to the receiver. */
  | { readonly type: 'message'; readonly tag: number; readonly payload: Uint8Array }
  /** Always the last action: close the socket once what was written is out. */
  | { readonly type: 'closed'; readonly reason: LeaveReason };

/** Totals since the start of the session. */
export interface ConnectionCounters {
  readonly bytesIn: number;
  readonly bytesOut: number;
  readonly messagesIn: number;
  readonly messagesOut: number;
  readonly heartbeatsIn: number;
  /** Messages without a tag. */
  readonly blankMessages: number;
  /** Messages with a tag above 7; ignored. */
  readonly unknownTags: number;
}

const HEARTBEAT = Uint8Array.of(TAG.heartbeat);
/** Unread bytes before admission: what came in one chunk with the end of the introduction. */
const MAX_HELD_BYTES = MAX_CONTROL_FRAME_BYTES;

/** From which states a state may be entered. */
const ORIGINS: Readonly<Record<ConnectionState, readonly ConnectionState[]>> = {
  idle: [],
  header: ['idle'],
  introducing: ['header'],
  introduced: ['introducing'],
  running: ['introduced'],
  closed: ['idle', 'header', 'introducing', 'introduced', 'running'],
};

const AWAITED: Readonly<Record<ConnectionState, AwaitedInput>> = {
  idle: 'protocol header',
  header: 'protocol header',
  introducing: 'introduction',
  introduced: 'admission',
  running: 'message',
  closed: 'message',
};

export class Connection {
  readonly #options: ConnectionOptions;
  readonly #handshake: Handshake;
  readonly #input = new InputBuffer();
  readonly #keepalive = new Keepalive();
  /** BOUNDED by the messages in one chunk of input plus those held before admission. */
  #actions: ConnectionAction[] = [];
  #nextAction = 0;
  #state: ConnectionState = 'idle';
  #codec: MessageCodec | null = null;
  #introduction: Introduction | null = null;
  readonly #counters = {
    bytesIn: 0,
    bytesOut: 0,
    messagesIn: 0,
    messagesOut: 0,
    heartbeatsIn: 0,
    blankMessages: 0,
    unknownTags: 0,
  };

  constructor(options: ConnectionOptions, modules: { readonly random: Random }) {
    this.#options = options;
    this.#handshake = new Handshake(options, modules);
  }

  get connId(): number {
    return this.#options.connId;
  }

  get outbound(): boolean {
    return this.#options.outbound;
  }

  get remoteAddr(): string {
    return this.#options.remoteAddr;
  }

  get localAddr(): string {
    return this.#options.localAddr;
  }

  get state(): ConnectionState {
    return this.#state;
  }

  /** Waiting for `admit` or `refuse`. */
  get holding(): boolean {
    return this.#state === 'introduced';
  }

  /** null until the other end introduced itself. */
  get introduction(): Introduction | null {
    return this.#introduction;
  }

  /** Bytes received that are not a whole message yet. */
  get heldBytes(): number {
    return this.#input.length;
  }

  get counters(): ConnectionCounters {
    return this.#counters;
  }

  /** The socket is open. Call once. */
  start(nowMs: number): void {
    this.#enter('header');
    this.#keepalive.handleStarted(nowMs);
    this.#handshake.start();
    this.#flushHandshake();
  }

  /** @param chunk copied; the caller may reuse it. */
  handleBytes(chunk: Uint8Array, nowMs: number): void {
    if (this.#state === 'closed') return;
    this.#counters.bytesIn += chunk.length;
    this.#input.append(chunk);
    this.#keepalive.handleProgress(nowMs);
    this.#readInput(nowMs);
    if (this.holding && this.#input.length > MAX_HELD_BYTES) {
      this.#leave(
        leaveLater('input-overflow', 'too many bytes before the connection was admitted'),
      );
    }
  }

  /** The socket closed, orderly or not, or could not be written to. */
  handleSocketClosed(error: Error | null, _nowMs: number): void {
    this.#leave(socketClosed(this.#options, error, this.#phase()));
  }

  handleTimeout(nowMs: number): void {
    if (this.#state === 'closed') return;
    if (this.#keepalive.isReadOverdue(nowMs)) {
      this.#leave(timedOut(this.#options, AWAITED[this.#state]));
      return;
    }
    if (this.#keepalive.takeHeartbeat(nowMs)) this.#sendMessage(HEARTBEAT);
  }

  nextTimeout(): Timeout | null {
    return this.#state === 'closed' ? null : this.#keepalive.nextTimeout();
  }

  /** Call until null after every other call. */
  pollAction(): ConnectionAction | null {
    const action = this.#actions[this.#nextAction];
    if (action === undefined) {
      if (this.#nextAction > 0) this.#actions = [];
      this.#nextAction = 0;
      return null;
    }
    this.#nextAction++;
    return action;
  }

  /** The connection is in the topology: messages flow. Ignored if it closed meanwhile. */
  admit(nowMs: number): void {
    if (this.#state === 'closed') return;
    this.#enter('running');
    this.#keepalive.handleAdmitted(nowMs);
    this.#readInput(nowMs);
  }

  /** Instead of `admit`. The wire has no word for it: the other end sees the connection close. */
  refuse(reason: LeaveReason, nowMs: number): void {
    assert(this.#state === 'introduced' || this.#state === 'closed', 'refused in the wrong state');
    this.close(reason, nowMs);
  }

  /**
   * Sends one message. Only a running session sends.
   * @returns false if it could not be sent; too large a message also ends the session
   */
  send(tag: number, payload: Uint8Array): boolean {
    if (this.#state !== 'running') return false;
    return this.#sendMessage(concatBytes(Uint8Array.of(tag), payload));
  }

  /** Ends the session. Messages received but not polled are dropped; writes are kept. */
  close(reason: LeaveReason, _nowMs: number): void {
    if (this.#state === 'closed') return;
    this.#actions = this.#actions
      .slice(this.#nextAction)
      .filter((action) => action.type === 'write');
    this.#nextAction = 0;
    this.#leave(reason);
  }

  #readInput(nowMs: number): void {
    try {
      if (this.#state === 'header' || this.#state === 'introducing') this.#introduce(nowMs);
      if (this.#state === 'running') this.#readMessages(nowMs);
    } catch (error) {
      if (!(error instanceof DecodeError || error instanceof ProtocolError)) throw error;
      // What the handshake wrote before it failed lets the other end see why: say, our flag.
      this.#flushHandshake();
      this.#leave(leaveForError(error));
    }
  }

  #introduce(nowMs: number): void {
    const result = this.#handshake.handleInput(this.#input);
    if (this.#state === 'header' && this.#handshake.version !== null) {
      this.#enter('introducing');
      this.#keepalive.handleHeader(nowMs);
    }
    this.#flushHandshake();
    if (result === null) return;
    this.#codec = result.codec;
    this.#introduction = result.introduction;
    this.#enter('introduced');
    this.#actions.push({ type: 'introduced', introduction: result.introduction });
  }

  #readMessages(nowMs: number): void {
    const codec = this.#codec as MessageCodec;
    for (;;) {
      const message = codec.decode(this.#input);
      if (message === null) return;
      this.#keepalive.handleMessage(nowMs);
      this.#counters.messagesIn++;
      const [tag] = message;
      if (tag === undefined) this.#counters.blankMessages++;
      else if (tag === TAG.heartbeat) this.#counters.heartbeatsIn++;
      else if (tag > TAG.overlayControl) this.#counters.unknownTags++;
      else this.#actions.push({ type: 'message', tag, payload: message.subarray(1) });
    }
  }

  #sendMessage(message: Uint8Array): boolean {
    try {
      this.#write((this.#codec as MessageCodec).encode(message));
    } catch (error) {
      if (!(error instanceof ProtocolError)) throw error;
      this.#leave(leaveForError(error));
      return false;
    }
    this.#counters.messagesOut++;
    return true;
  }

  #flushHandshake(): void {
    for (;;) {
      const bytes = this.#handshake.pollWrite();
      if (bytes === null) return;
      this.#write(bytes);
    }
  }

  #write(bytes: Uint8Array): void {
    this.#counters.bytesOut += bytes.length;
    this.#actions.push({ type: 'write', bytes });
  }

  #phase(): SessionPhase {
    if (this.#state === 'idle' || this.#state === 'header') return 'header';
    if (this.#state === 'introducing') return 'introducing';
    return this.#counters.messagesIn === 0 ? 'unanswered' : 'running';
  }

  #leave(reason: LeaveReason): void {
    if (this.#state === 'closed') return;
    this.#enter('closed');
    this.#handshake.dispose();
    this.#input.clear();
    this.#actions.push({ type: 'closed', reason });
  }

  #enter(state: ConnectionState): void {
    assert(ORIGINS[state].includes(this.#state), `connection went from ${this.#state} to ${state}`);
    this.#state = state;
  }
}
