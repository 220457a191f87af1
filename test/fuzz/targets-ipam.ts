/** Address gossip of hostile peers, against a whole allocator with addresses in use. */
import { ByteReader } from '../../core/bytes.js';
import { DecodeError } from '../../core/errors.js';
import { type Ipv4, parseCidr } from '../../core/ip.js';
import type { PeerName } from '../../core/peer-name.js';
import { Allocator } from '../../ipam/allocator.js';
import { decodeState, encodeState, encodeUnicast, type GossipState } from '../../ipam/codec.js';
import type { IpamInit } from '../../ipam/interfaces.js';
import { rangeOf } from '../../ipam/range.js';
import { Ring } from '../../ipam/ring.js';
import { SeededRandom } from '../sim/seeded-random.js';
import type { FuzzTarget } from './target.js';

const SELF = 1 as PeerName;
const OTHER = 2 as PeerName;
const UNIVERSE = parseCidr('10.0.0.0/24');

function newAllocator(init: IpamInit): Allocator {
  const allocator = new Allocator(
    {
      localPeer: SELF,
      nickname: 'self',
      uid: 7n,
      universe: UNIVERSE,
      defaultSubnet: UNIVERSE,
      init,
      reclaimAfterMs: null,
    },
    {
      random: new SeededRandom(1),
      mesh: {
        peers: () => [{ name: OTHER, nickname: 'other' }],
        isReachable: (peer) => peer === OTHER,
        targetCount: () => 1,
        isCloned: () => false,
      },
    },
  );
  allocator.start(null, [], 0);
  for (const ident of ['a', 'b', 'c']) {
    allocator.allocate({ ident, subnet: null, watched: true }, 0);
  }
  drain(allocator);
  return allocator;
}

function drain(allocator: Allocator): void {
  for (let action = allocator.pollAction(); action !== null; action = allocator.pollAction()) {
    if (action.type === 'persist') JSON.stringify(action.snapshot);
  }
}

/** Invariants that no message may break. */
function check(allocator: Allocator, nowMs: number): void {
  const status = allocator.status(nowMs);
  const own = status.entries.filter(({ peer }) => peer === SELF);
  const size = own.reduce((sum, entry) => sum + entry.size, 0);
  const free = status.owners.find(({ peer }) => peer === SELF)?.free ?? 0;
  if (free + status.activeAddresses !== size) throw new Error('free and used are not all');
  const total = status.entries.reduce((sum, entry) => sum + entry.size, 0);
  if (total !== 0 && total !== status.universeAddresses) throw new Error('the ring has a hole');
  const stranded = new Set(status.stranded.map(({ cidr }) => cidr.address));
  for (const { cidrs } of allocator.list()) {
    for (const { address } of cidrs) {
      const isOwn = own.some((e) => address >= e.token && address < e.token + e.size);
      if (isOwn === stranded.has(address)) throw new Error('an address is neither ours nor lost');
    }
  }
}

function feed(init: IpamInit, inputs: readonly Uint8Array[]): void {
  const allocator = newAllocator(init);
  for (const [i, input] of inputs.entries()) {
    const nowMs = 6000 * i;
    for (const deliver of [
      () => allocator.onGossip(input, OTHER, nowMs),
      () => allocator.onGossipBroadcast(input, OTHER, nowMs),
      () => allocator.onGossipUnicast(input, OTHER, nowMs),
    ]) {
      try {
        deliver();
      } catch (error) {
        if (!(error instanceof DecodeError)) throw error;
      }
      drain(allocator);
    }
    check(allocator, nowMs);
    allocator.handleTimeout(nowMs);
    drain(allocator);
  }
  allocator.explain(0);
  check(allocator, 0);
  for (const payload of allocator.completeState().encode()) decodeState(payload);
}

function ringState(change: (ring: Ring) => void): GossipState {
  const ring = new Ring(rangeOf(UNIVERSE), OTHER);
  ring.divide([SELF, OTHER]);
  change(ring);
  return {
    nowSeconds: 0n,
    nicknames: new Map([[OTHER, 'other']]),
    paxos: null,
    ring: { ...ring.state, peer: OTHER },
    healing: { healers: new Set([OTHER]), reclaimAfterMs: null, ballot: null },
  };
}

const base = UNIVERSE.address;
const states = [
  ringState(() => {}),
  ringState((ring) => ring.transfer(SELF, OTHER, 100)),
  ringState((ring) => ring.grant({ start: base + 192, end: base + 200 }, SELF)),
];
const vote: GossipState = {
  ...(states[0] as GossipState),
  ring: null,
  paxos: [
    {
      node: { name: OTHER, uid: 9n },
      claims: {
        promise: { round: 1n, proposer: { name: OTHER, uid: 9n } },
        accepted: { round: 1n, proposer: { name: OTHER, uid: 9n } },
        acceptedValue: {
          value: [SELF, OTHER],
          origin: { round: 1n, proposer: { name: OTHER, uid: 9n } },
        },
      },
    },
  ],
};
const ballot = { step: 'ask', target: OTHER, round: 5n, reason: '' } as const;
const asking = ringState(() => {});
const unicasts = [
  encodeUnicast({ type: 'space-request', range: { start: base, end: base + 256 } }),
  encodeUnicast({ type: 'denied', range: { start: base + 1, end: (base + 2) as Ipv4 } }),
  encodeUnicast({
    type: 'ring-update',
    state: { ...asking, healing: { healers: new Set([OTHER]), reclaimAfterMs: 1000, ballot } },
  }),
];
const all = [...states.map(encodeState), encodeState(vote), ...unicasts];

/** Cuts the input into messages: each has a 16-bit length before it. */
function cut(input: Uint8Array): Uint8Array[] {
  const reader = new ByteReader(input);
  const payloads: Uint8Array[] = [];
  while (reader.remaining >= 2) {
    const wanted = reader.u16be();
    payloads.push(reader.bytes(Math.min(wanted, reader.remaining)));
  }
  return payloads;
}

const joined = Uint8Array.from(
  all.flatMap((part) => [part.length >> 8, part.length & 255, ...part]),
);
const SEEDED: IpamInit = { mode: 'seed', peers: [SELF, OTHER] };
const VOTING: IpamInit = { mode: 'consensus', peers: 2 };

export const targets: FuzzTarget[] = [
  { name: 'ipam-message', seeds: all, run: (input) => feed(SEEDED, [input]) },
  { name: 'ipam-vote', seeds: all, run: (input) => feed(VOTING, [input]) },
  { name: 'ipam-messages', seeds: [joined], run: (input) => feed(SEEDED, cut(input)) },
];
