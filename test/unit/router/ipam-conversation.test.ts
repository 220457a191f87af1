/** The allocator's part of a recorded conversation with the original, held with a real allocator. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { InjectOptions } from 'fastify';
import { systemClock } from '../../../core/clock.js';
import { parseCidr } from '../../../core/ip.js';
import { silentLogger } from '../../../core/log.js';
import { parsePeerName } from '../../../core/peer-name.js';
import { Allocator } from '../../../ipam/allocator.js';
import { IpamRunner } from '../../../ipam/io/runner.js';
import { ApiCounters } from '../../../router/api/counters.js';
import { controlRoutes } from '../../../router/api/routes.js';
import { buildApp } from '../../../router/api/server.js';
import { RunningIpam } from '../../../router/ipam-control.js';
import { WorkloadWatch } from '../../../router/workload-watch.js';
import { systemRandom } from '../../../sys/random.js';
import { FakeControl } from '../../support/fake-control.js';

import { loadVectors } from '../../support/vectors.js';

interface Call {
  readonly method: NonNullable<InjectOptions['method']>;
  readonly path: string;
  readonly status: number;
  readonly body: string;
}

/** Alone in the mesh, like the router that was recorded. */
function lonelyRunner(): IpamRunner {
  const self = { name: parsePeerName('82:00:00:00:00:01'), nickname: 'host1' };
  const range = parseCidr('10.32.0.0/12');
  const machine = new Allocator(
    {
      ...{ localPeer: self.name, nickname: self.nickname, uid: 1n },
      ...{ universe: range, defaultSubnet: range, reclaimAfterMs: null },
      init: { mode: 'consensus', peers: null },
    },
    {
      random: systemRandom,
      mesh: {
        peers: () => [self],
        isReachable: (peer) => peer === self.name,
        targetCount: () => 0,
        isCloned: () => false,
      },
    },
  );
  const store = { load: () => null, save: async () => {}, setAside: () => {} };
  const runner = new IpamRunner({ machine, store, clock: systemClock, log: silentLogger });
  runner.start(null, [], { unicast: () => false, broadcast: () => {}, neighbours: () => {} });
  return runner;
}

test('the recorded conversation about addresses', async (t) => {
  const control = new FakeControl();
  const runner = lonelyRunner();
  t.after(() => runner.stop());
  const watch = new WorkloadWatch({
    events: runner,
    portNames: async () => new Set(),
    isContainerRunning: () => null,
    namespaceExists: () => false,
  });
  const defaultSubnet = parseCidr('10.32.0.0/12');
  const names = async () => new Map();
  const engines = { description: 'none', names, find: async () => null };
  const ipam = new RunningIpam({ defaultSubnet, keepsSources: false, runner, watch }, engines);
  const routes = controlRoutes(Object.assign(control, { ipam }));
  const app = buildApp(routes, false, { counters: new ApiCounters(), log: silentLogger });
  const { calls } = loadVectors<{ calls: Call[] }>('http-api-calls.json');
  const ours = calls.filter(({ path }) => /^\/(ip|ipinfo|ring|peer)(\/|$)/.test(path));
  assert.ok(ours.length >= 29);
  for (const { method, path, status, body } of ours) {
    // Of two equal calls the recording has the second: the first one freed what was there.
    if (method === 'DELETE' && /not found for|no addresses for/.test(body)) {
      assert.equal((await app.inject({ method, url: path })).statusCode, 204, path);
    }
    const answer = await app.inject({ method, url: path });
    assert.deepEqual([answer.statusCode, answer.body], [status, body], `${method} ${path}`);
  }
});
