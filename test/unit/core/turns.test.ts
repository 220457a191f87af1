/** Work for one key, one after another. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { Turns } from '../../../core/turns.js';

describe('turns', () => {
  it('let work for one key wait for earlier work, and other keys pass', async () => {
    const turns = new Turns();
    const order: string[] = [];
    const work = (name: string, ms: number) => async (): Promise<string> => {
      order.push(`${name} starts`);
      await sleep(ms);
      order.push(`${name} ends`);
      return name;
    };
    const results = await Promise.all([
      turns.run('a', work('first', 30)),
      turns.run('a', work('second', 0)),
      turns.run('b', work('other', 0)),
    ]);
    assert.deepEqual(results, ['first', 'second', 'other']);
    assert.ok(order.indexOf('first ends') < order.indexOf('second starts'));
    assert.ok(order.indexOf('other ends') < order.indexOf('first ends'));
  });

  it('go on after a failure, which only its caller sees', async () => {
    const turns = new Turns();
    const failed = turns.run('a', () => Promise.reject(new Error('no')));
    const next = turns.run('a', () => Promise.resolve('yes'));
    await assert.rejects(failed, /no/);
    assert.equal(await next, 'yes');
  });
});
