/** Own names on disk: many changes are one write, and names of another peer are not ours. */
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { silentLogger } from '../../../../core/log.js';
import { NamesStore, type StoredName } from '../../../../router/io/names-store.js';
import { waitFor } from '../../../support/wait.js';

const WEB: StoredName = {
  ...{ hostname: 'web.weave.local.', containerId: 'blue', type: 'AAAA' as const },
  ...{ data: 'fd00::1', attached: true },
};

function rig(t: TestContext) {
  const folder = mkdtempSync(join(tmpdir(), 'weave-names-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  const state = { names: [WEB] as StoredName[], asked: 0, errors: [] as string[] };
  const open = (localPeer = 7): NamesStore =>
    new NamesStore(
      { dbPrefix: join(folder, 'db-'), localPeer },
      {
        log: { ...silentLogger, error: (text) => state.errors.push(text) },
        names: () => {
          state.asked++;
          return state.names;
        },
      },
    );
  return { folder, path: join(folder, 'db-names.json'), state, open };
}

test('names are written a moment after a change, once for many', async (t) => {
  const { path, state, open } = rig(t);
  const store = open();
  assert.deepEqual(store.load(), []);
  for (let i = 0; i < 100; i++) store.touch();
  await waitFor('write', 2000, () => state.asked > 0);
  assert.equal(state.asked, 1);
  assert.deepEqual(open().load(), [WEB]);
  assert.equal(statSync(path).mode & 0o777, 0o600);
  state.names = [];
  store.touch();
  store.flush();
  assert.deepEqual(open().load(), []);
  store.touch();
  store.remove();
  assert.deepEqual(open().load(), []);
});

test('names of another peer and damaged files are left out, newer ones refused', (t) => {
  const { path, state, open } = rig(t);
  const store = open();
  store.touch();
  store.flush();
  assert.deepEqual(open(8).load(), []);
  const good = readFileSync(path, 'utf8');
  writeFileSync(path, good.replace('"schema":1', '"schema":9'));
  assert.throws(() => open().load(), { code: 'state-newer' });
  writeFileSync(path, good.replace('blue', 'black'));
  assert.deepEqual(open().load(), []);
  assert.equal(state.errors.length, 1);
});

test('a disk that takes nothing is said once, and the names live on', (t) => {
  const { path, state, open } = rig(t);
  writeFileSync(join(path, '..', 'db-names.json.new'), '');
  rmSync(join(path, '..'), { recursive: true });
  writeFileSync(join(path, '..'), 'a file in the place of the folder');
  const store = open();
  for (let i = 0; i < 3; i++) {
    store.touch();
    store.flush();
  }
  assert.deepEqual(state.errors, ['names could not be saved']);
});
