/** The enforcer under a fake clock: order of transactions, repairs, retries, start. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Enforcer, type EnforcerAction } from '../../../../../k8s/npc/daemon/enforcer.js';

interface Rig {
  readonly enforcer: Enforcer<number>;
  /** What the cluster wants, as a number. */
  wanted: number;
  readonly told: string[];
  nowMs: number;
  /** Moves the clock to the next wake-up and returns what is to be done there. */
  next(): EnforcerAction | null;
}

function rig(): Rig {
  const told: string[] = [];
  const self: Rig = {
    enforcer: new Enforcer<number>({
      rules: {
        start: () => -1,
        compile: () => self.wanted,
        renderAll: (state) => `all ${state}`,
        renderChange: (before, after) => (before === after ? '' : `${before} to ${after}`),
      },
      observer: {
        applied: ({ full, waitedMs }) => told.push(`${full ? 'full' : 'change'} ${waitedMs}`),
        failed: ({ code }) => told.push(`failed ${code}`),
        repaired: ({ missing, sinceMs }) => told.push(`repaired ${missing} ${sinceMs}`),
      },
    }),
    wanted: 1,
    told,
    nowMs: 1000,
    next: () => {
      const due = self.enforcer.nextTimeout();
      if (due === null) return null;
      self.nowMs = Math.max(self.nowMs, due.atMs);
      return self.enforcer.pollAction(self.nowMs);
    },
  };
  return self;
}

function enforcing(): Rig {
  const r = rig();
  r.enforcer.handleFound(true, r.nowMs);
  r.enforcer.handleSynced(r.nowMs);
  assert.deepEqual(r.next(), { kind: 'apply', script: 'all 1' });
  r.enforcer.handleApplied(r.nowMs);
  r.told.length = 0;
  return r;
}

test('tables of an earlier run stay until the full state is known', () => {
  const r = rig();
  r.enforcer.handleFound(true, r.nowMs);
  r.enforcer.handleChange(r.nowMs);
  assert.equal(r.enforcer.nextTimeout()?.reason, 'check');
  r.enforcer.handleSynced(r.nowMs);
  assert.deepEqual(r.next(), { kind: 'apply', script: 'all 1' });
});

test('without tables the start rules come first, in full', () => {
  const r = rig();
  r.enforcer.handleFound(false, r.nowMs);
  assert.deepEqual(r.next(), { kind: 'apply', script: 'all -1' });
  r.enforcer.handleApplied(r.nowMs);
  r.enforcer.handleSynced(r.nowMs);
  assert.deepEqual(r.next(), { kind: 'apply', script: '-1 to 1' });
});

test('start rules that somebody removes before the full state is known come back', () => {
  const r = rig();
  r.enforcer.handleFound(true, r.nowMs);
  r.enforcer.handleTouched(r.nowMs);
  assert.deepEqual(r.next(), { kind: 'read' });
  r.enforcer.handleRead('missing', r.nowMs);
  assert.deepEqual(r.next(), { kind: 'apply', script: 'all -1' });
});

test('a stream of changes delays none of them', () => {
  const r = enforcing();
  r.enforcer.handleChange(2000);
  for (let ms = 2000; ms < 2003; ms++) {
    r.wanted += 1;
    r.enforcer.handleChange(ms);
    assert.equal(r.enforcer.pollAction(ms), null);
  }
  assert.deepEqual(r.enforcer.pollAction(2003), { kind: 'apply', script: '1 to 4' });
  // What changes while a transaction is in flight goes into the next one.
  r.wanted = 9;
  r.enforcer.handleChange(2010);
  assert.equal(r.enforcer.nextTimeout(), null);
  r.enforcer.handleApplied(2020);
  assert.equal(r.enforcer.isSettled, false);
  assert.deepEqual(r.enforcer.pollAction(2020), { kind: 'apply', script: '4 to 9' });
  r.enforcer.handleApplied(2030);
  assert.deepEqual(r.told, ['change 20', 'change 20']);
  assert.equal(r.enforcer.isSettled, true);
});

test('a change that alters no rule runs nothing', () => {
  const r = enforcing();
  r.enforcer.handleChange(2000);
  assert.equal(r.enforcer.pollAction(2003), null);
  assert.equal(r.enforcer.isSettled, true);
});

test('a refused transaction is followed by a full one, later each time', () => {
  const r = enforcing();
  r.wanted = 2;
  r.enforcer.handleChange(r.nowMs);
  const starts: number[] = [];
  for (let attempt = 0; attempt < 12; attempt++) {
    const action = r.next();
    assert.equal(action?.kind === 'apply' && action.script, attempt === 0 ? '1 to 2' : 'all 2');
    starts.push(r.nowMs);
    r.enforcer.handleApplyFailed(new Error('no'), r.nowMs);
  }
  const waits = starts.slice(1).map((at, index) => at - (starts[index] as number));
  assert.deepEqual(waits.slice(0, 4), [50, 100, 200, 400]);
  assert.equal(waits.at(-1), 10_000);
  assert.equal(r.told.length, 12);
  r.next();
  r.enforcer.handleApplied(r.nowMs);
  r.wanted = 3;
  r.enforcer.handleChange(r.nowMs);
  assert.deepEqual(r.next(), { kind: 'apply', script: '2 to 3' });
});

test('foreign work is read back, and repaired in full only if something differs', () => {
  const r = enforcing();
  r.nowMs = 5000;
  r.enforcer.handleTouched(5000);
  assert.deepEqual(r.next(), { kind: 'read' });
  r.enforcer.handleRead('equal', 5010);
  assert.equal(r.enforcer.isSettled, true);
  r.nowMs = 6000;
  r.enforcer.handleTouched(6000);
  assert.deepEqual(r.next(), { kind: 'read' });
  r.enforcer.handleRead('different', 6010);
  assert.deepEqual(r.next(), { kind: 'apply', script: 'all 1' });
  r.enforcer.handleApplied(6030);
  assert.equal(r.told.at(-1), 'repaired false 30');
});

test('a fight with another program is slowed down', () => {
  const r = enforcing();
  r.nowMs = 5000;
  const repairs: number[] = [];
  for (let round = 0; round < 4; round++) {
    r.enforcer.handleTouched(r.nowMs);
    assert.deepEqual(r.next(), { kind: 'read' });
    r.enforcer.handleRead('missing', r.nowMs);
    assert.deepEqual(r.next(), { kind: 'apply', script: 'all 1' });
    repairs.push(r.nowMs);
    r.enforcer.handleApplied(r.nowMs);
  }
  for (const [index, at] of repairs.slice(1).entries()) {
    assert.ok(at - (repairs[index] as number) >= 200, repairs.join(' '));
  }
});

test('a repair that fails is still counted once it succeeds', () => {
  const r = enforcing();
  r.enforcer.handleTouched(r.nowMs);
  r.next();
  r.enforcer.handleRead('missing', r.nowMs);
  r.next();
  r.enforcer.handleApplyFailed(new Error('no'), r.nowMs);
  r.next();
  r.enforcer.handleApplied(r.nowMs);
  assert.deepEqual(r.told.map((line) => line.split(' ')[0]).slice(-3), [
    'failed',
    'full',
    'repaired',
  ]);
});

test('the tables are checked now and then without any notice', () => {
  const r = enforcing();
  const before = r.nowMs;
  assert.deepEqual(r.next(), { kind: 'read' });
  assert.ok(r.nowMs - before <= 30_000);
  r.enforcer.handleReadFailed(new Error('no'), r.nowMs);
  assert.deepEqual(r.next(), { kind: 'read' });
});
