/** The state file: round trip, damage is set aside, newer schema refused, private mode. */
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { type Logger, silentLogger } from '../../../../core/log.js';
import { StateStore } from '../../../../router/io/state-store.js';

function makeStore(t: TestContext, log: Logger = silentLogger): StateStore {
  const directory = mkdtempSync(join(tmpdir(), 'weave-state-'));
  t.after(() => rmSync(directory, { recursive: true }));
  return new StateStore({ dbPrefix: join(directory, 'deep/weave-') }, { log });
}

function reopen(store: StateStore, log: Logger = silentLogger): StateStore {
  return new StateStore({ dbPrefix: store.path.replace(/state\.json$/, '') }, { log });
}

test('starts empty and gives back what was stored', (t) => {
  const store = makeStore(t);
  assert.deepEqual(store.load().targets, []);
  store.update({ peerName: '82:00:00:00:00:01', targets: ['192.0.2.1', 'host2:6000'] });
  store.update({ started: true });
  const again = reopen(store).load();
  assert.deepEqual(again, {
    peerName: '82:00:00:00:00:01',
    targets: ['192.0.2.1', 'host2:6000'],
    givenTargets: [],
    started: true,
    withoutMasquerade: [],
  });
  assert.equal(statSync(store.path).mode & 0o777, 0o600);
});

test('every damaged form is set aside and told', (t) => {
  const store = makeStore(t);
  store.update({ targets: ['192.0.2.1'] });
  const good = readFileSync(store.path, 'utf8');
  const damaged = [good.slice(0, 40), '', 'null', good.replace('192.0.2.1', '192.0.2.9'), '\0\0\0'];
  for (const [index, text] of damaged.entries()) {
    writeFileSync(store.path, text);
    const errors: string[] = [];
    const log = { ...silentLogger, error: (line: string) => errors.push(line) };
    assert.deepEqual(reopen(store, log).load().targets, []);
    assert.equal(errors.length, 1);
    // One does not overwrite the other.
    assert.equal(readFileSync(`${store.path}.damaged-${index + 1}`, 'utf8'), text);
  }
});

test('a file of a newer version is refused and left alone', (t) => {
  const store = makeStore(t);
  store.update({});
  const newer = readFileSync(store.path, 'utf8').replace('"schema":1', '"schema":2');
  writeFileSync(store.path, newer);
  assert.throws(() => reopen(store).load(), { code: 'state-newer' });
  assert.equal(readFileSync(store.path, 'utf8'), newer);
});
