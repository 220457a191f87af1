/** Short turns and weight on the processor: asked for by one thread, granted to it alone. */
import assert from 'node:assert/strict';
import { getPriority } from 'node:os';
import { test } from 'node:test';
import { Worker } from 'node:worker_threads';
import { askShortTurns, turnNanoseconds } from '../../../sys/scheduling.js';

const TURN = 150_000;

test('a thread asks for short turns for itself alone', async (t) => {
  const before = turnNanoseconds();
  const module = new URL('../../../sys/scheduling.js', import.meta.url).href;
  const source = `
    const { parentPort } = require('node:worker_threads');
    import(${JSON.stringify(module)}).then(({ askShortTurns, turnNanoseconds }) => {
      parentPort.postMessage([askShortTurns(${TURN}), turnNanoseconds()]);
    });`;
  const worker = new Worker(source, { eval: true });
  const [accepted, turn] = await new Promise<[boolean, number]>((resolve, reject) => {
    worker.once('message', resolve);
    worker.once('error', reject);
  });
  await worker.terminate();
  assert.equal(turnNanoseconds(), before);
  if (!accepted || before === 0) {
    t.skip('this kernel has no turns of a length to ask for (before 6.12)');
    return;
  }
  assert.equal(turn, TURN);
});

test('a turn that no kernel grants is refused or brought into range', () => {
  const before = turnNanoseconds();
  askShortTurns(1);
  assert.ok(turnNanoseconds() === before || turnNanoseconds() >= 100_000);
  askShortTurns(Math.max(before, 100_000));
});

test('a thread is preferred without the others', async () => {
  const before = getPriority();
  const module = new URL('../../../sys/scheduling.js', import.meta.url).href;
  const source = `
    const { parentPort } = require('node:worker_threads');
    const { getPriority } = require('node:os');
    import(${JSON.stringify(module)}).then(({ preferThisThread }) => {
      parentPort.postMessage([preferThisThread(${before + 3}), getPriority()]);
    });`;
  const worker = new Worker(source, { eval: true });
  const answer = await new Promise((resolve, reject) => {
    worker.once('message', resolve);
    worker.once('error', reject);
  });
  await worker.terminate();
  assert.deepEqual(answer, [null, before + 3]);
  assert.equal(getPriority(), before);
});
