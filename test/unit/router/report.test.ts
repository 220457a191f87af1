/** The report from pictures of mesh and data plane, its JSON, and the metrics made from it. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseMac } from '../../../core/mac.js';
import { type PeerName, parsePeerName } from '../../../core/peer-name.js';
import type { ConnectionStatus } from '../../../mesh/status.js';
import type { Report } from '../../../router/api-types.js';
import { RouterMetrics } from '../../../router/metrics.js';
import { buildReport } from '../../../router/report.js';
import { reportJson } from '../../../router/report-json.js';
import { statusPage, statusPages } from '../../../router/status-pages.js';
import { loadVectors } from '../../support/vectors.js';
import { connection, dataPlane, input, mesh, metrics, one, two } from './report-rig.js';

const line = (changed: Partial<ConnectionStatus>, encryption = true): string | undefined => {
  const status = mesh({ connections: [connection(changed)], encryption });
  return statusPages.get('connections')?.(buildReport(input({ mesh: status }))) ?? undefined;
};

test('connections print in every state', () => {
  const dead = { peer: null, overlay: null, overlayReason: null, attributes: {} };
  const error = { code: 'refused', text: 'connection refused' };
  const at = Date.UTC(2026, 10, 22, 20, 31, 6);
  assert.equal(
    line({}),
    '-> 198.51.100.12:6783    established encrypted   sleeve 82:00:00:00:00:02(host2) ' +
      'encrypted=true mtu=1414\n',
  );
  assert.equal(
    line({ attributes: { mtu: 1438 }, outbound: false }),
    '<- 198.51.100.12:6783    established unencrypted sleeve 82:00:00:00:00:02(host2) mtu=1438\n',
  );
  assert.match(line({ attributes: {} }, false) ?? '', /established sleeve 82:.*\(host2\) \n$/);
  assert.match(
    line({ state: 'pending', attributes: {} }) ?? '',
    / pending {5}encrypted {3}sleeve /,
  );
  assert.match(line({ state: 'pending', overlay: null, attributes: {} }) ?? '', / none {3}82:/);
  assert.match(line({ ...dead, state: 'connecting' }) ?? '', / connecting {3}\n$/);
  assert.match(
    line({ ...dead, state: 'retrying', lastError: error }) ?? '',
    / retrying {4}connection refused \n$/,
  );
  assert.match(
    line({ ...dead, state: 'failed', lastError: error, retryAt: at }) ?? '',
    /connection refused, retry: 2026-11-22 20:31:06.000 \+0000 UTC \n$/,
  );
  assert.match(
    line({ ...dead, state: 'failed', lastError: error, retryAt: 'never' }) ?? '',
    /, retry: never \n$/,
  );
});

test('the report has the original’s keys in their order', () => {
  const vectors = loadVectors<{ cases: { report: string }[] }>('status-pages.json');
  const original = JSON.parse(vectors.cases[4]?.report ?? '') as Report;
  const ours = JSON.parse(reportJson(buildReport(input()))) as Report;
  const keys = (value: unknown): string[] => Object.keys(value as object);
  const known = keys(original).filter((key) => key !== 'IPAM' && key !== 'DNS');
  assert.deepEqual(keys(ours), [...known, 'WeaveNet']);
  assert.deepEqual(keys(ours.Router), keys(original.Router));
  for (const list of [
    'Peers',
    'Connections',
    'MACs',
    'UnicastRoutes',
    'BroadcastRoutes',
  ] as const) {
    assert.deepEqual(keys(ours.Router[list]?.[0]), keys(original.Router[list]?.[0]), list);
  }
});

test('numbers beyond a double stay exact, empty lists are null but for one', () => {
  const text = reportJson(buildReport(input({ mesh: mesh({ targets: [] }) })), 4);
  assert.ok(text.includes('"UID": 18446744073709551615'));
  assert.ok(text.includes('\n        "Targets": null,\n'));
  assert.ok(text.includes('\n        "TrustedSubnets": [],\n'));
  assert.ok(text.includes('"LastSeen": "2026-11-22T20:31:04.466Z"'));
  assert.ok(text.includes('"Via": "00:00:00:00:00:00"'));
  assert.ok(!text.includes('"IPAM"'));
  assert.equal(
    reportJson({ a: '<&>', b: undefined, c: [] }),
    '{"a":"\\u003c\\u0026\\u003e","c":null}',
  );
});

test('recorded reports print again byte for byte', () => {
  const { cases } = loadVectors<{ cases: { title: string; report: string }[] }>(
    'status-pages.json',
  );
  for (const { title, report } of cases) {
    const exact = report.replaceAll(/: (\d{16,})(?=,?\n)/g, ': "u64 $1"');
    const parsed: unknown = JSON.parse(exact, (_key, value: unknown) => {
      const big = typeof value === 'string' ? /^u64 (\d+)$/.exec(value)?.[1] : undefined;
      return big === undefined ? value : BigInt(big);
    });
    const subnets = (parsed as Report).Router.TrustedSubnets ?? [];
    const expected =
      subnets.length > 0
        ? report
        : report.replace('"TrustedSubnets": []', '"TrustedSubnets": null');
    assert.equal(reportJson(parsed, 4), expected, title);
  }
});

test('processor time counts from the start of the process, not of the first scrape', async () => {
  const exporter = new RouterMetrics({
    eventLoopDelay: { read: () => ({ p50: 0, p99: 0, max: 0 }) },
    processMetrics: { usedBefore: { user: 7e9, system: 5e9 } },
  });
  const text = await exporter.text(buildReport(input({})));
  assert.match(text, /^process_cpu_user_seconds_total 70\d\d/m);
  assert.match(text, /^process_cpu_system_seconds_total 50\d\d/m);
  assert.match(text, /^process_cpu_seconds_total 120\d\d/m);
});

test('metrics keep the original’s names and add ours', async () => {
  const failed = connection({ state: 'failed', overlay: null, attributes: {}, peer: null });
  const text = await metrics({ mesh: mesh({ connections: [connection({}), failed] }) });
  for (const expected of [
    'weave_connections{encryption="yes",state="established",type="sleeve"} 1',
    'weave_connections{encryption="",state="established",type="sleeve"} 0',
    'weave_connections{encryption="",state="failed",type="unknown"} 1',
    'weave_connections{encryption="yes",state="failed",type="unknown"} 0',
    'weave_connection_terminations_total 3',
    'weave_frames_total{peer="82:00:00:00:00:02",direction="sent"} 10',
    'weave_bytes_total{peer="82:00:00:00:00:02",direction="received"} 2000',
    'weave_datagrams_total{peer="82:00:00:00:00:02",direction="sent"} 5',
    'weave_drops_total{reason="no-route"} 4',
    'weave_seals_total 13',
    'weave_opens_total 14',
    'weave_key_changes_total 15',
    'weave_handshakes_total{result="accepted"} 2',
    'weave_mesh_events_total{event="gossip-sent"} 7',
    'weave_api_rejections_total{reason="foreign-origin"} 1',
    'weave_event_loop_delay_seconds{quantile="0.99"} 0.002',
  ]) {
    assert.ok(text.split('\n').includes(expected), `${expected}\nis not in\n${text}`);
  }
  // Alerts fire on these at 0, so they must be absent while the parts are off.
  assert.ok(!/weave_(flows|ips|max_ips|ipam|dns)/.test(text));
});

test('a data plane that does not answer leaves the rest', async () => {
  const report = buildReport(input({ dataPlane: null }));
  assert.equal(report.WeaveNet?.DataPlane, null);
  assert.deepEqual(report.Router.MACs, []);
  assert.ok((await metrics({ dataPlane: null })).includes('weave_connections{'));
  const unknown: PeerName = parsePeerName('::9');
  const stray = {
    ...dataPlane,
    macs: [{ mac: parseMac('96:5b:87:6b:08:a4'), peer: unknown, ageMs: 0 }],
  };
  assert.equal(buildReport(input({ dataPlane: stray })).Router.MACs?.[0]?.NickName, '');
});

test('what peers call themselves cannot drive a terminal or forge a line', () => {
  const evil = 'h\x1b[2J\x9b1m\n82:00:00:00:00:09(admin)\u202e';
  const status = mesh({
    nickname: evil,
    peers: [
      {
        name: two,
        nickname: evil,
        uid: 1n,
        version: 1n,
        shortId: null,
        connections: [
          { peer: one, nickname: evil, address: evil, outbound: true, established: false },
        ],
      },
    ],
    connections: [
      connection({ peer: { name: two, nickname: evil } }),
      connection({ state: 'failed', lastError: { code: 'c', text: evil }, overlayReason: evil }),
    ],
    warnings: [evil],
    targets: [evil],
  });
  const report = buildReport(input({ mesh: status }));
  const pages = [...statusPages.values()].map((render) => render(report) ?? '');
  const texts = [statusPage(report), ...pages, reportJson(report, 4)].join('');
  assert.ok(texts.includes('\\u001b[2J'));
  // Line feeds of the pages themselves are all that is left.
  assert.doesNotMatch(texts.replaceAll('\n', ''), /[\p{Cc}\u202e]/u);
  assert.equal((pages[2] as string).split('\n').length, 3, 'a peer, its connection, and the end');
});
