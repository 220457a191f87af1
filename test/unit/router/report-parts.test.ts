/** What allocator and name service add to the report, its warnings and the metrics. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseCidr, parseIpv4 } from '../../../core/ip.js';
import { parsePeerName } from '../../../core/peer-name.js';
import { DnsCounters } from '../../../dns/dns-counters.js';
import type { IpamStatus } from '../../../ipam/interfaces.js';
import type { Report, ReportDns } from '../../../router/api-types.js';
import { buildReport } from '../../../router/report.js';
import type { DnsReportInput } from '../../../router/report-dns.js';
import { ipamWarnings } from '../../../router/report-ipam.js';
import { loadVectors } from '../../support/vectors.js';
import { input, metrics, one } from './report-rig.js';

/** The name service as it must have been to be reported like this. */
function dnsInput(dns: ReportDns): DnsReportInput {
  const counters = new DnsCounters();
  counters.queryCount('A', 'NOERROR').count += 3;
  counters.observe(0.2);
  counters.observe(7000);
  counters.drop('flood');
  return {
    domain: dns.Domain,
    ttlSeconds: dns.TTL,
    address: dns.Address,
    entries: (dns.Entries ?? []).map((entry) => ({
      hostname: entry.Hostname,
      origin: parsePeerName(entry.Origin),
      containerId: entry.ContainerID,
      type: 'A',
      data: entry.Address,
      version: entry.Version,
      tombstone: entry.Tombstone,
    })),
    tombstones: 1,
    counters: { 'names-corrected': 2 },
    server: {
      upstreams: dns.Upstream ?? [],
      addresses: ['192.0.2.1'],
      failures: [],
      loops: [],
      counts: counters.read(),
    },
  };
}

test('metrics of allocator and names exist while those run', async () => {
  const { cases } = loadVectors<{ cases: { title: string; report: string }[] }>(
    'status-pages.json',
  );
  const killed = cases.find(({ title }) => title.includes('killed'));
  const { IPAM, DNS } = JSON.parse(killed?.report ?? '') as Report;
  assert.ok(IPAM !== undefined && DNS !== undefined);
  const text = await metrics({ dns: dnsInput(DNS) }, { IPAM });
  for (const expected of [
    'weave_ips{state="local-used"} 2',
    'weave_max_ips 1048576',
    'weave_ipam_unreachable_count 2',
    'weave_ipam_unreachable_percentage 50',
    'weave_ipam_pending_allocates 0',
    'weave_ipam_pending_claims 0',
    'weave_dns_entries 2',
    'weave_dns_tombstones 1',
    'weave_dns_queries_total{type="A",rcode="NOERROR"} 3',
    'weave_dns_drops_total{reason="flood"} 1',
    'weave_dns_upstream_failures_total{reason="timeout"} 0',
    'weave_dns_events_total{event="names-corrected"} 2',
    '# TYPE weave_dns_query_duration_seconds histogram',
    'weave_dns_query_duration_seconds_bucket{le="0.0001"} 0',
    'weave_dns_query_duration_seconds_bucket{le="0.00025"} 1',
    'weave_dns_query_duration_seconds_bucket{le="5"} 1',
    'weave_dns_query_duration_seconds_bucket{le="+Inf"} 2',
    'weave_dns_query_duration_seconds_count 2',
  ]) {
    assert.ok(text.split('\n').includes(expected), `${expected}\nis not in\n${text}`);
  }
});

const ipamStatus: IpamStatus = {
  summary: 'waiting for IP(s) to become available',
  universe: parseCidr('10.32.0.0/24'),
  universeAddresses: 256,
  defaultSubnet: parseCidr('10.32.0.0/25'),
  activeAddresses: 3,
  vote: null,
  entries: [
    {
      ...{ token: parseIpv4('10.32.0.0'), size: 128, peer: one, nickname: 'host\u00071' },
      ...{ known: true, version: 4 },
    },
  ],
  owners: [
    {
      ...{ peer: one, nickname: 'host1', addresses: 128, free: 125 },
      ...{ reachable: false, unreachableMs: 90_400 },
    },
  ],
  pendingClaims: [{ ident: 'c3', cidr: parseCidr('10.32.0.9/24') }],
  pendingAllocates: [{ ident: 'c1', subnet: parseCidr('10.32.0.0/25') }],
  conflicts: [
    {
      ...{ start: parseIpv4('10.32.0.128'), end: parseIpv4('10.32.0.160') },
      ...{ ours: one, theirs: one, sinceMs: 5_000, reason: 'two peers own it' },
    },
  ],
  stranded: [{ ident: 'c4', cidr: parseCidr('10.32.0.200/24'), owner: one, duplicate: true }],
  held: 'isolated',
};

test('the allocator’s part of report, warnings and metrics', async () => {
  const store = { saves: 7, failures: 2, fault: 'disk full' };
  const ipam = { status: ipamStatus, store, counters: { grants: 5 } };
  const { IPAM, WeaveNet } = buildReport(input({ ipam }));
  assert.deepEqual(IPAM, {
    Paxos: null,
    Range: '10.32.0.0/24',
    RangeNumIPs: 256,
    ActiveIPs: 3,
    DefaultSubnet: '10.32.0.0/25',
    Entries: [
      {
        ...{ Token: '10.32.0.0', Size: 128, Peer: '82:00:00:00:00:01', Nickname: 'host\\u00071' },
        ...{ IsKnownPeer: true, Version: 4 },
      },
    ],
    PendingClaims: [{ Ident: 'c3', CIDR: { Addr: '10.32.0.9', PrefixLen: 24 } }],
    PendingAllocates: ['c1 10.32.0.0/25'],
  });
  assert.equal(WeaveNet?.Ipam?.Owners[0]?.UnreachableSeconds, 90);
  assert.equal(WeaveNet?.Ipam?.Conflicts[0]?.Size, 32);
  assert.match(ipamWarnings(ipam).join('\n'), /disk full\ntwo peers own it\n.*in use twice/);
  const lines = (await metrics({ ipam })).split('\n');
  for (const expected of [
    'weave_ipam_pending_claims 1',
    'weave_ipam_conflicts 1',
    'weave_ipam_stranded 1',
    'weave_ipam_duplicates 1',
    'weave_ipam_held{reason="isolated"} 1',
    'weave_ipam_held{reason="cloned"} 0',
    'weave_ipam_ring_entries 1',
    'weave_ipam_events_total{event="grants"} 5',
    'weave_ipam_saves_total{result="ok"} 7',
    'weave_ipam_saves_total{result="failed"} 2',
  ]) {
    assert.ok(lines.includes(expected), expected);
  }
});
