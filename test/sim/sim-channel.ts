/** A gossip channel for simulations: a growing set of words, and counts of what arrived how. */
import { fromUtf8, utf8 } from '../../core/bytes.js';
import { DecodeError } from '../../core/errors.js';
import type { PeerName } from '../../core/peer-name.js';
import type { GossipChannel, GossipData } from '../../mesh/gossip-channel.js';

export class Words implements GossipData {
  readonly words: ReadonlySet<string>;

  constructor(words: Iterable<string>) {
    this.words = new Set(words);
  }

  encode(): readonly Uint8Array[] {
    return [utf8([...this.words].join(' '))];
  }

  merge(other: GossipData): GossipData {
    return new Words([...this.words, ...(other as Words).words]);
  }
}

export class SimChannel implements GossipChannel {
  readonly name: string;
  readonly words = new Set<string>();
  /** Word → how often a broadcast brought it. */
  readonly broadcasts = new Map<string, number>();
  readonly unicasts: { readonly source: PeerName; readonly text: string }[] = [];

  constructor(name: string) {
    this.name = name;
  }

  /** The word `poison` makes it fail, as a channel does that finds a contradiction. */
  onGossip(payload: Uint8Array): GossipData | null {
    const news = decode(payload).filter((word) => !this.words.has(word));
    for (const word of news) this.words.add(word);
    return news.length === 0 ? null : new Words(news);
  }

  onGossipBroadcast(payload: Uint8Array): GossipData | null {
    const words = decode(payload);
    for (const word of words) {
      this.words.add(word);
      this.broadcasts.set(word, (this.broadcasts.get(word) ?? 0) + 1);
    }
    return new Words(words);
  }

  onGossipUnicast(payload: Uint8Array, source: PeerName): void {
    this.unicasts.push({ source, text: fromUtf8(payload) });
  }

  completeState(): GossipData | null {
    return this.words.size === 0 ? null : new Words(this.words);
  }
}

function decode(payload: Uint8Array): string[] {
  const words = fromUtf8(payload).split(' ');
  if (words.includes('poison')) throw new DecodeError('poison', 'seeded by different peers');
  return words;
}
