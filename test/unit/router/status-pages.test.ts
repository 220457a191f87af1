/** Status pages against those of real routers, rendered from the reports taken with them. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Report } from '../../../router/api-types.js';
import { statusPage, statusPages } from '../../../router/status-pages.js';
import { emptyReport } from '../../support/fake-control.js';
import { loadVectors } from '../../support/vectors.js';

interface Case {
  readonly title: string;
  readonly report: string;
  readonly pages: Readonly<Record<string, { status: number; body: string }>>;
}

const { cases } = loadVectors<{ cases: Case[] }>('status-pages.json');

/** Order of connections and peers is free; a peer's own lines stay below it. */
function sorted(page: string): string[] {
  const groups: string[][] = [];
  for (const line of page.split('\n')) {
    if (line.startsWith('   ') && groups.length > 0) groups.at(-1)?.push(line);
    else groups.push([line]);
  }
  return groups.map(([head, ...rest]) => [head, ...rest.sort()].join('\n')).sort();
}

/** Our one deliberate difference, and times that the two requests made differ. */
const normal = (page: string): string =>
  page
    .replaceAll('encrypted=truemtu=', 'encrypted=true mtu=')
    .replaceAll(/retry: \d{4}-.*/g, 'retry: TIME ');

for (const { title, report, pages } of cases) {
  test(`pages of: ${title}`, () => {
    const data = JSON.parse(report) as Report;
    for (const [path, expected] of Object.entries(pages)) {
      const render = path === '/status' ? statusPage : statusPages.get(path.slice(8));
      const page = render?.(data);
      if (expected.status === 500) {
        assert.equal(page, null, path);
        continue;
      }
      assert.ok(typeof page === 'string', path);
      if (path === '/status/ipam') {
        assert.equal(page.split('\n')[0], expected.body.split('\n')[0], 'ourselves first');
      }
      if (path === '/status') {
        // What a connection is doing may have changed between the two requests.
        const state = /\((?:\d+ \w+(?:, )?)+\)/;
        const both = [page, expected.body].map((text) =>
          title.includes('host2') ? text.replace(state, '(…)') : text,
        );
        assert.equal(both[0], both[1], path);
      } else assert.deepEqual(sorted(normal(page)), sorted(normal(expected.body)), path);
    }
  });
}

test('what the recorded pages do not show', () => {
  const report = emptyReport();
  const check = { ...report.VersionCheck, Enabled: true, NextCheckAt: '2022-04-06T12:30:00.5Z' };
  const page = (changed: Partial<Report>): string => statusPage({ ...report, ...changed });
  assert.match(
    page({ VersionCheck: { ...check, Success: true } }),
    /Version: unreleased \(up to date; next check at 2022\/04\/06 12:30:00\)/,
  );
  assert.match(
    page({ VersionCheck: { ...check, Success: true, NewVersion: '9.1' } }),
    /\(version 9.1 available - please upgrade!\)/,
  );
  assert.match(page({ VersionCheck: check }), /\(failed to check latest version - see logs; next/);
  const one = { ...report.Router, ProtocolMinVersion: 2 };
  assert.match(page({ Router: one }), /Protocol: weave 2\n/);
  const proxy = page({ Proxy: { Addresses: ['a', 'b'] } });
  assert.ok(proxy.endsWith('\n\n        Service: proxy\n        Address: a, b\n'));
  const plugin = page({ Plugin: { Config: {}, DriverName: 'weave' } });
  assert.ok(plugin.endsWith('\n        Service: plugin (legacy)\n     DriverName: weave\n'));
});
