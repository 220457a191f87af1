/** When a service manager is told what. */
import assert from 'node:assert/strict';
import { mock, test } from 'node:test';
import { silentLogger } from '../../../../core/log.js';
import { ServiceManager } from '../../../../router/io/service-manager.js';

test('without a service manager nothing happens, and a wrong socket is only a warning', () => {
  const warnings: string[] = [];
  const log = { ...silentLogger, warn: (text: string) => warnings.push(text) };
  const none = new ServiceManager(
    { socketPath: undefined, watchdogMicros: undefined },
    { log, loopAgeMs: () => 0 },
  );
  none.ready('peer');
  none.stopping();
  assert.deepEqual(warnings, []);
  const wrong = new ServiceManager(
    { socketPath: '/nonexistent/notify', watchdogMicros: undefined },
    { log, loopAgeMs: () => 0 },
  );
  wrong.ready('peer');
  assert.equal(warnings.length, 1);
});

test('signs of life come twice a period, and stop when the data plane hangs', (t) => {
  mock.timers.enable({ apis: ['setInterval'] });
  t.after(() => mock.timers.reset());
  let failures = 0;
  let ageMs = 0;
  // Each notification fails on this path and is counted by its warning.
  const log = {
    ...silentLogger,
    warn: () => {
      failures += 1;
    },
  };
  const service = new ServiceManager(
    { socketPath: '/nonexistent/notify', watchdogMicros: '2000000' },
    { log, loopAgeMs: () => ageMs },
  );
  service.ready('peer');
  assert.equal(failures, 1);
  mock.timers.tick(3_000);
  assert.equal(failures, 4);
  ageMs = 60_000;
  mock.timers.tick(10_000);
  assert.equal(failures, 4);
  service.stopping();
  assert.equal(failures, 5);
});
