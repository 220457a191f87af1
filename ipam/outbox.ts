/**
 * What the allocator wants done. Whatever it tells the world rests on what it has stored, so a
 * pending snapshot always comes out first.
 */
import type { LogFields } from '../core/log.js';
import type { PeerName } from '../core/peer-name.js';
import type { GossipData } from '../mesh/gossip-channel.js';
import type { IpamAction, IpamResult, IpamSnapshot, RequestId } from './interfaces.js';

export class Outbox {
  /** BOUNDED by what one input causes: the caller polls after each. */
  #actions: IpamAction[] = [];
  #next = 0;
  #unsaved = false;
  #broadcasting = false;
  readonly #news: GossipData;
  readonly #snapshot: () => IpamSnapshot;

  constructor(modules: { readonly news: GossipData; readonly snapshot: () => IpamSnapshot }) {
    this.#news = modules.news;
    this.#snapshot = modules.snapshot;
  }

  /** Something changed that must outlive a restart. */
  save(): void {
    this.#unsaved = true;
  }

  unicast(destination: PeerName, payload: Uint8Array): void {
    this.#actions.push({ type: 'unicast', destination, payload });
  }

  /** Our state to everybody, once however often it is asked for. */
  broadcast(): void {
    if (this.#broadcasting) return;
    this.#broadcasting = true;
    this.#actions.push({ type: 'broadcast', data: this.#news });
  }

  complete(id: RequestId, result: IpamResult): void {
    this.#actions.push({ type: 'complete', id, result });
  }

  log(level: 'warn' | 'info' | 'debug', text: string, fields: LogFields = {}): void {
    this.#actions.push({ type: 'log', level, text, fields });
  }

  poll(): IpamAction | null {
    if (this.#unsaved) {
      this.#unsaved = false;
      return { type: 'persist', snapshot: this.#snapshot() };
    }
    const action = this.#actions[this.#next];
    if (action === undefined) {
      this.#actions = [];
      this.#next = 0;
      return null;
    }
    this.#next++;
    if (action.type === 'broadcast') this.#broadcasting = false;
    return action;
  }
}
