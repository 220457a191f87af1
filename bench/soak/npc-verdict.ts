/** Whether network policies stayed right under churn: the counts of a run in, findings out. */
import type { ChurnResult } from '../npc/churn.js';
import type { Finding } from './verdict.js';

/** Of tries that were allowed: a busy machine loses a SYN now and then. */
const REFUSED_SHARE = 0.01;
const MIN_TRIES = 20;

export function judgeChurn(result: ChurnResult): Finding[] {
  const { late, allowed, refused, differences, comparisons, holdsOpened, holdsOpen } = result;
  const forbidden = result.tries - result.succeeded;
  return [
    {
      what: 'enough was tried',
      ok: result.succeeded >= MIN_TRIES && forbidden >= MIN_TRIES && comparisons > 0,
      detail: `${result.changes} changes, ${result.succeeded} connections made, ${forbidden} not`,
    },
    {
      what: 'the kernel has what a fresh compile says',
      ok: differences.length === 0,
      detail: `${comparisons} comparisons, ${differences.length} differences`,
    },
    {
      what: 'nothing forbidden succeeds late',
      ok: late.length === 0,
      detail: `${late.length} of ${result.tries} tries`,
    },
    {
      what: 'what is allowed succeeds',
      ok: refused <= allowed * REFUSED_SHARE,
      detail: `${refused} of ${allowed} failed`,
    },
    {
      what: 'established connections last',
      ok: holdsOpened > 0 && holdsOpen === holdsOpened,
      detail: `${holdsOpen} of ${holdsOpened}`,
    },
    {
      what: 'every transaction was accepted',
      ok: result.failures === 0,
      detail: `${result.failures} failed, controller at ${result.residentMb.toFixed(0)} MB`,
    },
  ];
}
