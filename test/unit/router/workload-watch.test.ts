/** Who counts as dead: by port, by engine, by namespace; and what the allocator is told. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { WorkloadWatch } from '../../../router/workload-watch.js';
import { ScriptedMachine } from '../ipam/io/scripted-machine.js';

const CONTAINER = 'c'.repeat(64);

function rig() {
  const events = new ScriptedMachine();
  const ports = new Set<string>();
  const namespaces = new Set<string>();
  const state = { isRunning: null as boolean | null };
  const watch = new WorkloadWatch({
    events,
    portNames: async () => ports,
    isContainerRunning: () => state.isRunning,
    namespaceExists: (target) => namespaces.has(target),
  });
  const own = (ident: string, watched = true): void => events.own({ ident, watched, cidrs: [] });
  return { events, ports, namespaces, state, watch, own };
}

test('a port goes with its workload', async () => {
  const { events, ports, watch, own, namespaces } = rig();
  own('blue');
  own('unwatched', false);
  namespaces.add('blue');
  watch.note('blue', 'vethwepl1');
  ports.add('vethwepl1');
  await watch.look();
  assert.deepEqual(events.events, []);
  ports.clear();
  await watch.look();
  await watch.look();
  assert.deepEqual(events.events, ['died blue'], 'told once');
  ports.add('vethwepl1');
  await watch.look();
  assert.deepEqual(events.events, ['died blue', 'started blue']);
});

test('without a port the namespace tells, and what can not be told lives', async () => {
  const { events, namespaces, state, watch, own } = rig();
  for (const ident of ['blue', 'gone', CONTAINER]) own(ident);
  namespaces.add('blue');
  await watch.reconcile();
  assert.deepEqual(events.events, [`living blue,${CONTAINER}`]);
  assert.ok(watch.mayBeAlive(CONTAINER));
  state.isRunning = false;
  assert.ok(!watch.mayBeAlive(CONTAINER));
  await watch.look();
  assert.deepEqual(events.events.slice(1), ['died gone', `died ${CONTAINER}`]);
});

test('a container that runs lives without an interface; its engine reports the rest', async () => {
  const { events, ports, state, watch, own } = rig();
  own(CONTAINER);
  watch.note(CONTAINER, 'vethwepl1');
  state.isRunning = true;
  await watch.look();
  assert.deepEqual(events.events, []);
  watch.handleContainer('died', CONTAINER);
  watch.handleContainer('started', CONTAINER);
  watch.handleContainer('destroyed', CONTAINER);
  assert.deepEqual(
    events.events,
    ['died', 'started', 'gone'].map((event) => `${event} ${CONTAINER}`),
  );
  // Known to have had a port, and no engine to ask.
  state.isRunning = null;
  watch.note(CONTAINER, 'vethwepl1');
  await watch.look();
  assert.equal(events.events.at(-1), `died ${CONTAINER}`);
  assert.equal(ports.size, 0);
});

test('a port that outlives its container for a moment does not revive it, a shared one does', async () => {
  const { events, ports, state, watch, own } = rig();
  own(CONTAINER);
  watch.note(CONTAINER, 'vethwepl1');
  ports.add('vethwepl1');
  state.isRunning = false;
  watch.handleContainer('died', CONTAINER);
  await watch.look();
  await watch.look();
  assert.deepEqual(events.events, [`died ${CONTAINER}`]);
  ports.clear();
  await watch.look();
  await watch.look();
  assert.deepEqual(events.events, [`died ${CONTAINER}`], 'the time of its end stays');
  watch.handleContainer('started', CONTAINER);
  watch.handleContainer('died', CONTAINER);
  ports.add('vethwepl1');
  for (let look = 0; look < 3; look += 1) await watch.look();
  assert.deepEqual(events.events.slice(1), [
    ...[`started ${CONTAINER}`, `died ${CONTAINER}`, `started ${CONTAINER}`],
  ]);
});
