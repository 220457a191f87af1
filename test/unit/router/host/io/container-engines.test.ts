/** What engines say about containers, over Docker's API on a socket. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { createContainerEngines } from '../../../../../router/host/io/container-engines.js';
import { FakeEngine } from '../../../../support/fake-engine.js';

const [A, B] = ['a'.repeat(64), 'b'.repeat(64)];

async function rig(t: TestContext) {
  const folder = mkdtempSync(join(tmpdir(), 'engines-'));
  const sockets = ['one', 'two', 'none'].map((name) => join(folder, name));
  const [one, two] = await Promise.all(sockets.slice(0, 2).map((path) => FakeEngine.start(path)));
  t.after(() => {
    one?.close();
    two?.close();
    rmSync(folder, { recursive: true });
  });
  return {
    one: one as FakeEngine,
    two: two as FakeEngine,
    engines: createContainerEngines(sockets),
  };
}

test('containers are found by name and start of id at any engine', async (t) => {
  const { one, two, engines } = await rig(t);
  one.containers.push({ id: A, name: 'blue', pid: 11 });
  two.containers.push({ id: B, name: 'green', pid: 12 });
  assert.deepEqual(await engines.find('green'), { id: B, pid: 12 });
  assert.deepEqual(await engines.find(A.slice(0, 12)), { id: A, pid: 11 });
  assert.equal(await engines.find('red'), null);
});

test('names of running containers, without those of an engine that fails', async (t) => {
  const { one, two, engines } = await rig(t);
  one.containers.push({ id: A, name: 'blue', pid: 11, links: ['/other/alias'] });
  two.containers.push({ id: B, name: 'green', pid: 0 });
  assert.deepEqual([...(await engines.names())], [[A, 'blue']]);
  one.failure = 500;
  assert.deepEqual([...(await engines.names())], []);
});
