/** Metrics of the name service, made from the report. Absent while it is off, like its gauges. */
import { Counter, Gauge, Histogram, type MetricObjectWithValues, type Registry } from 'prom-client';
import type { Report, ReportDnsExtras } from './api-types.js';

/** @returns what is to be called with the report at each scrape. */
export function createDnsMetrics(registry: Registry): (report: Report) => void {
  let metrics: ((dns: ReportDnsExtras) => void) | null = null;
  return (report) => {
    const dns = report.WeaveNet?.Dns;
    if (dns == null) return;
    metrics ??= register(registry);
    metrics(dns);
  };
}

function register(registry: Registry): (dns: ReportDnsExtras) => void {
  const registers = [registry];
  const counter = (name: string, help: string, labelNames: string[] = []): Counter =>
    new Counter({ name, help, labelNames, registers });
  const gauge = (name: string, help: string): Gauge => new Gauge({ name, help, registers });
  const queries = counter('weave_dns_queries_total', 'DNS queries answered.', ['type', 'rcode']);
  const forwarded = counter(
    'weave_dns_forwarded_total',
    'Queries passed to resolvers of the host.',
  );
  const drops = counter('weave_dns_drops_total', 'DNS queries not answered, by reason.', [
    'reason',
  ]);
  const failures = counter(
    'weave_dns_upstream_failures_total',
    'Resolvers of the host that failed.',
    ['reason'],
  );
  const events = counter('weave_dns_events_total', 'Events of the name table.', ['event']);
  const known = gauge('weave_dns_known_entries', 'Live names of all peers.');
  const tombstones = gauge('weave_dns_tombstones', 'Removed names that are still remembered.');
  const durations = new ReportedHistogram(registry);
  return (dns) => {
    for (const metric of [queries, forwarded, drops, failures, events]) metric.reset();
    for (const { Type: type, Rcode: rcode, Count } of dns.Queries) {
      queries.inc({ type, rcode }, Count);
    }
    forwarded.inc(dns.Forwarded);
    for (const [reason, count] of Object.entries(dns.Drops)) drops.inc({ reason }, count);
    for (const [reason, count] of Object.entries(dns.UpstreamFailures)) {
      failures.inc({ reason }, count);
    }
    for (const [event, count] of Object.entries(dns.Events)) events.inc({ event }, count);
    known.set(dns.LiveEntries);
    tombstones.set(dns.Tombstones);
    durations.read(dns);
  };
}

const NAME = 'weave_dns_query_duration_seconds';
const HELP = 'From the arrival of a query to its answer.';

/** The server counts by itself; the library's histogram would want each single duration. */
class ReportedHistogram extends Histogram {
  #values: MetricObjectWithValues<never>['values'] = [];

  constructor(registry: Registry) {
    super({
      name: NAME,
      help: HELP,
      registers: [registry],
    });
  }

  read({ DurationBuckets, DurationCounts, DurationSum }: ReportDnsExtras): void {
    let sum = 0;
    const series = (end: string, value: number, labels = {}) => ({
      metricName: `${NAME}_${end}`,
      labels,
      value,
    });
    const buckets = DurationCounts.map((count, i) => {
      sum += count;
      return series('bucket', sum, { le: DurationBuckets[i] ?? '+Inf' });
    });
    this.#values = [
      ...buckets,
      series('sum', DurationSum),
      series('count', sum),
    ] as MetricObjectWithValues<never>['values'];
  }

  /** What the registry prefers to `get`; its types do not tell. */
  async getForPromString() {
    return { name: NAME, help: HELP, type: 'histogram', values: this.#values, aggregator: 'sum' };
  }
}
