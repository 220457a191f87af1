/**
 * What a name server should survive: packets by number, the same ones for the same seed. One in
 * eight is well formed, about a name that few have asked for; the others are bad in the ways of the
 * mutator, made out of queries and, since those arrive as well, answers.
 */
import { decode, encode, type StringRecordType } from 'dns-packet';
import { Mutator } from '../../test/fuzz/mutator.js';
import { querySeeds } from '../../test/fuzz/targets-dns.js';
import { SeededNumbers, seededBytes } from '../../test/support/garbage.js';

/** IPv4 takes 65,507; longer ones than the server reads are all alike. */
const MAX_DATAGRAM_BYTES = 9000;
const WELL_FORMED = 8;
/** One in so many is longer than any query, or nearly. */
const TOO_LARGE = 512;
const TYPES: readonly StringRecordType[] = ['A', 'CNAME', 'PTR'];
/** The server's own domain, the resolver's part of the world, and nobody's. */
const DOMAINS = ['weave.local', 'world.example', '10.in-addr.arpa', 'invalid'];

export class DnsPackets {
  readonly #mutator = new Mutator([...querySeeds(), ...answerSeeds()]);
  readonly #firstSeed: number;

  constructor(seed: number) {
    // Far enough apart for a long run.
    this.#firstSeed = seed * 100_000_003;
  }

  /** @returns a view that stays valid until the next call. */
  make(index: number): Uint8Array {
    const seed = (this.#firstSeed + index) >>> 0;
    if (index % WELL_FORMED === 0) return wellFormed(new SeededNumbers(seed));
    if (index % TOO_LARGE === 1) {
      return seededBytes(seed, MAX_DATAGRAM_BYTES - (seed % (MAX_DATAGRAM_BYTES / 2)));
    }
    return this.#mutator.make(seed).subarray(0, MAX_DATAGRAM_BYTES);
  }
}

function wellFormed(numbers: SeededNumbers): Uint8Array {
  const label = numbers.uint32().toString(36);
  const name = `${label}.${DOMAINS[numbers.below(DOMAINS.length)]}`;
  const type = TYPES[numbers.below(TYPES.length)] as StringRecordType;
  return encode({
    ...{ type: 'query', id: numbers.below(0x10000), flags: 0x0100 },
    questions: [{ name, type }],
  });
}

function answerSeeds(): Uint8Array[] {
  return ['many.weave.local', 'www.world.example'].map((name) =>
    encode({
      ...{ type: 'response', id: 4711, questions: [{ name, type: 'A' }] },
      answers: [{ name, type: 'A', ttl: 1, data: '10.32.0.1' }],
    }),
  );
}

/** @returns the addresses of an answer to the query of this id; null: something else. */
export function addressesIn(answer: Buffer, id: number): string[] | null {
  const packet = decode(answer);
  if (packet.id !== id || packet.type !== 'response') return null;
  return (packet.answers ?? []).flatMap((record) => (record.type === 'A' ? [record.data] : []));
}
