/** What the benchmark needs to know of one way to join two hosts. */
import type { Endpoint } from './endpoint.js';
import type { BenchOptions } from './options.js';
import type { Setting } from './setting.js';

export interface RunningSystem {
  readonly from: Endpoint;
  readonly to: Endpoint;
  /** Processes of the overlay on both hosts; none if the kernel does the work. */
  readonly pids: readonly number[];
  /** What the system says it negotiated, for the results. */
  readonly note?: string;
  /**
   * Event-loop delay of the control threads since the last call, milliseconds at the 99th
   * percentile, the worse of both hosts.
   */
  readonly loopDelayP99Ms?: () => Promise<number | null>;
}

export type SystemGroup = 'baseline' | 'field' | 'ours';

export interface System {
  /** Short, as given to `--only`. */
  readonly id: string;
  readonly label: string;
  readonly group: SystemGroup;
  /** Measured only with `--engines` or when named by `--only`. */
  readonly optional?: boolean;
  /** Programs that must be on this machine, with the Debian package of each. */
  readonly needs: Readonly<Record<string, string>>;
  /** A sentence why it cannot run here, or null. Asked once before the first round. */
  readonly refusal?: (options: BenchOptions) => Promise<string | null>;
  /** Brings it up on both hosts. The setting removes all of it afterwards. @throws Error */
  readonly start: (setting: Setting) => Promise<RunningSystem>;
}
