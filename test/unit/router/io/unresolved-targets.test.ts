/** Names that do not resolve at start are looked up again until they do. */
import assert from 'node:assert/strict';
import { mock, test } from 'node:test';
import { silentLogger } from '../../../../core/log.js';
import type { ConnectItem } from '../../../../mesh/peer/dial.js';
import { UnresolvedTargets } from '../../../../router/io/unresolved-targets.js';

/** Lets promises settle without the passing of time. */
async function settle(): Promise<void> {
  for (let i = 0; i < 20; i++) await Promise.resolve();
}

test('retries with growing pauses, warns meanwhile, and stops when all resolved', async (t) => {
  mock.timers.enable({ apis: ['setTimeout'] });
  t.after(() => mock.timers.reset());
  const known = new Map([['host1', '192.0.2.1']]);
  const resolved: ConnectItem[] = [];
  let lookups = 0;
  const targets = new UnresolvedTargets({
    log: silentLogger,
    onResolved: (item) => resolved.push(item),
    resolve: async (text) => {
      lookups += 1;
      const ip = known.get(text);
      if (ip === undefined) throw new Error(`lookup ${text}: no such host`);
      return { text, ip, port: null };
    },
  });
  const now = await targets.add(['host1', 'host2', 'host3']);
  assert.deepEqual(
    now.map(({ ip }) => ip),
    ['192.0.2.1'],
  );
  assert.deepEqual(targets.texts, ['host2', 'host3']);
  assert.match(targets.warnings()[0] as string, /host2: lookup host2: no such host; trying again/);

  targets.forget(['host3']);
  mock.timers.tick(5_000);
  await settle();
  assert.equal(lookups, 4);
  known.set('host2', '192.0.2.2');
  mock.timers.tick(9_999);
  await settle();
  assert.equal(lookups, 4);
  mock.timers.tick(1);
  await settle();
  assert.deepEqual(resolved, [{ text: 'host2', ip: '192.0.2.2', port: null }]);
  assert.deepEqual(targets.texts, []);
  mock.timers.tick(600_000);
  await settle();
  assert.equal(lookups, 5);
});
