/** The name service in the report: the original's keys, and beside them what it did not tell. */
import { formatPeerName } from '../core/peer-name.js';
import { printable } from '../core/text.js';
import { DURATION_BUCKETS_S } from '../dns/dns-counters.js';
import type { DnsServerStatus } from '../dns/io/dns-server.js';
import { isLive, type NameEntry, orderInLists } from '../dns/name-entry.js';
import type { ReportDns, ReportDnsExtras } from './api-types.js';
import { mapOf, presentList } from './report-json.js';

export interface DnsReportInput {
  /** Canonical. */
  readonly domain: string;
  readonly ttlSeconds: number;
  /** With port. */
  readonly address: string;
  readonly entries: readonly NameEntry[];
  readonly tombstones: number;
  readonly counters: Readonly<Record<string, number>>;
  readonly server: DnsServerStatus;
}

export function buildDnsReport(input: DnsReportInput): ReportDns {
  return {
    Domain: input.domain,
    Upstream: [...input.server.upstreams],
    Address: input.address,
    TTL: input.ttlSeconds,
    Entries: [...input.entries].sort(orderInLists).map((entry) => ({
      Hostname: printable(entry.hostname),
      Origin: formatPeerName(entry.origin),
      ContainerID: printable(entry.containerId),
      Address: dataText(entry),
      Version: entry.version,
      Tombstone: entry.tombstone,
    })),
  };
}

/** Addresses as they are; what is none says what it is. */
function dataText({ type, data }: NameEntry): string {
  return type === 'A' || type === 'AAAA' ? data : `${type} ${printable(data)}`;
}

export function buildDnsExtras(input: DnsReportInput): ReportDnsExtras {
  const { counts, addresses } = input.server;
  return {
    Addresses: presentList([...addresses]),
    LiveEntries: input.entries.filter(isLive).length,
    Tombstones: input.tombstones,
    Queries: presentList(
      counts.queries.map(({ type, rcode, count }) => ({ Type: type, Rcode: rcode, Count: count })),
    ),
    Forwarded: counts.forwarded,
    Drops: mapOf(counts.drops),
    UpstreamFailures: mapOf(counts.upstreamFailures),
    Events: mapOf(input.counters),
    DurationBuckets: presentList([...DURATION_BUCKETS_S]),
    DurationCounts: presentList([...counts.durationCounts]),
    DurationSum: counts.durationSumS,
  };
}

/** Sentences for people. */
export function dnsWarnings({ server }: DnsReportInput): string[] {
  const { failures, loops, addresses } = server;
  return [
    ...(addresses.length === 0 ? ['DNS is served on no address; see the log'] : []),
    ...failures.map((failure) => `DNS is not served on ${failure}`),
    ...loops.map((server) => `the name server ${server} sends our queries back to us`),
  ];
}
