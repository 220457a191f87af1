/** Entries and machines for tests of the name service, and the shapes of its golden data. */
import { type PeerName, parsePeerName } from '../../../core/peer-name.js';
import { isLive, type NameEntry } from '../../../dns/name-entry.js';
import { Names } from '../../../dns/names.js';

/** As the golden data has it. */
export interface VectorEntry {
  readonly hostname: string;
  readonly origin: string;
  readonly container_id: string;
  readonly addr: string;
  readonly version: number;
  readonly tombstone: number;
}

export const fromVector = (entry: VectorEntry): NameEntry => ({
  hostname: entry.hostname,
  origin: parsePeerName(entry.origin),
  containerId: entry.container_id,
  type: 'A',
  data: entry.addr,
  version: entry.version,
  tombstone: entry.tombstone,
});

export const US = 10 as PeerName;
export const OTHER = 11 as PeerName;

export function entry(changed: Partial<NameEntry> = {}): NameEntry {
  return {
    hostname: 'web.weave.local.',
    origin: OTHER,
    containerId: 'c1',
    type: 'A',
    data: '10.32.0.1',
    version: 0,
    tombstone: 0,
    ...changed,
  };
}

/** A machine whose clock, peers and messages the test owns. */
export class NamesRig {
  nowS = 1_700_000_000;
  nowMs = 1000;
  readonly known = new Set<PeerName>([US, OTHER]);
  readonly broadcasts: (readonly NameEntry[])[] = [];
  readonly news: (readonly NameEntry[])[] = [];
  readonly warnings: string[] = [];
  readonly names: Names;

  constructor() {
    this.names = new Names(
      { localPeer: US, domain: 'weave.local.' },
      {
        clock: { nowMs: () => this.nowMs, wallMs: () => this.nowS * 1000 },
        isKnownPeer: (name) => this.known.has(name),
        warn: (kind) => this.warnings.push(kind),
      },
    );
    this.names.onBroadcast = (entries) => this.broadcasts.push(entries);
    this.names.onNews = (entries) => this.news.push(entries);
  }

  gossip(entries: readonly NameEntry[], timestamp = this.nowS) {
    return this.names.handleGossip({ timestamp, entries, unusable: 0 }, this.nowMs);
  }

  /** Time passes, with the wake-ups of the machine. */
  pass(ms: number): void {
    const endMs = this.nowMs + ms;
    while (this.names.nextTimeout().atMs <= endMs) {
      const atMs = Math.max(this.nowMs, this.names.nextTimeout().atMs);
      this.nowS += (atMs - this.nowMs) / 1000;
      this.nowMs = atMs;
      this.names.handleTimeout(atMs);
    }
    this.nowS += (endMs - this.nowMs) / 1000;
    this.nowMs = endMs;
  }

  addresses(name: string): string[] {
    return [...this.names.table.lookUp(name)].map(({ data }) => data).sort();
  }

  all(): NameEntry[] {
    return [...this.names.table.all()];
  }

  live(): NameEntry[] {
    return this.all().filter(isLive);
  }
}
