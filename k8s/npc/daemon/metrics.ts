/**
 * Prometheus metrics, made from the report at the time of a scrape: first the original's two, then
 * ours. Source: reference/metrics.md 3.
 */
import { Counter, collectDefaultMetrics, Gauge, Registry } from 'prom-client';
import { DELAY_BUCKETS_S } from './counters.js';
import type { NpcReport } from './report.js';

type Sample = readonly [labels: Readonly<Record<string, string>>, value: number];
type Family = readonly [
  kind: 'counter' | 'gauge',
  name: string,
  help: string,
  labels: readonly string[],
  read: (report: NpcReport) => readonly Sample[],
];

const one = (value: number): readonly Sample[] => [[{}, value]];

const FAMILIES: readonly Family[] = [
  [
    'counter',
    'weavenpc_blocked_connections_total',
    'Connection attempts blocked by policy controller.',
    ['protocol', 'dport'],
    ({ blocked }) => blocked.map(({ protocol, port, count }) => [{ protocol, dport: port }, count]),
  ],
  [
    'counter',
    'weavenpc_policy_enforcement_errors',
    'Objects that could not be used as they are, and transactions that failed.',
    [],
    ({ problemsSinceStart, rules }) =>
      one(problemsSinceStart + Object.values(rules.failures).reduce((sum, n) => sum + n, 0)),
  ],
  [
    'gauge',
    'weavenpc_enforcing',
    '1 once the full state of the cluster is enforced.',
    [],
    ({ phase }) => one(phase === 'enforcing' ? 1 : 0),
  ],
  [
    'gauge',
    'weavenpc_objects',
    'Objects known, by kind.',
    ['kind'],
    ({ objects }) => Object.entries(objects).map(([kind, count]) => [{ kind }, count]),
  ],
  [
    'gauge',
    'weavenpc_object_problems',
    'Objects skipped or corrected now, by kind and code.',
    ['kind', 'code'],
    ({ problems }) => tally(problems.map(({ kind, code }) => ({ kind, code }))),
  ],
  [
    'counter',
    'weavenpc_transactions_total',
    'Transactions that the kernel accepted.',
    ['kind'],
    ({ rules }) => [
      [{ kind: 'change' }, rules.changeApplies],
      [{ kind: 'full' }, rules.fullApplies],
    ],
  ],
  [
    'counter',
    'weavenpc_transaction_failures_total',
    'Transactions and readings that failed, by code.',
    ['code'],
    ({ rules }) => Object.entries(rules.failures).map(([code, count]) => [{ code }, count]),
  ],
  [
    'counter',
    'weavenpc_repairs_total',
    'Times that the tables were made anew after somebody else had changed them.',
    [],
    ({ rules }) => one(rules.repairs),
  ],
  [
    'counter',
    'weavenpc_api_failures_total',
    'Lists and watches that failed.',
    [],
    ({ api }) => one(api.failures),
  ],
  [
    'gauge',
    'weavenpc_api_failing',
    'Kinds of objects that are not followed now.',
    [],
    ({ api }) => one(api.failing.length),
  ],
  [
    'counter',
    'weavenpc_log_lines_suppressed_total',
    'Blocked connections without a line of their own in the log.',
    [],
    ({ linesSuppressed }) => one(linesSuppressed),
  ],
  [
    'counter',
    'weavenpc_kernel_messages_lost_total',
    'Messages of the kernel that did not fit or were not understood.',
    ['what'],
    ({ lost }) => Object.entries(lost).map(([what, count]) => [{ what }, count]),
  ],
];

export class NpcMetrics {
  readonly #registry = new Registry();
  readonly #fill: ((report: NpcReport) => void)[] = [];

  /** @param usedBefore processor time before this library was loaded, microseconds. */
  constructor(usedBefore: { readonly user: number; readonly system: number }) {
    collectDefaultMetrics({ register: this.#registry });
    for (const family of FAMILIES) this.#add(family);
    const cpu = this.#registry.getSingleMetric('process_cpu_seconds_total');
    // The library starts to count at 0 when it is made, which is at the first scrape.
    if (cpu instanceof Counter) cpu.inc((usedBefore.user + usedBefore.system) / 1e6);
  }

  /** @returns text format 0.0.4. */
  async text(report: NpcReport): Promise<string> {
    for (const fill of this.#fill) fill(report);
    return (await this.#registry.metrics()) + delayHistogram(report);
  }

  #add([kind, name, help, labelNames, read]: Family): void {
    const settings = { name, help, labelNames: [...labelNames], registers: [this.#registry] };
    if (kind === 'gauge') {
      const gauge = new Gauge(settings);
      this.#fill.push((report) => {
        gauge.reset();
        for (const [labels, value] of read(report)) gauge.set(labels, value);
      });
      return;
    }
    const counter = new Counter(settings);
    this.#fill.push((report) => {
      counter.reset();
      for (const [labels, value] of read(report)) counter.inc(labels, value);
    });
  }
}

/** Buckets are counted elsewhere, and the library's histograms can't be filled with counts. */
function delayHistogram({ rules }: NpcReport): string {
  const name = 'weavenpc_enforcement_delay_seconds';
  let below = 0;
  const buckets = rules.delays.counts.map((count, index) => {
    below += count;
    return `${name}_bucket{le="${DELAY_BUCKETS_S[index] ?? '+Inf'}"} ${below}\n`;
  });
  return (
    `\n# HELP ${name} From a change in the cluster to the kernel.\n# TYPE ${name} histogram\n` +
    `${buckets.join('')}${name}_sum ${rules.delays.sum}\n${name}_count ${below}\n`
  );
}

function tally(keys: readonly Readonly<Record<string, string>>[]): Sample[] {
  const counts = new Map<string, [Readonly<Record<string, string>>, number]>();
  for (const labels of keys) {
    const key = JSON.stringify(labels);
    counts.set(key, [labels, (counts.get(key)?.[1] ?? 0) + 1]);
  }
  return [...counts.values()];
}
