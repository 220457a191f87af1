/** Command line of `npm run bench`: what runs, how often, and how long each measure takes. */
import { parseArgs } from 'node:util';

export interface BenchOptions {
  /** Rounds at most; every system is measured once in each. */
  readonly rounds: number;
  /** No round begins that would probably end later than this. */
  readonly maxMinutes: number;
  /** Ids or groups of systems; empty is all. */
  readonly only: readonly string[];
  /** Underlay of 9000 bytes, workloads of 8900, instead of 1500 and 1376. */
  readonly jumbo: boolean;
  readonly quick: boolean;
  /** Engine variants of ours besides the default one. */
  readonly engines: boolean;
  /** Stage costs, allocation and many-peer memory besides the systems. */
  readonly micro: boolean;
  readonly microOnly: boolean;
  readonly outFolder: string | null;
  /** Exit 1 if a target is missed. */
  readonly check: boolean;
}

/** Seconds and counts of the measures. */
export interface Effort {
  readonly tcpSeconds: number;
  readonly manyStreamsSeconds: number;
  readonly floodSeconds: number;
  readonly pacedSeconds: number;
  readonly pings: number;
}

const FULL: Effort = {
  tcpSeconds: 5,
  manyStreamsSeconds: 4,
  floodSeconds: 2,
  pacedSeconds: 2,
  pings: 3000,
};
const QUICK: Effort = {
  tcpSeconds: 3,
  manyStreamsSeconds: 2,
  floodSeconds: 1,
  pacedSeconds: 1,
  pings: 1000,
};

export const WORKLOAD_MTU = 1376;
export const JUMBO_WORKLOAD_MTU = 8900;

export const USAGE = `usage: npm run bench -- [options]
  --quick           one round of shorter measures
  --rounds N        rounds at most (3)
  --minutes N       begin no round that would end later than this (12)
  --only LIST       ids or groups separated by commas: baseline, field, ours, tinc, ours-aes, ...
  --engines         also each data path engine of ours that can be forced by a flag
  --jumbo           workload MTU 8900 over an underlay of 9000 instead of 1376 over 1500
  --no-micro        without stage costs, allocation check and many-peer memory
  --micro           those alone
  --out FOLDER      where latest.json and latest.svg go (bench/results)
  --check           exit 1 if a target of the table is missed
  --list            systems and what each needs
`;

export type BenchRequest =
  | { readonly kind: 'run'; readonly options: BenchOptions }
  | { readonly kind: 'list' }
  | { readonly kind: 'usage'; readonly error: string | null };

export function effortOf(options: BenchOptions): Effort {
  return options.quick ? QUICK : FULL;
}

/** Never throws: a mistake becomes a request to show the usage. */
export function parseBenchOptions(argv: readonly string[]): BenchRequest {
  let values: ReturnType<typeof parse>;
  try {
    values = parse(argv);
  } catch (error) {
    return { kind: 'usage', error: error instanceof Error ? error.message : String(error) };
  }
  if (values.help) return { kind: 'usage', error: null };
  if (values.list) return { kind: 'list' };
  const rounds = Number(values.rounds ?? (values.quick ? '1' : '3'));
  const maxMinutes = Number(values.minutes);
  if (!(Number.isInteger(rounds) && rounds >= 1) || !(maxMinutes > 0)) {
    return { kind: 'usage', error: '--rounds and --minutes take positive numbers' };
  }
  const only = (values.only ?? '').split(',').map((word) => word.trim());
  const options: BenchOptions = {
    rounds,
    maxMinutes,
    only: only.filter((word) => word !== ''),
    jumbo: values.jumbo,
    quick: values.quick,
    engines: values.engines,
    micro: values.micro || !(values['no-micro'] || values.quick),
    microOnly: values.micro,
    outFolder: values.out ?? null,
    check: values.check,
  };
  return { kind: 'run', options };
}

function parse(argv: readonly string[]) {
  const off = { type: 'boolean', default: false } as const;
  return parseArgs({
    args: [...argv],
    options: {
      rounds: { type: 'string' },
      minutes: { type: 'string', default: '12' },
      only: { type: 'string' },
      out: { type: 'string' },
      ...{ jumbo: off, quick: off, engines: off, check: off, list: off, help: off },
      ...{ micro: off, 'no-micro': off },
    },
  }).values;
}
