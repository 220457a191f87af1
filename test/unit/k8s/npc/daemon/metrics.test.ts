/** The page and the metrics out of one report: the original's names, and limits of labels. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { RequestError } from '../../../../../core/errors.js';
import { NpcMetrics } from '../../../../../k8s/npc/daemon/metrics.js';
import { formatNpcReport, type NpcReport } from '../../../../../k8s/npc/daemon/report.js';
import { answer, type RouteModules } from '../../../../../k8s/npc/daemon/routes.js';

const REPORT: NpcReport = {
  version: '3.0.0',
  node: 'n1',
  phase: 'enforcing',
  settled: true,
  objects: { pods: 5, localPods: 2, namespaces: 3, policies: 4 },
  api: { server: 'https://10.96.0.1', failing: [], failures: 1 },
  rules: {
    fullApplies: 1,
    changeApplies: 7,
    repairs: 2,
    failures: { 'nft-failed': 3 },
    lastError: null,
    delays: { counts: [1, 2, 0, 0, 0, 0, 0, 0, 0, 5], sum: 0.5 },
  },
  problems: [
    {
      kind: 'policies',
      name: 'x/p',
      code: 'selector-invalid',
      reason: 'the operator "Odd" is unknown',
      skipped: true,
    },
  ],
  problemsSinceStart: 6,
  blocked: [
    { protocol: 'tcp', port: '80', count: 11 },
    { protocol: 'udp', port: 'other', count: 2 },
  ],
  linesSuppressed: 9,
  lost: { events: 0, packets: 1, malformed: 0 },
};

const modules: RouteModules = {
  report: () => REPORT,
  metrics: (report) => new NpcMetrics({ user: 0, system: 0 }).text(report),
  explain: (from, to, port) => {
    if (from === 'x/none') throw new RequestError('pod-unknown', 'there is no pod "x/none"');
    return { allowed: true, lines: [`${from} ${to} ${port}`] };
  },
};

test('metrics carry the names of the original and ours, the same at each scrape', async () => {
  const metrics = new NpcMetrics({ user: 0, system: 0 });
  await metrics.text(REPORT);
  const text = await metrics.text(REPORT);
  for (const line of [
    'weavenpc_blocked_connections_total{protocol="tcp",dport="80"} 11',
    'weavenpc_blocked_connections_total{protocol="udp",dport="other"} 2',
    'weavenpc_policy_enforcement_errors 9',
    'weavenpc_enforcing 1',
    'weavenpc_objects{kind="policies"} 4',
    'weavenpc_object_problems{kind="policies",code="selector-invalid"} 1',
    'weavenpc_transactions_total{kind="change"} 7',
    'weavenpc_repairs_total 2',
    'weavenpc_enforcement_delay_seconds_bucket{le="0.025"} 3',
    'weavenpc_enforcement_delay_seconds_bucket{le="+Inf"} 8',
    'weavenpc_enforcement_delay_seconds_count 8',
  ]) {
    assert.ok(text.includes(`\n${line}\n`), line);
  }
  assert.match(text, /^process_resident_memory_bytes \d+/m);
});

test('the page says what is enforced and names objects with problems', () => {
  const page = formatNpcReport(REPORT);
  assert.match(page, /Status: enforcing\n/);
  assert.match(page, /4 policies, 3 namespaces, 5 pods \(2 on this node\)/);
  assert.match(page, /Blocked: 13 \(9 not logged\)/);
  assert.match(page, /policies x\/p skipped: the operator "Odd" is unknown \(selector-invalid\)/);
  const failing = [{ kind: 'pods', reason: 'ECONNREFUSED' }];
  const away = formatNpcReport({
    ...REPORT,
    phase: 'waiting',
    api: { ...REPORT.api, failing },
  });
  assert.match(away, /waiting for the full state/);
  assert.match(away, /FAILING: pods: ECONNREFUSED; the rules stay as they are/);
});

test('the socket answers everything, the metrics address metrics only', async () => {
  const get = (listener: 'socket' | 'metrics', target: string) =>
    answer(listener, 'GET', target, modules);
  assert.equal((await get('socket', '/status')).body, formatNpcReport(REPORT));
  assert.deepEqual(JSON.parse((await get('socket', '/report')).body), REPORT);
  const explained = await get('socket', '/explain?from=x/a&to=x/b&port=80');
  assert.deepEqual(JSON.parse(explained.body), { allowed: true, lines: ['x/a x/b 80'] });
  assert.equal((await get('socket', '/explain?from=x/a')).status, 400);
  const unknown = await get('socket', '/explain?from=x/none&to=x/b');
  assert.deepEqual([unknown.status, unknown.body], [400, 'there is no pod "x/none"\n']);
  assert.equal((await get('metrics', '/metrics')).status, 200);
  for (const target of ['/status', '/report', '/explain?from=x/a&to=x/b', '//']) {
    assert.notEqual((await get('metrics', target)).status, 200, target);
  }
  assert.equal((await answer('socket', 'POST', '/status', modules)).status, 405);
});
