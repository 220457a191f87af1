/**
 * Runs the overlays of each connection side by side and says which one counts
 * (reference/wire-protocol.md 9). All that both ends support are prepared and confirmed together;
 * the connection is established as soon as any of them is, and ends when the last one fails.
 *
 *   commonOverlays -> prepare -> confirm -> (established | failed)* -> stop
 *
 * Overlays call back synchronously or later; either way the result waits in `pollAction`.
 */
import type { PeerName } from '../core/peer-name.js';
import { TokenBucket } from '../core/rate-limit.js';
import type {
  ForwardingTables,
  Overlay,
  OverlayAttributes,
  OverlayEvent,
  OverlayPeering,
} from './overlay.js';
import { decodeOverlayControl, encodeOverlayControl } from './protocol.js';

/** What a peer runs that announces nothing. */
const OLD_STYLE_OVERLAY = 'sleeve';
/** Old-style messages use the sub-tag as the message's tag; only these are free for it. */
const OLD_STYLE_TAGS: ReadonlySet<number> = new Set([1, 2, 3]);

export type OverlaySwitchAction =
  | {
      readonly type: 'send';
      readonly connId: number;
      readonly tag: number;
      readonly payload: Uint8Array;
    }
  /** Once per connection. */
  | { readonly type: 'established'; readonly connId: number; readonly overlay: string }
  /** No overlay is left; the connection must end with this reason. */
  | {
      readonly type: 'exhausted';
      readonly connId: number;
      readonly code: string;
      readonly reason: string;
    };

/** What status pages say about the overlay in use. */
export interface OverlayChoice {
  readonly overlay: string;
  /** Why this one, a sentence. */
  readonly reason: string;
  readonly attributes: OverlayAttributes;
}

/**
 * Control messages that one peer may send: a burst, then one per 10 ms. The busiest honest one, a
 * search for the path MTU, has some ten a second. Each costs a message to the data plane's thread,
 * whose queue must not be filled by a peer.
 */
export const CONTROL_BURST = 256;
const CONTROL_INTERVAL_MS = 10;

interface Candidate {
  readonly overlay: Overlay;
  state: 'prepared' | 'established' | 'failed';
  failure: string;
  attributes: OverlayAttributes;
}

interface Switched {
  readonly connId: number;
  /** In the order of the own list; the position is the forwarder index of control messages. */
  readonly candidates: readonly Candidate[];
  readonly oldStyle: boolean;
  readonly controlBudget: TokenBucket;
  established: boolean;
  exhausted: boolean;
}

/**
 * Names that both ends support, in our order: both ends of the original number the overlays by
 * their own list, so the agreed order `fastdp sleeve` must be kept by all (C1).
 * @param theirs null if the peer announced none: it runs sleeve then.
 */
export function commonOverlays(
  ours: readonly string[],
  theirs: readonly string[] | null,
): readonly string[] {
  const accepted = theirs ?? [OLD_STYLE_OVERLAY];
  return ours.filter((name, index) => accepted.includes(name) && ours.indexOf(name) === index);
}

export class OverlaySwitch {
  readonly #overlays: readonly Overlay[];
  /** By connection id. BOUNDED by the admitted connections. */
  readonly #connections = new Map<number, Switched>();
  /** BOUNDED by what one call of an overlay causes: the owner polls after every input. */
  readonly #actions: OverlaySwitchAction[] = [];
  readonly #onPending: () => void;
  readonly #counters = {
    'overlay-control-too-often': 0,
    'overlay-control-unreadable': 0,
    'overlay-control-bad-index': 0,
    'overlay-control-after-failure': 0,
    'overlay-control-not-sendable': 0,
    'overlay-established': 0,
    'overlay-failed': 0,
  };

  /** @param modules.onPending an overlay reported something outside of a call: poll soon. */
  constructor(modules: { readonly overlays: readonly Overlay[]; readonly onPending: () => void }) {
    this.#overlays = modules.overlays;
    this.#onPending = modules.onPending;
    for (const overlay of this.#overlays) {
      overlay.onEvent = (event) => {
        this.#handleEvent(overlay, event);
        this.#onPending();
      };
    }
  }

  /** What we announce, best first. */
  get names(): readonly string[] {
    return this.#overlays.map((overlay) => overlay.name);
  }

  /** By stable name. */
  get counters(): Readonly<Record<string, number>> {
    return this.#counters;
  }

  pollAction(): OverlaySwitchAction | null {
    return this.#actions.shift() ?? null;
  }

  /** @param theirs what the peer announced; null: nothing, it gets old-style messages. */
  prepare(peering: OverlayPeering, theirs: readonly string[] | null): void {
    const common = commonOverlays(this.names, theirs);
    const candidates = common.map(
      (name): Candidate => ({
        overlay: this.#overlays.find((overlay) => overlay.name === name) as Overlay,
        state: 'prepared',
        failure: '',
        attributes: {},
      }),
    );
    const { connId } = peering;
    this.#connections.set(connId, {
      connId,
      candidates,
      oldStyle: theirs === null,
      controlBudget: new TokenBucket({ capacity: CONTROL_BURST, refillMs: CONTROL_INTERVAL_MS }, 0),
      established: false,
      exhausted: false,
    });
    for (const { overlay } of candidates) {
      // Each gets a key of its own, since each wipes it at a time of its own.
      overlay.prepare({ ...peering, sessionKey: peering.sessionKey?.slice() ?? null });
    }
  }

  confirm(connId: number): void {
    for (const { overlay, state } of this.#connections.get(connId)?.candidates ?? []) {
      if (state !== 'failed') overlay.confirm(connId);
    }
  }

  /**
   * A message with tag 1, 2, 3 or 7. With announced overlays the tag says nothing (C3). What
   * names no overlay of the connection is counted and ignored, where the original crashes (C2).
   */
  handleControl(connId: number, tag: number, payload: Uint8Array, nowMs: number): void {
    const connection = this.#connections.get(connId);
    if (connection === undefined) return;
    if (!connection.controlBudget.tryTake(nowMs)) {
      this.#counters['overlay-control-too-often']++;
      return;
    }
    const message = decodeOverlayControl(tag, payload, connection.oldStyle);
    if (message === null) {
      this.#counters['overlay-control-unreadable']++;
      return;
    }
    const candidate = connection.candidates[message.forwarderIndex];
    if (candidate === undefined) this.#counters['overlay-control-bad-index']++;
    else if (candidate.state === 'failed') this.#counters['overlay-control-after-failure']++;
    else candidate.overlay.handleControl(connId, message.subTag, message.data);
  }

  stop(connId: number): void {
    const connection = this.#connections.get(connId);
    if (connection === undefined) return;
    this.#connections.delete(connId);
    for (const { overlay, state } of connection.candidates) {
      if (state !== 'failed') overlay.stop(connId);
    }
  }

  setForwarding(tables: ForwardingTables): void {
    for (const overlay of this.#overlays) overlay.setForwarding(tables);
  }

  forgetPeer(peer: PeerName): void {
    for (const overlay of this.#overlays) overlay.forgetPeer(peer);
  }

  /** The overlay in use; null for unknown connections. */
  choice(connId: number): OverlayChoice | null {
    const connection = this.#connections.get(connId);
    if (connection === undefined) return null;
    const inUse = chosen(connection.candidates);
    if (inUse === undefined) return null;
    return {
      overlay: inUse.overlay.name,
      reason: explain(connection, inUse),
      attributes: inUse.attributes,
    };
  }

  #handleEvent(overlay: Overlay, event: OverlayEvent): void {
    const connection = this.#connections.get(event.connId);
    const index = connection?.candidates.findIndex((other) => other.overlay === overlay) ?? -1;
    const candidate = connection?.candidates[index];
    // Events of another thread may still be on their way after the connection's end.
    if (connection === undefined || candidate === undefined || candidate.state === 'failed') return;
    switch (event.type) {
      case 'established':
        this.#establish(connection, candidate);
        break;
      case 'control':
        this.#send(connection, index, event.subTag, event.data);
        break;
      case 'attributes':
        candidate.attributes = event.attributes;
        break;
      case 'failed':
        this.#fail(connection, candidate, event.code, event.reason);
    }
  }

  #establish(connection: Switched, candidate: Candidate): void {
    candidate.state = 'established';
    if (connection.established) return;
    connection.established = true;
    this.#counters['overlay-established']++;
    const { connId } = connection;
    this.#actions.push({ type: 'established', connId, overlay: candidate.overlay.name });
  }

  #fail(connection: Switched, candidate: Candidate, code: string, reason: string): void {
    candidate.state = 'failed';
    candidate.failure = reason;
    this.#counters['overlay-failed']++;
    candidate.overlay.stop(connection.connId);
    if (connection.exhausted || connection.candidates.some(({ state }) => state !== 'failed')) {
      return;
    }
    connection.exhausted = true;
    this.#actions.push({ type: 'exhausted', connId: connection.connId, code, reason });
  }

  #send(connection: Switched, index: number, subTag: number, data: Uint8Array): void {
    const { connId, oldStyle } = connection;
    if (oldStyle && !OLD_STYLE_TAGS.has(subTag)) {
      this.#counters['overlay-control-not-sendable']++;
      return;
    }
    const tagged = encodeOverlayControl({ forwarderIndex: index, subTag, data }, oldStyle);
    this.#actions.push({ type: 'send', connId, ...tagged });
  }
}

/** The first established one in list order, else the first that has not failed. */
function chosen(candidates: readonly Candidate[]): Candidate | undefined {
  return (
    candidates.find(({ state }) => state === 'established') ??
    candidates.find(({ state }) => state !== 'failed')
  );
}

function explain(connection: Switched, inUse: Candidate): string {
  const name = inUse.overlay.name;
  const failed = connection.candidates.filter(({ state }) => state === 'failed');
  const failures = failed.map(({ overlay, failure }) => `${overlay.name} failed: ${failure}`);
  const suffix = failures.length === 0 ? '' : ` (${failures.join('; ')})`;
  if (inUse.state !== 'established') {
    return `${name} is the first choice; no overlay is confirmed yet${suffix}.`;
  }
  const better = connection.candidates
    .slice(0, connection.candidates.indexOf(inUse))
    .filter(({ state }) => state === 'prepared')
    .map(({ overlay }) => overlay.name);
  if (better.length > 0) {
    return `${name} works; ${better.join(', ')} is preferred but not confirmed${suffix}.`;
  }
  if (connection.oldStyle) return `${name} works; the peer announces no other overlay${suffix}.`;
  if (connection.candidates.length === 1) return `${name} is the only overlay of both ends.`;
  return `${name} is the best overlay that works${suffix}.`;
}
