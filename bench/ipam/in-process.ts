#!/usr/bin/env node
/**
 * The allocator without a host around it: allocations a second, memory of a full table, bytes of
 * gossip. Run it with --expose-gc; the last line is the result as JSON.
 */
import { parseCidr } from '../../core/ip.js';
import type { PeerName } from '../../core/peer-name.js';
import { Allocator } from '../../ipam/allocator.js';
import { SeededRandom } from '../../test/sim/seeded-random.js';

const UNIVERSE = parseCidr('10.32.0.0/12');
const ADDRESSES = 100_000;
const TIMED = 2_000;
/** Requests between two looks at the actions, when a caller batches. */
const BATCH = 1_000;
const HOSTS = 3;
const SHARED = 3_000;
const GOSSIP_MS = 30_000;

interface Traffic {
  bytes: number;
  messages: number;
}

const traffic: Traffic = { bytes: 0, messages: 0 };
const hosts = new Map<PeerName, Allocator>();
let nowMs = 0;

function makeHost(name: number, among: readonly number[]): Allocator {
  const allocator = new Allocator(
    {
      localPeer: name as PeerName,
      nickname: `host${name}`,
      uid: BigInt(name),
      universe: UNIVERSE,
      defaultSubnet: UNIVERSE,
      init: { mode: 'seed', peers: among as PeerName[] },
      reclaimAfterMs: null,
    },
    {
      random: new SeededRandom(name),
      mesh: {
        peers: () => [...hosts.keys()].map((peer) => ({ name: peer, nickname: `host${peer}` })),
        isReachable: (peer) => hosts.has(peer),
        targetCount: () => among.length - 1,
        isCloned: () => false,
      },
    },
  );
  allocator.start(null, [], nowMs);
  return allocator;
}

/** Carries out what a host wants done; everything arrives at once. */
function drain(name: PeerName, host: Allocator): void {
  for (let action = host.pollAction(); action !== null; action = host.pollAction()) {
    if (action.type === 'unicast') {
      count(action.payload);
      const to = hosts.get(action.destination);
      to?.onGossipUnicast(action.payload, name, nowMs);
      if (to !== undefined) drain(action.destination, to);
    } else if (action.type === 'broadcast') {
      for (const payload of action.data.encode()) {
        for (const [peer, other] of hosts) {
          if (other === host) continue;
          count(payload);
          other.onGossipBroadcast(payload, name, nowMs);
          drain(peer, other);
        }
      }
    }
  }
}

function count(payload: Uint8Array): void {
  traffic.bytes += payload.length;
  traffic.messages++;
}

/** @returns allocations a second */
function allocateMany(host: Allocator, first: number, many: number, batch: number): number {
  const began = performance.now();
  for (let i = 0; i < many; i++) {
    host.allocate({ ident: `workload-${first + i}`, subnet: null, watched: true }, nowMs);
    if (i % batch === batch - 1) drain(1 as PeerName, host);
  }
  drain(1 as PeerName, host);
  return (1000 * many) / (performance.now() - began);
}

function heapBytes(): number {
  globalThis.gc?.();
  return process.memoryUsage().heapUsed;
}

function measureOneHost(): Record<string, number> {
  const before = heapBytes();
  const host = makeHost(1, [1]);
  hosts.set(1 as PeerName, host);
  allocateMany(host, 0, TIMED, 1);
  const empty = allocateMany(host, TIMED, TIMED, 1);
  allocateMany(host, 2 * TIMED, ADDRESSES - 2 * TIMED - TIMED / 10, BATCH);
  const full = allocateMany(host, ADDRESSES - TIMED / 10, TIMED / 10, 1);
  const batched = allocateMany(host, ADDRESSES, BATCH, BATCH);
  const bytes = heapBytes() - before;
  hosts.clear();
  return {
    perSecondEmpty: Math.round(empty),
    perSecondFull: Math.round(full),
    perSecondFullBatched: Math.round(batched),
    heapMbFull: bytes / 2 ** 20,
    addresses: host.gauges().localUsed,
  };
}

/** Allocations in turn on three hosts, with periodic gossip as if they came ten a second. */
function measureGossip(): Record<string, number> {
  const names = Array.from({ length: HOSTS }, (_, i) => i + 1);
  for (const name of names) hosts.set(name as PeerName, makeHost(name, names));
  for (const [name, host] of hosts) drain(name, host);
  const began = { ...traffic };
  let gossipAtMs = GOSSIP_MS;
  for (let i = 0; i < SHARED; i++) {
    nowMs += 100;
    const name = ((i % HOSTS) + 1) as PeerName;
    const host = hosts.get(name) as Allocator;
    host.allocate({ ident: `shared-${i}`, subnet: null, watched: true }, nowMs);
    drain(name, host);
    for (const [peer, other] of hosts) {
      other.handleTimeout(nowMs);
      drain(peer, other);
    }
    if (nowMs < gossipAtMs) continue;
    gossipAtMs += GOSSIP_MS;
    for (const [peer, other] of hosts) {
      for (const payload of other.completeState().encode()) {
        for (const [to, receiver] of hosts) {
          if (to === peer) continue;
          count(payload);
          receiver.onGossip(payload, peer, nowMs);
          drain(to, receiver);
        }
      }
    }
  }
  return {
    gossipBytesPerAllocation: (traffic.bytes - began.bytes) / SHARED,
    gossipMessages: traffic.messages - began.messages,
  };
}

const result = { ...measureOneHost(), ...measureGossip() };
console.log(JSON.stringify(result));
