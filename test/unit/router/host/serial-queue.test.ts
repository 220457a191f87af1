/** Jobs keep their order, survive failures of others, and are limited in number. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SerialQueue } from '../../../../router/host/serial-queue.js';

test('one job at a time, in order, whatever fails', async () => {
  const queue = new SerialQueue(10);
  const seen: string[] = [];
  const job = (name: string, fails = false) =>
    queue.run(async () => {
      seen.push(`${name} starts`);
      await Promise.resolve();
      seen.push(`${name} ends`);
      if (fails) throw new Error(name);
      return name;
    });
  const [a, b, c] = await Promise.allSettled([job('a'), job('b', true), job('c')]);
  assert.deepEqual([a?.status, b?.status, c?.status], ['fulfilled', 'rejected', 'fulfilled']);
  const order = ['a starts', 'a ends', 'b starts', 'b ends', 'c starts', 'c ends'];
  assert.deepEqual(seen, order);
});

test('beyond the limit callers are refused, and later served again', async () => {
  const queue = new SerialQueue(2);
  const first = [queue.run(async () => 1), queue.run(async () => 2)];
  const refused = (): Promise<number> => queue.run(async () => 3);
  await assert.rejects(refused(), (error: { code: string }) => error.code === 'host-busy');
  assert.deepEqual(await Promise.all(first), [1, 2]);
  assert.equal(await refused(), 3);
});
