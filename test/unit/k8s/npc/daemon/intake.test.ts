/** A kind that the API server lacks is told once, and objects that are known outlive it. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { silentLogger } from '../../../../../core/log.js';
import { Cluster } from '../../../../../k8s/npc/cluster.js';
import { NpcCounters } from '../../../../../k8s/npc/daemon/counters.js';
import { Intake } from '../../../../../k8s/npc/daemon/intake.js';

function rig() {
  const told: string[] = [];
  const cluster = new Cluster();
  const note = (text: string): void => {
    told.push(text);
  };
  const intake = new Intake({
    cluster,
    counters: new NpcCounters(),
    log: { ...silentLogger, warn: note, info: note },
    onChange: () => note('changed'),
  });
  const take = (): string[] => told.splice(0);
  return { cluster, intake, sink: intake.sink('clusterPolicies'), take };
}

const policy = {
  metadata: { name: 'p', uid: '1' },
  spec: {
    ...{ tier: 'Admin', priority: 1, subject: { namespaces: {} } },
    ingress: [{ action: 'Deny', from: [{ nodes: {} }] }],
  },
};

test('a kind that is not installed is told once and is no failure', () => {
  const { intake, sink, take } = rig();
  sink.absent?.('404');
  assert.deepEqual(take(), ['The API does not have the kind; the rest is enforced', 'changed']);
  sink.absent?.('404');
  sink.failing('refused');
  sink.failing(null);
  take();
  sink.absent?.('404');
  sink.absent?.('404');
  assert.equal(take().filter((line) => line.includes('does not have')).length, 1);
  assert.deepEqual(intake.failing(), []);
  sink.replaceAll([policy]);
  sink.failing(null);
  assert.ok(take().includes('The API has the kind now'));
});

test('its objects stay when the server lacks it later', () => {
  const { cluster, intake, sink, take } = rig();
  sink.replaceAll([policy]);
  assert.deepEqual(take(), ['An object is used with a correction', 'changed']);
  assert.deepEqual(
    intake.problems().map(({ name, code, skipped }) => [name, code, skipped]),
    [['p', 'corrected', false]],
  );
  sink.absent?.('404');
  assert.equal(cluster.clusterPolicies.size, 1);
  assert.deepEqual(intake.failing(), [{ kind: 'clusterPolicies', reason: '404' }]);
  sink.remove(policy);
  assert.equal(cluster.clusterPolicies.size, 0);
  assert.deepEqual(intake.problems(), []);
});
