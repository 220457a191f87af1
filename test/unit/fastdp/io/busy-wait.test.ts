/** When the data plane's thread looks again and when it sleeps, under a clock of the test's own. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { BusyWait, SPIN_MS } from '../../../../fastdp/io/busy-wait.js';

/** What is waited for comes at given times; a look takes a hundredth of the whole spin. */
class FakePoll {
  nowMs = 100;
  sleeps = 0;
  looks = 0;
  yields = 0;
  nextAtMs = Number.POSITIVE_INFINITY;
  readonly wait = new BusyWait({
    poll: (timeoutMs) => this.#poll(timeoutMs),
    yield: () => {
      this.yields++;
    },
    preciseMs: () => this.nowMs,
  });

  #poll(timeoutMs: number): number {
    if (timeoutMs === 0) this.looks++;
    else this.sleeps++;
    const untilMs = this.nowMs + (timeoutMs === 0 ? SPIN_MS / 100 : timeoutMs);
    if (this.nextAtMs > untilMs) {
      this.nowMs = untilMs;
      return 0;
    }
    this.nowMs = Math.max(this.nowMs, this.nextAtMs);
    return 1;
  }

  /** Waits for something that comes after so long. */
  await(ms: number): void {
    this.nextAtMs = this.nowMs + ms;
    this.wait.wait(500);
  }
}

test('who waits for what comes late sleeps at once', () => {
  const poll = new FakePoll();
  for (let i = 0; i < 10; i++) poll.await(SPIN_MS * 1.5);
  poll.await(1000);
  assert.deepEqual([poll.sleeps, poll.looks, poll.yields], [11, 0, 0]);
});

test('after one short sleep it looks instead, and lets others have the processor', () => {
  const poll = new FakePoll();
  poll.await(SPIN_MS / 2);
  assert.equal(poll.sleeps, 1);
  for (let i = 0; i < 10; i++) poll.await(SPIN_MS / 2);
  assert.equal(poll.sleeps, 1);
  assert.equal(poll.wait.hits, 10);
  assert.ok(poll.yields >= 10 * 40, `${poll.yields} yields`);
});

test('what comes at the very moment costs one look', () => {
  const poll = new FakePoll();
  poll.await(0);
  poll.await(0);
  assert.deepEqual([poll.sleeps, poll.looks, poll.yields], [1, 1, 0]);
});

test('three looks in vain end it, and each of them sleeps afterwards', () => {
  const poll = new FakePoll();
  poll.await(0);
  poll.looks = 0;
  for (let i = 0; i < 3; i++) poll.await(50);
  assert.equal(poll.sleeps, 4);
  const { looks } = poll;
  assert.ok(looks >= 3 * 90);
  for (let i = 0; i < 5; i++) poll.await(50);
  assert.deepEqual([poll.sleeps, poll.looks], [9, looks]);
});

test('a look that finds something forgives those in vain', () => {
  const poll = new FakePoll();
  poll.await(0);
  for (let i = 0; i < 5; i++) {
    poll.await(50);
    poll.await(50);
    poll.await(SPIN_MS / 2);
  }
  assert.equal(poll.wait.hits, 5);
});
