/** MAC tables of several threads: what one sees, all know. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { PeerName } from '../../../core/peer-name.js';
import { ToldMacTable } from '../../../fastdp/told-mac-table.js';
import { MAC_A, MAC_ALL } from './frames.js';

const localPeer = 1 as PeerName;
const REMOTE = 2 as PeerName;
const OTHER = 3 as PeerName;

/** Two threads; `messages` counts what they tell each other. */
class Threads {
  nowMs = 0;
  messages = 0;
  full = false;
  readonly tables: [ToldMacTable, ToldMacTable];

  constructor() {
    this.tables = [this.#make(1), this.#make(0)];
  }

  #make(other: 0 | 1): ToldMacTable {
    return new ToldMacTable({ localPeer }, (mac, peer) => {
      if (this.full) return false;
      this.messages += 1;
      this.tables[other].learnTold(mac, peer, this.nowMs);
      return true;
    });
  }
}

test('an address learnt by one is known to both at once, and moves with it', () => {
  const threads = new Threads();
  const [a, b] = threads.tables;
  a.learnRemote(MAC_A, REMOTE, 0);
  assert.equal(b.lookup(MAC_A), REMOTE);
  b.learnRemote(MAC_A, OTHER, 1);
  assert.deepEqual([a.lookup(MAC_A), b.lookup(MAC_A)], [OTHER, OTHER]);
  a.learnRemote(MAC_A, REMOTE, 2);
  assert.deepEqual([a.lookup(MAC_A), b.lookup(MAC_A)], [REMOTE, REMOTE]);
  assert.equal(threads.messages, 3);
});

test('what stays true is told twice a second at most; groups are nobody’s', () => {
  const threads = new Threads();
  const [a, b] = threads.tables;
  for (let nowMs = 0; nowMs < 10_000; nowMs += 10) {
    threads.nowMs = nowMs;
    a.learnLocal(MAC_A, nowMs);
    a.learnLocal(MAC_ALL, nowMs);
  }
  assert.equal(threads.messages, 20);
  assert.equal(b.lookup(MAC_A), localPeer);
  assert.equal(b.size, 1);
});

test('no thread forgets an address that lives on another, and all forget a silent one', () => {
  const threads = new Threads();
  const [a, b] = threads.tables;
  const minute = 60_000;
  for (; threads.nowMs < 60 * minute; threads.nowMs += 20_000) {
    a.learnRemote(MAC_A, REMOTE, threads.nowMs);
    for (const table of threads.tables) table.handleTimeout(threads.nowMs);
  }
  assert.equal(b.lookup(MAC_A), REMOTE);
  for (const table of threads.tables) table.handleTimeout(threads.nowMs + 12 * minute);
  assert.deepEqual([a.lookup(MAC_A), b.lookup(MAC_A)], [-1, -1]);
});

test('a frame of ours that comes back to another thread is a reflection there too', () => {
  const threads = new Threads();
  const [a, b] = threads.tables;
  for (; threads.nowMs < 5_000; threads.nowMs += 50) {
    a.learnRemote(MAC_A, REMOTE, threads.nowMs);
    assert.equal(b.learnLocal(MAC_A, threads.nowMs), false);
  }
  // Silence, then the workload is here: the second thread sees it, and the first believes it soon.
  threads.nowMs += 2_000;
  assert.equal(b.learnLocal(MAC_A, threads.nowMs), true);
  threads.nowMs += 500;
  b.learnLocal(MAC_A, threads.nowMs);
  assert.deepEqual([a.lookup(MAC_A), b.lookup(MAC_A)], [localPeer, localPeer]);
});

test('what could not be told is told with the next frame', () => {
  const threads = new Threads();
  const [a, b] = threads.tables;
  threads.full = true;
  a.learnRemote(MAC_A, REMOTE, 0);
  assert.equal(b.lookup(MAC_A), -1);
  threads.full = false;
  a.learnRemote(MAC_A, REMOTE, 1);
  assert.equal(b.lookup(MAC_A), REMOTE);
});
