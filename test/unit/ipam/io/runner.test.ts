/**
 * The runner between allocator and disk: nothing is told before it is stored, changes that come
 * meanwhile are stored together, and what fails to be stored is tried again.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import { RequestError } from '../../../../core/errors.js';
import { type Cidr, parseCidr } from '../../../../core/ip.js';
import { type Logger, silentLogger } from '../../../../core/log.js';
import type { PeerName } from '../../../../core/peer-name.js';
import type { IpamSnapshot } from '../../../../ipam/interfaces.js';
import { IpamRunner, type IpamStore } from '../../../../ipam/io/runner.js';
import type { GossipData } from '../../../../mesh/gossip-channel.js';
import { waitFor } from '../../../support/wait.js';
import { ScriptedMachine } from './scripted-machine.js';

class SlowStore implements IpamStore {
  readonly saved: IpamSnapshot[] = [];
  readonly asides: string[] = [];
  failures = 0;
  #writes: (() => void)[] = [];

  load(): null {
    return null;
  }

  async save(snapshot: IpamSnapshot): Promise<void> {
    if (this.failures > 0) {
      this.failures -= 1;
      throw new Error('ENOSPC: no space left on device');
    }
    await new Promise<void>((resolve) => this.#writes.push(resolve));
    this.saved.push(snapshot);
  }

  setAside(reason: string): void {
    this.asides.push(reason);
  }

  async finishWrite(): Promise<void> {
    await waitFor('write', 1000, () => this.#writes.length > 0, 1);
    this.#writes.shift()?.();
    await turn();
  }

  get isWriting(): boolean {
    return this.#writes.length > 0;
  }
}

function rig(log: Logger = silentLogger) {
  const machine = new ScriptedMachine();
  const store = new SlowStore();
  let nowMs = 0;
  const clock = { nowMs: () => nowMs++, wallMs: () => 0 };
  const runner = new IpamRunner({ machine, store, clock, log });
  const sent: string[] = [];
  const broadcasts: GossipData[] = [];
  runner.start(null, [], {
    unicast: (_peer, payload) => sent.push(`unicast ${Buffer.from(payload)}`) > 0,
    broadcast: (data) => {
      sent.push('broadcast');
      broadcasts.push(data);
    },
    neighbours: () => {},
  });
  const encode = (data: GossipData | null): string =>
    [...(data?.encode() ?? [])].map((bytes) => Buffer.from(bytes).toString()).join();
  return { machine, store, runner, sent, broadcasts, encode };
}

const SUBNET = parseCidr('10.32.0.0/12');
const any = (ident: string) => ({ ident, subnet: SUBNET, watched: true });

test('an answer waits for the disk, and one write covers all that came meanwhile', async () => {
  const { store, runner } = rig();
  const answers: Cidr[] = [];
  const note = async (ident: string): Promise<void> => {
    answers.push((await runner.allocate(any(ident))).cidr);
  };
  const first = note('c1');
  await turn();
  assert.ok(store.isWriting);
  const rest = [note('c2'), note('c3')];
  await turn();
  assert.deepEqual(answers, []);
  await store.finishWrite();
  await first;
  assert.deepEqual([answers.length, store.saved.length], [1, 1]);
  await store.finishWrite();
  await Promise.all(rest);
  assert.deepEqual([answers.length, store.saved.length], [3, 2]);
  assert.equal(store.saved[1]?.owned.length, 3);
});

test('gossip that is sent during a write tells what is on disk', async () => {
  const { machine, store, runner, sent, broadcasts, encode } = rig();
  machine.send('ring update');
  const granted = runner.allocate(any('c1'));
  await turn();
  assert.equal(encode(runner.channel.completeState()), 'state of 0');
  assert.deepEqual(sent, [], 'news waits for the disk');
  await store.finishWrite();
  await granted;
  assert.deepEqual(sent, ['unicast ring update', 'broadcast']);
  assert.equal(encode(runner.channel.completeState()), 'state of 1');
  const more = runner.allocate(any('c2'));
  await turn();
  // Offered before, encoded now.
  assert.equal(encode(broadcasts[0] ?? null), 'state of 1');
  await store.finishWrite();
  await more;
  assert.equal(encode(broadcasts[0] ?? null), 'state of 2');
});

test('a full disk holds everything back, says so once, and heals', async () => {
  const errors: string[] = [];
  const { store, runner } = rig({ ...silentLogger, error: (text) => errors.push(text) });
  store.failures = 2;
  let granted = false;
  const request = runner.allocate(any('c1')).then(() => {
    granted = true;
  });
  await waitFor('two failures', 5_000, () => runner.storeStatus().failures === 2);
  assert.match(runner.explain()[0] ?? '', /can not be stored \(ENOSPC.*repair the disk/);
  assert.deepEqual([granted, errors.length], [false, 1]);
  await waitFor('another attempt', 5_000, () => store.isWriting);
  await store.finishWrite();
  await request;
  assert.deepEqual(runner.storeStatus(), { saves: 1, failures: 2, fault: null });
});

test('freeing resolves once it is on disk', async () => {
  const { store, runner } = rig();
  const granting = runner.allocate(any('c1'));
  await store.finishWrite();
  const { cidr } = await granting;
  let freed = false;
  const freeing = runner.free('c1', cidr.address).then(() => {
    freed = true;
  });
  await turn();
  assert.equal(freed, false);
  await store.finishWrite();
  await freeing;
  assert.deepEqual(store.saved.at(-1)?.owned, []);
  await assert.rejects(runner.free('c1', cidr.address), { code: 'ipam-not-found' });
});

test('a client that is gone gives back what it got', async () => {
  const { machine, store, runner } = rig();
  const gone = new AbortController();
  const request = runner.allocate(any('c1'), { signal: gone.signal });
  gone.abort();
  await store.finishWrite();
  await request;
  assert.deepEqual(machine.list(), []);
  machine.holdBack = true;
  const cancelled = new AbortController();
  const waiting = runner.allocate(any('c2'), { signal: cancelled.signal });
  cancelled.abort();
  const rejected = assert.rejects(waiting, (error) => {
    assert.ok(error instanceof RequestError);
    return error.code === 'ipam-cancelled';
  });
  await store.finishWrite();
  await rejected;
});

test('stored data of another peer is set aside before anything is written', () => {
  const machine = new ScriptedMachine();
  machine.outcome = 'other-peer';
  const store = new SlowStore();
  const clock = { nowMs: () => 0, wallMs: () => 0 };
  const runner = new IpamRunner({ machine, store, clock, log: silentLogger });
  const sender = { unicast: () => true, broadcast: () => {}, neighbours: () => {} };
  runner.start(null, [], sender);
  assert.deepEqual(store.asides, ['other-peer']);
  assert.equal(runner.channel.onGossip(new Uint8Array(), 1 as PeerName, 0), null);
});
