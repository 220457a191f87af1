/** Lists, watches, failures and old versions under a fake clock. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  Reflector,
  type ReflectorAction,
  type ReflectorSink,
} from '../../../../k8s/api/reflector.js';

interface Rig {
  readonly reflector: Reflector;
  readonly told: string[];
  nowMs: number;
  /** Moves the clock to the next request and returns it. */
  next(): ReflectorAction | null;
}

function rig(): Rig {
  const told: string[] = [];
  const sink: ReflectorSink = {
    replaceAll: (objects) => told.push(`all ${objects.length}`),
    set: (object) => told.push(`set ${JSON.stringify(object)}`),
    remove: () => told.push('remove'),
    failing: (reason) => told.push(`failing ${reason}`),
    absent: (reason) => told.push(`absent ${reason}`),
  };
  const self: Rig = {
    reflector: new Reflector({ sink, random: () => 0.5 }, 0),
    told,
    nowMs: 0,
    next: () => {
      self.nowMs = Math.max(self.nowMs, self.reflector.nextTimeout()?.atMs ?? self.nowMs);
      return self.reflector.pollAction(self.nowMs);
    },
  };
  return self;
}

const object = (resourceVersion: string) => ({ metadata: { resourceVersion } });
const page = (count: number, continueToken = '') => ({
  items: new Array<object>(count).fill({}),
  resourceVersion: '10',
  continueToken,
});

function watching(): Rig {
  const r = rig();
  r.next();
  r.reflector.handlePage(page(1), r.nowMs);
  assert.deepEqual(r.next(), { kind: 'watch', resourceVersion: '10' });
  r.reflector.handleWatchOpen();
  r.told.length = 0;
  return r;
}

test('all pages are one state, and the watch begins at its version', () => {
  const r = rig();
  assert.deepEqual(r.next(), { kind: 'list', continueToken: '' });
  assert.equal(r.reflector.nextTimeout(), null);
  r.reflector.handlePage(page(500, 'more'), r.nowMs);
  assert.deepEqual(r.told, []);
  assert.equal(r.reflector.synced, false);
  assert.deepEqual(r.next(), { kind: 'list', continueToken: 'more' });
  r.reflector.handlePage(page(2), r.nowMs);
  assert.deepEqual(r.told, ['all 502']);
  assert.equal(r.reflector.synced, true);
  assert.deepEqual(r.next(), { kind: 'watch', resourceVersion: '10' });
});

test('a watch that ends goes on from the last version seen, bookmarks included', () => {
  const r = watching();
  r.reflector.handleEvent('MODIFIED', object('11'));
  r.reflector.handleEvent('DELETED', object('12'));
  r.reflector.handleEvent('BOOKMARK', object('20'));
  assert.deepEqual(r.told, ['set {"metadata":{"resourceVersion":"11"}}', 'remove']);
  r.reflector.handleWatchEnd(r.nowMs);
  assert.deepEqual(r.next(), { kind: 'watch', resourceVersion: '20' });
});

test('a version that is too old leads to a new list at once, without an alarm', () => {
  const r = watching();
  const before = r.nowMs;
  r.reflector.handleFailure('gone', 'too old', r.nowMs);
  assert.deepEqual(r.next(), { kind: 'list', continueToken: '' });
  assert.equal(r.nowMs, before);
  assert.deepEqual(r.told, []);
});

test('an absence of hours keeps the state; tries become rare and its end is told', () => {
  const r = watching();
  r.reflector.handleFailure('other', 'refused', r.nowMs);
  const waits: number[] = [];
  for (let tries = 0; tries < 200; tries++) {
    const before = r.nowMs;
    assert.deepEqual(r.next(), { kind: 'watch', resourceVersion: '10' });
    waits.push(r.nowMs - before);
    r.reflector.handleFailure('other', 'refused', r.nowMs);
  }
  assert.ok((waits[0] as number) <= 200);
  assert.ok(Math.max(...waits) <= 30_000);
  assert.ok((waits.at(-1) as number) >= 15_000);
  assert.ok(r.told.every((line) => line === 'failing refused'));
  r.next();
  r.reflector.handleWatchOpen();
  assert.equal(r.told.at(-1), 'failing null');
});

test('a list that fails half-way starts over with its first page', () => {
  const r = rig();
  r.next();
  r.reflector.handlePage(page(500, 'more'), r.nowMs);
  r.next();
  r.reflector.handleFailure('other', 'timeout', r.nowMs);
  assert.deepEqual(r.next(), { kind: 'list', continueToken: '' });
  r.reflector.handlePage(page(3), r.nowMs);
  assert.equal(r.told.at(-1), 'all 3');
});

test('a kind that the API does not have holds nothing up and is looked for slowly', () => {
  const r = rig();
  for (let round = 1; round <= 3; round++) {
    assert.deepEqual(r.next(), { kind: 'list', continueToken: '' });
    r.reflector.handleFailure('absent', '404', r.nowMs);
    assert.ok(r.reflector.synced);
    assert.equal(r.reflector.nextTimeout()?.atMs, r.nowMs + 45_000);
  }
  r.next();
  r.reflector.handlePage(page(2), r.nowMs);
  r.next();
  r.reflector.handleWatchOpen();
  assert.deepEqual(r.told, ['absent 404', 'absent 404', 'absent 404', 'all 2', 'failing null']);
});
