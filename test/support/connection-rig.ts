/** Runs a Connection without sockets: options with defaults, and everything it did. */
import { concatBytes, fromHex } from '../../core/bytes.js';
import { parsePeerName } from '../../core/peer-name.js';
import {
  Connection,
  type ConnectionOptions,
  type Introduction,
  type LeaveReason,
} from '../../mesh/peer/connection.js';
import { ScriptedRandom } from './scripted-random.js';

export interface RigOptions extends Partial<ConnectionOptions> {
  readonly connectionId?: bigint;
  readonly privateKey?: string;
  /** Decide for the owner as soon as the introduction is complete. Default true. */
  readonly autoAdmit?: boolean;
}

export interface ReceivedMessage {
  readonly tag: number;
  readonly payload: Uint8Array;
}

/** One end. `collect` moves the machine's actions into the fields. */
export class ConnectionRig {
  readonly connection: Connection;
  readonly writes: Uint8Array[] = [];
  readonly messages: ReceivedMessage[] = [];
  introduction: Introduction | null = null;
  reason: LeaveReason | null = null;
  nowMs = 0;
  readonly #autoAdmit: boolean;

  constructor(options: RigOptions = {}) {
    const { connectionId = 1n, privateKey = '11'.repeat(32), autoAdmit = true, ...rest } = options;
    this.#autoAdmit = autoAdmit;
    this.connection = new Connection(
      {
        connId: 1,
        outbound: true,
        remoteAddr: '192.0.2.2:6783',
        localAddr: '192.0.2.1:40000',
        identity: {
          name: parsePeerName('82:00:00:00:00:01'),
          nickname: 'alpha',
          uid: 11n,
          shortId: 291,
        },
        password: null,
        minVersion: 1,
        maxVersion: 2,
        trustsRemote: false,
        overlays: ['sleeve'],
        ciphers: ['nacl'],
        extraFeatures: {},
        ...rest,
      },
      { random: new ScriptedRandom({ uint64: [connectionId], bytes: [fromHex(privateKey)] }) },
    );
  }

  get written(): Uint8Array {
    return concatBytes(...this.writes);
  }

  start(): this {
    this.connection.start(this.nowMs);
    return this.collect();
  }

  feed(bytes: Uint8Array): this {
    this.connection.handleBytes(bytes, this.nowMs);
    this.collect();
    if (this.#autoAdmit && this.connection.holding) {
      this.connection.admit(this.nowMs);
      this.collect();
    }
    return this;
  }

  /** Jumps to a time, stopping at every wake-up of the machine on the way. */
  advanceTo(timeMs: number): this {
    for (;;) {
      const next = this.connection.nextTimeout();
      if (next === null || next.atMs > timeMs) break;
      this.nowMs = Math.max(this.nowMs, next.atMs);
      this.connection.handleTimeout(this.nowMs);
      this.collect();
    }
    this.nowMs = timeMs;
    return this;
  }

  collect(): this {
    for (;;) {
      const action = this.connection.pollAction();
      if (action === null) return this;
      if (action.type === 'write') this.writes.push(action.bytes);
      else if (action.type === 'message') this.messages.push(action);
      else if (action.type === 'introduced') this.introduction = action.introduction;
      else this.reason = action.reason;
    }
  }
}

/** Carries writes between two ends until both are silent. */
export function exchange(a: ConnectionRig, b: ConnectionRig): void {
  for (;;) {
    const fromA = a.writes.splice(0);
    const fromB = b.writes.splice(0);
    if (fromA.length + fromB.length === 0) return;
    for (const bytes of fromA) b.feed(bytes);
    for (const bytes of fromB) a.feed(bytes);
  }
}
