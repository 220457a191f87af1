/**
 * The policy controller while pods, labels and policies change many times a second; what is checked
 * is in bench/npc/churn.ts. The long form with its limits on time is `npm run soak -- npc`.
 *
 *   [4 namespaces, 10 pods each] ── bridge ── weave-npc ── list, watch ── API
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Churn } from '../../bench/npc/churn.js';
import { Lab } from '../support/lab.js';
import { requireNetns, requireTool } from '../support/requirements.js';

test('policies under churn: kernel as compiled, nothing broken, nothing let in', async (t) => {
  if (!requireNetns(t) || !requireTool(t, 'nft')) return;
  const lab = Lab.forTest(t);
  await lab.explain(t, async () => {
    const churn = await Churn.start(lab, {
      homes: 4,
      podsPerHome: 10,
      policies: 30,
      changesPerSecond: 20,
      stretchSeconds: 4,
      seconds: 12,
      holds: 20,
      // A machine with other work may follow late; the soak is strict.
      graceMs: 20_000,
      seed: 3,
    });
    const result = await churn.run((line) => t.diagnostic(line));
    t.diagnostic(JSON.stringify({ ...result, late: result.late.length }));
    assert.deepEqual(result.differences, []);
    assert.deepEqual(result.late, []);
    assert.equal(result.failures, 0);
    assert.ok(result.holdsOpened > 0);
    assert.equal(result.holdsOpen, result.holdsOpened);
    assert.ok(result.tries > 0);
  });
});
