/** State of the controller as its socket tells it, and the page that `weave status npc` shows. */
import type { BlockedCount } from './drop-log.js';

export interface NpcReport {
  readonly version: string;
  readonly node: string;
  readonly phase: 'starting' | 'waiting' | 'enforcing';
  /** The kernel has what the cluster wants. */
  readonly settled: boolean;
  readonly objects: {
    readonly pods: number;
    readonly localPods: number;
    readonly namespaces: number;
    readonly policies: number;
    /** Absent: they are not followed. */
    readonly clusterPolicies?: number;
  };
  readonly api: {
    readonly server: string;
    /** Kinds whose list or watch fails now, each with the reason. */
    readonly failing: readonly { readonly kind: string; readonly reason: string }[];
    readonly failures: number;
  };
  readonly rules: {
    readonly fullApplies: number;
    readonly changeApplies: number;
    readonly repairs: number;
    readonly failures: Readonly<Record<string, number>>;
    /** null: the last run of nft succeeded. */
    readonly lastError: string | null;
    readonly delays: { readonly counts: readonly number[]; readonly sum: number };
  };
  /** Objects that are skipped or corrected now. */
  readonly problems: readonly ObjectProblem[];
  readonly problemsSinceStart: number;
  readonly blocked: readonly BlockedCount[];
  /** Dropped connections without a line of their own in the log. */
  readonly linesSuppressed: number;
  readonly lost: {
    readonly events: number;
    readonly packets: number;
    readonly malformed: number;
  };
}

export interface ObjectProblem {
  readonly kind: string;
  /** `namespace/name`. */
  readonly name: string;
  readonly code: string;
  readonly reason: string;
  /** The object is not used at all. */
  readonly skipped: boolean;
}

const MAX_SHOWN = 20;

export function formatNpcReport(report: NpcReport): string {
  const { objects, api, rules, problems, lost } = report;
  const blocked = report.blocked.reduce((sum, { count }) => sum + count, 0);
  const rows: [string, string][] = [
    ['Version', report.version],
    ['Node', report.node],
    ['Status', statusText(report)],
    [
      'Objects',
      `${objects.policies} policies, ${clusterPoliciesText(objects)}` +
        `${objects.namespaces} namespaces, ${objects.pods} pods (${objects.localPods} on this node)`,
    ],
    ['API', apiText(api)],
    [
      'Transactions',
      `${rules.changeApplies} changes, ${rules.fullApplies} in full, ` +
        `${sum(rules.failures)} failed`,
    ],
    ['Repairs', `${rules.repairs}`],
    ['Blocked', `${blocked} (${report.linesSuppressed} not logged)`],
  ];
  if (rules.lastError !== null) rows.push(['Last error', rules.lastError]);
  if (lost.events + lost.packets + lost.malformed > 0) {
    rows.push([
      'Lost',
      `${lost.events} events, ${lost.packets} packets, ${lost.malformed} not understood`,
    ]);
  }
  const width = Math.max(...rows.map(([name]) => name.length));
  const lines = rows.map(([name, value]) => `${name.padStart(width + 2)}: ${value}\n`);
  const shown = problems.slice(0, MAX_SHOWN).map(problemText);
  if (problems.length > MAX_SHOWN) shown.push(`… and ${problems.length - MAX_SHOWN} more\n`);
  const heading = problems.length === 0 ? '' : '\nObjects with problems:\n';
  return lines.join('') + heading + shown.map((line) => `  ${line}`).join('');
}

function statusText({ phase, settled }: NpcReport): string {
  if (phase === 'enforcing') return settled ? 'enforcing' : 'enforcing, a change is on its way';
  return 'waiting for the full state of the cluster; the rules from before stay';
}

function apiText({ server, failing, failures }: NpcReport['api']): string {
  if (failing.length === 0) return `${server}, connected (${failures} failures so far)`;
  const reasons = failing.map(({ kind, reason }) => `${kind}: ${reason}`).join('; ');
  return `${server}, FAILING: ${reasons}; the rules stay as they are`;
}

const clusterPoliciesText = ({ clusterPolicies }: NpcReport['objects']): string =>
  clusterPolicies === undefined ? '' : `${clusterPolicies} of the cluster, `;

const sum = (counts: Readonly<Record<string, number>>): number =>
  Object.values(counts).reduce((total, count) => total + count, 0);

function problemText({ kind, name, code, reason, skipped }: ObjectProblem): string {
  return `${kind} ${name} ${skipped ? 'skipped' : 'corrected'}: ${reason} (${code})\n`;
}
