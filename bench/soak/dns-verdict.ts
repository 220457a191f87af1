/** Whether a name server stood what was sent to it: counts of a run in, findings out. */
import { type Finding, judgeMemory } from './verdict.js';

/** Between two stretches of packets. */
export interface DnsSample {
  readonly seconds: number;
  readonly residentMb: number;
  readonly descriptors: number;
  /** Datagrams and messages that the server answered or counted as dropped. */
  readonly counted: number;
}

export interface DnsSoakResult {
  readonly samples: readonly DnsSample[];
  /** When nothing waits for the resolver any more. */
  readonly descriptorsAfter: number;
  readonly datagrams: number;
  readonly messages: number;
  readonly questions: number;
  readonly repeated: number;
  readonly slowestMs: number;
  /** What the server counted of all that, at the end. */
  readonly counted: number;
  readonly forwarded: number;
  /** null: none. */
  readonly failure: string | null;
  readonly isRunning: boolean;
  /** Lines of the router's log that tell of a fault, or of the thread's replacement. */
  readonly faults: readonly string[];
}

/** Questions asked again: a busy machine may take two seconds for an answer now and then. */
const REPEATED_SHARE = 0.001;
const MAX_SLOWEST_MS = 10_000;
/** Sockets to the resolver that are kept open for the next question, and one of the API's. */
const STANDBYS = 5;
const MIN_SAMPLES = 6;
/** The server's thread tells its counts four times a second; a stretch may be shorter than that. */
const TOLD_SECONDS = 1;
/** Of the samples, while caches fill and code is compiled. */
const WARM_UP_SHARE = 0.3;
/** Caches of answers are emptied and fill again. */
const BORNE_MB = 24;

export function judgeDns(result: DnsSoakResult): Finding[] {
  const first = result.samples[0];
  const { samples, datagrams, messages, questions, counted, faults } = result;
  if (first === undefined || samples.length < MIN_SAMPLES) {
    return [{ what: 'samples', ok: false, detail: `${samples.length}: ${result.failure}` }];
  }
  const stuck = samples.findIndex((sample) => {
    const earlier = samples.findLast(({ seconds }) => seconds <= sample.seconds - TOLD_SECONDS);
    return earlier !== undefined && sample.counted <= earlier.counted;
  });
  return [
    {
      what: 'every question between is answered',
      ok: result.failure === null && result.repeated <= Math.max(1, questions * REPEATED_SHARE),
      detail:
        result.failure ??
        `${questions}, ${result.repeated} of them again, slowest ${result.slowestMs.toFixed(0)} ms`,
    },
    {
      what: 'nothing takes for ever',
      ok: result.slowestMs <= MAX_SLOWEST_MS,
      detail: `${result.slowestMs.toFixed(0)} ms`,
    },
    {
      what: 'the router lives, and its thread',
      ok: result.isRunning && faults.length === 0,
      detail: result.isRunning ? `${faults.length} faults in the log` : 'it ended',
    },
    {
      what: 'every datagram is counted',
      ok:
        counted >= datagrams + questions - result.repeated &&
        counted <= datagrams + questions + messages,
      detail: `${counted} of ${datagrams} and ${questions}, and of ${messages} over TCP`,
    },
    {
      what: 'counters move',
      ok: stuck < 0 && result.forwarded > 0,
      detail: stuck < 0 ? `${result.forwarded} forwarded` : `stood still at sample ${stuck}`,
    },
    {
      what: 'no descriptor leaks',
      ok: result.descriptorsAfter <= first.descriptors + STANDBYS,
      detail: `${first.descriptors} → ${result.descriptorsAfter}`,
    },
    judgeMemory(samples.slice(Math.floor(samples.length * WARM_UP_SHARE)), BORNE_MB),
  ];
}
