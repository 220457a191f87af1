/** One router at a time works on a state, and the next one asks before it takes it. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { systemClock } from '../../../../core/clock.js';
import { silentLogger } from '../../../../core/log.js';
import { StateLock } from '../../../../router/io/state-lock.js';
import { TakeOver } from '../../../../router/io/take-over.js';

const modules = { clock: systemClock, log: silentLogger };

interface Place {
  readonly dbPrefix: string;
  readonly socketPath: string;
}

function place(t: TestContext): Place {
  const folder = mkdtempSync(join(tmpdir(), 'weave-take-over-'));
  t.after(() => rmSync(folder, { recursive: true }));
  return { dbPrefix: join(folder, 'state/db'), socketPath: join(folder, 'socket') };
}

/** A running router: has the lock, and answers `status` to everything. */
async function running(t: TestContext, where: Place, status: number): Promise<string[]> {
  const lock = new StateLock(where, modules);
  assert.ok(lock.tryAcquire());
  t.after(() => lock.release());
  const calls: string[] = [];
  const server = createServer((request, response) => {
    calls.push(`${request.method} ${request.url}`);
    response.writeHead(status).end();
    response.once('close', () => {
      if (status === 202) lock.release();
    });
  });
  t.after(() => server.close());
  await new Promise<void>((resolve) => server.listen(where.socketPath, resolve));
  return calls;
}

test("with nobody there, the state is ours at once, and then nobody else's", async (t) => {
  const where = place(t);
  const first = new TakeOver({ ...where, takeOver: true }, modules);
  await first.begin();
  await first.finish();
  const second = new TakeOver({ ...where, takeOver: false }, modules);
  await assert.rejects(second.begin(), { code: 'state-in-use' });
  first.release();
  await second.begin();
  second.release();
});

test('the running router is asked only when all is loaded, and waited for', async (t) => {
  const where = place(t);
  const calls = await running(t, where, 202);
  const next = new TakeOver({ ...where, takeOver: true }, modules);
  await next.begin();
  assert.deepEqual(calls, []);
  await next.finish();
  assert.deepEqual(calls, ['POST /hand-over']);
  assert.equal(new StateLock(where, modules).tryAcquire(), false);
  next.release();
});

test('one that does not know how to hand over is left alone', async (t) => {
  const where = place(t);
  await running(t, where, 404);
  const next = new TakeOver({ ...where, takeOver: true }, modules);
  await next.begin();
  await assert.rejects(next.finish(), { code: 'hand-over-refused' });
});

test('a folder that cannot be made is named', async (t) => {
  const { socketPath } = place(t);
  const options = { dbPrefix: '/dev/null/db', socketPath, takeOver: false };
  const next = new TakeOver(options, modules);
  await assert.rejects(next.begin(), { code: 'state-unwritable', message: /\/dev\/null\/dblock/ });
});
