/** Interfaces are deleted together where they come together, and failures stay apart. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LinkRemoval } from '../../../../../router/host/io/link-removal.js';
import { Errno, sysError } from '../../../../../sys/libc.js';

class FakeKernel {
  /** Group of each interface that is there. */
  readonly links = new Map<number, number>();
  readonly deletions: number[][] = [];
  failure: Error | null = null;
  isClosed = false;
  #release: (() => void) | null = null;

  constructor(...indexes: readonly number[]) {
    for (const index of indexes) this.links.set(index, 0);
  }

  setGroup(index: number, group: number): void {
    if (!this.links.has(index)) throw sysError('netlink', '', Errno.ENODEV);
    this.links.set(index, group);
  }

  /** Takes until `finish`. */
  async deleteGroup(group: number): Promise<void> {
    assert.equal(this.#release, null, 'one at a time');
    await new Promise<void>((resolve) => {
      this.#release = resolve;
    });
    if (this.failure !== null) throw this.failure;
    const found = [...this.links].flatMap(([index, its]) => (its === group ? [index] : []));
    this.deletions.push(found);
    for (const index of found) this.links.delete(index);
    if (found.length === 0) throw sysError('netlink', '', Errno.ENODEV);
  }

  close(): void {
    this.isClosed = true;
  }

  async finish(): Promise<void> {
    await new Promise(setImmediate);
    this.#release?.();
    this.#release = null;
    await new Promise(setImmediate);
  }
}

test('what comes during a deletion goes with the next', async () => {
  const kernel = new FakeKernel(1, 2, 3, 4, 9);
  const removal = new LinkRemoval(kernel);
  const first = removal.remove(1);
  await new Promise(setImmediate);
  // 7 has gone by itself.
  const rest = [2, 3, 7, 4, 2].map((index) => removal.remove(index));
  await kernel.finish();
  await first;
  assert.deepEqual(kernel.deletions, [[1]]);
  await kernel.finish();
  await Promise.all(rest);
  assert.deepEqual(kernel.deletions, [[1], [2, 3, 4]]);
  assert.deepEqual([...kernel.links.keys()], [9]);
});

test('a failure is told to those it concerns, and what it left is left', async () => {
  const kernel = new FakeKernel(1, 2);
  const removal = new LinkRemoval(kernel);
  kernel.failure = new Error('busy');
  const first = assert.rejects(removal.remove(1), /busy/);
  await kernel.finish();
  await first;
  kernel.failure = null;
  const second = removal.remove(2);
  const gone = removal.remove(8);
  await kernel.finish();
  await Promise.all([second, gone]);
  assert.deepEqual(kernel.deletions, [[2]]);
  const last = removal.remove(8);
  const closed = removal.close();
  assert.equal(kernel.isClosed, false);
  await kernel.finish();
  await Promise.all([last, closed]);
  assert.equal(kernel.isClosed, true);
});
