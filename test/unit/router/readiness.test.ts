/** What makes a router ready, and what makes it dead. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parsePeerName } from '../../../core/peer-name.js';
import type { ConnectionState, ConnectionStatus, PeerStatus } from '../../../mesh/status.js';
import { Readiness } from '../../../router/readiness.js';

const SELF = parsePeerName('7a:00:00:00:00:01');
const OTHER = parsePeerName('7a:00:00:00:00:02');

interface Scene {
  started?: boolean;
  peers?: readonly number[];
  states?: readonly ConnectionState[];
  loopAgeMs?: number;
  comesThrough?: boolean;
}

function readiness(scene: Scene): { readonly subject: Readiness; readonly probes: () => number } {
  let probes = 0;
  const peers = (scene.peers ?? [SELF]).map((name) => ({ name }) as unknown as PeerStatus);
  const connections = (scene.states ?? []).map((state) => ({ state }) as ConnectionStatus);
  const subject = new Readiness({
    started: () => scene.started ?? true,
    mesh: () => ({ name: SELF, peers, connections }),
    loopAgeMs: () => scene.loopAgeMs ?? 3,
    probeDevice: async () => {
      probes += 1;
      return scene.comesThrough ?? true;
    },
  });
  return { subject, probes: () => probes };
}

const readyOf = async (scene: Scene): Promise<boolean> =>
  (await readiness(scene).subject.ready()).ok;

test('with peers, only an established connection makes ready', async () => {
  const peers = [SELF, OTHER];
  assert.equal(await readyOf({ peers, states: ['established'] }), true);
  assert.equal(await readyOf({ peers, states: ['pending'] }), false);
  assert.equal(await readyOf({ peers, states: ['failed', 'established'] }), true);
  assert.equal(await readyOf({ peers, states: [] }), false);
  // Nothing is known of it yet, but an answer is on its way.
  for (const state of ['waiting', 'connecting', 'pending'] as const) {
    assert.equal(await readyOf({ states: [state] }), false, state);
  }
});

test('alone, a frame through the device decides; targets that fail do not count', async () => {
  assert.equal(await readyOf({}), true);
  assert.equal(await readyOf({ comesThrough: false }), false);
  assert.equal(await readyOf({ states: ['failed', 'retrying'] }), true);
  const { subject, probes } = readiness({});
  await Promise.all([subject.ready(), subject.ready(), subject.ready()]);
  assert.equal(probes(), 1);
  await subject.ready();
  assert.equal(probes(), 2);
});

test('a start that is not over and a data plane that hangs', async () => {
  assert.equal(await readyOf({ started: false, states: ['established'] }), false);
  assert.equal(await readyOf({ loopAgeMs: 11_000, states: ['established'] }), false);
  assert.equal(readiness({ started: false }).subject.live().ok, true);
  const hung = readiness({ loopAgeMs: 12_000 }).subject.live();
  assert.deepEqual(hung, { ok: false, text: 'the data plane does not move for 12 s' });
  assert.equal(readiness({ loopAgeMs: Number.POSITIVE_INFINITY }).subject.live().ok, false);
});
