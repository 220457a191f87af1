/**
 * The policy controller on one node, with an API server of the tests: policies take effect and go,
 * foreign changes are repaired, rules outlive the API and the controller, drops are explained.
 *
 *   [a] 10.32.1.1   [b] 10.32.1.2 ── bridge ── weave-npc ── list, watch ── API
 */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { request } from 'node:http';
import { test } from 'node:test';
import { Lab } from '../support/lab.js';
import { becomes, LIMIT_MS, npcStage, policy, settled } from '../support/npc-stage.js';
import { requireNetns, requireTool } from '../support/requirements.js';
import { waitFor } from '../support/wait.js';

const onlyPort80 = policy('web', [
  { from: [{ podSelector: { matchLabels: { app: 'a' } } }], ports: [{ port: 80 }] },
]);

function getOverSocket(socketPath: string, path: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const sent = request({ socketPath, path }, (response) => {
      let body = '';
      response.setEncoding('utf8').on('data', (chunk: string) => {
        body += chunk;
      });
      response.once('end', () => resolve(body));
    });
    sent.once('error', reject).end();
  });
}

test('policies in force, repaired, and kept without API and controller', async (t) => {
  if (!requireNetns(t) || !requireTool(t, 'nft')) return;
  const lab = Lab.forTest(t);
  await lab.explain(t, async () => {
    const stand = await npcStage(lab);
    const { rig, api, weave } = stand;
    t.after(() => api.down());
    api.put('networkpolicies', policy('nothing', []));
    let daemon = stand.start();
    await waitFor('enforcing', LIMIT_MS, settled(stand));
    await becomes(rig, { 80: false, 81: false });
    const log = (): string => readFileSync(daemon.logPath, 'utf8');
    await waitFor('the drop in the log', LIMIT_MS, () =>
      /from 10\.32\.1\.1:\d+ to 10\.32\.1\.2:8[01] blocked by Weave NPC/.test(log()),
    );
    assert.match(log(), /shop\/a/);
    assert.match(log(), /shop\/nothing/);
    const denied = await weave('npc', 'explain', 'shop/a', 'shop/b', '80');
    assert.match(denied, /nothing/);

    api.remove('networkpolicies', policy('nothing', []));
    api.put('networkpolicies', onlyPort80);
    await becomes(rig, { 80: true, 81: false });

    // Somebody flushes everything.
    const flushedMs = performance.now();
    rig.nft(0, 'flush ruleset\n');
    await waitFor('repair', LIMIT_MS, () => log().includes('repaired'), 20);
    t.diagnostic(
      `flush ruleset was repaired after ${Math.round(performance.now() - flushedMs)} ms`,
    );
    await becomes(rig, { 80: true, 81: false });
    const metrics = await getOverSocket(stand.socket, '/metrics');
    assert.match(metrics, /^weavenpc_repairs_total 1$/m);
    assert.match(metrics, /^weavenpc_blocked_connections_total\{[^}]*\} [1-9]/m);

    // An object that can't be used is named; the rest stays enforced.
    api.put('networkpolicies', {
      ...onlyPort80,
      metadata: { ...onlyPort80.metadata, name: 'broken' },
      spec: { podSelector: { matchExpressions: [{ key: 'x', operator: 'Odd' }] } },
    } as never);
    await waitFor('the problem', LIMIT_MS, () => log().includes('shop/broken'));
    assert.match(await weave('status', 'npc'), /shop\/broken/);

    // Without API the rules stay; what changed meanwhile comes with it.
    api.down();
    await waitFor('the absence', LIMIT_MS, () => log().includes('The API fails'));
    await becomes(rig, { 80: true, 81: false });
    api.up();
    api.remove('networkpolicies', onlyPort80);
    await waitFor('open ports', LIMIT_MS, async () => {
      const answer = await weave('--output', 'json', 'npc', 'explain', 'shop/a', 'shop/b', '81');
      return (JSON.parse(answer) as { allowed: boolean }).allowed;
    });
    await waitFor('settled', LIMIT_MS, settled(stand));
    await becomes(rig, { 80: true, 81: true });

    // The rules outlive the controller, and its start opens no window.
    api.put('networkpolicies', onlyPort80);
    await becomes(rig, { 81: false });
    daemon.kill('SIGTERM');
    await daemon.ended;
    await becomes(rig, { 80: true, 81: false });
    api.down();
    daemon = stand.start();
    await waitFor('waiting', LIMIT_MS, async () =>
      (await weave('status', 'npc').catch(() => '')).includes('waiting'),
    );
    await becomes(rig, { 80: true, 81: false });
    api.up();
    await waitFor('enforcing', LIMIT_MS, settled(stand));
    await becomes(rig, { 80: true, 81: false });
    daemon.kill('SIGTERM');
    await daemon.ended;
  });
});
