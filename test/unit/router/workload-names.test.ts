/** Names of workloads and containers: who gets which, and when they go. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { silentLogger } from '../../../core/log.js';
import { type ContainerInfo, containerFqdn } from '../../../router/container-name.js';
import type { ContainerNaming } from '../../../router/dns-options.js';
import { WorkloadNames } from '../../../router/workload-names.js';
import { NamesRig } from '../dns/entries.js';

const PLAIN: ContainerNaming = { label: null, match: /(.*)/, replacement: '$1' };
const ID = 'ab'.repeat(32);

const container = (changed: Partial<ContainerInfo> = {}): ContainerInfo => ({
  ...{ id: ID, isRunning: true, name: 'web', hostname: ID.slice(0, 12), domainname: '' },
  ...{ labels: {}, ...changed },
});

test('a container is called by its full host name, a label, its host name or its name', () => {
  const named = (changed: Partial<ContainerInfo>, naming = PLAIN) =>
    containerFqdn(container(changed), naming, 'weave.local.');
  assert.equal(named({}), 'web.weave.local.');
  assert.equal(named({ hostname: 'h' }), 'h.weave.local.');
  assert.equal(named({ hostname: 'h', domainname: 'foo.bar' }), 'h.foo.bar.');
  assert.equal(named({ hostname: 'h.foo.bar' }), 'h.foo.bar.');
  const label = { ...PLAIN, label: 'app' };
  assert.equal(named({ labels: { app: 'shop' }, hostname: 'h' }, label), 'shop.weave.local.');
  assert.equal(named({ hostname: 'h' }, label), 'h.weave.local.');
  const rewritten = { ...PLAIN, match: /^aws-(\d+)-(.*)$/, replacement: `my-\${2}-$1` };
  assert.equal(named({ name: 'aws-12-foo' }, rewritten), 'my-foo-12.weave.local.');
  assert.equal(named({ name: 'other' }, rewritten), 'other.weave.local.');
  assert.equal(named({ name: 'a'.repeat(53) }), null, 'longer than a host name may be');
  assert.equal(named({ name: 'no name' }), null);
});

function rig() {
  const names = new NamesRig();
  const engine = new Map<string, ContainerInfo>();
  let isRunning: boolean | null = true;
  const workloads = new WorkloadNames(PLAIN, {
    names: names.names,
    inspect: async (target) => {
      if (target === 'broken') throw new Error('the engine is gone');
      return engine.get(target) ?? null;
    },
    isContainerRunning: () => isRunning,
    log: silentLogger,
  });
  const live = (): string[] =>
    names
      .live()
      .map(({ hostname, data }) => `${hostname} ${data}`)
      .sort();
  return {
    ...{ engine, workloads, live, names: names.names },
    setRunning: (value: boolean | null) => {
      isRunning = value;
    },
  };
}

test('names given at attach are completed, and go by address and with the workload', async () => {
  const { workloads, live } = rig();
  await workloads.attached('blue', ['10.1.0.1/24', '10.2.0.1/24'], ['web.', 'x.example.']);
  assert.deepEqual(live(), ['web.weave.local. 10.1.0.1', 'web.weave.local. 10.2.0.1']);
  assert.ok(workloads.isAttached('blue'));
  workloads.detached('blue', ['10.1.0.1/24']);
  assert.deepEqual(live(), ['web.weave.local. 10.2.0.1']);
  await workloads.reconcile([{ target: 'blue', cidrs: ['10.2.0.1/24'] }]);
  assert.equal(live().length, 1);
  await workloads.reconcile([]);
  assert.deepEqual(live(), []);
});

test('a container is filed under its full id, however it was called', async () => {
  const { engine, workloads, live, names } = rig();
  engine.set('web', container()).set(ID, container());
  await workloads.attached('web', ['10.1.0.1/24'], []);
  assert.deepEqual(live(), ['web.weave.local. 10.1.0.1']);
  assert.equal(names.own()[0]?.containerId, ID);
  assert.equal(await workloads.identify('web'), ID);
  workloads.handleContainerEnd(ID);
  assert.deepEqual(live(), []);
  engine.set('web', container({ isRunning: false }));
  assert.equal(await workloads.nameOf('web'), null);
});

test('when an engine is reached, containers get names and dead ones lose them', async () => {
  const { engine, workloads, live, setRunning } = rig();
  const attached = [
    { target: 'broken', cidrs: ['10.1.0.9/24'] },
    { target: 'web', cidrs: ['10.1.0.1/24'] },
  ];
  await workloads.reconcile(attached);
  assert.deepEqual(live(), []);
  engine.set('web', container());
  await workloads.handleListed(attached);
  assert.deepEqual(live(), ['web.weave.local. 10.1.0.1']);
  setRunning(null);
  await workloads.handleListed(attached);
  assert.equal(live().length, 1, 'what can not be told counts as alive');
  setRunning(false);
  await workloads.handleListed(attached);
  assert.deepEqual(live(), []);
});
