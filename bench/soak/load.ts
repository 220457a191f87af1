/** Mixed load between two workloads, for as long as a soak lasts. */
import { readFileSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import type { BackgroundProcess } from '../../test/support/lab.js';
import type { Workload } from '../../test/support/lab-workload.js';

const ECHO_PORT = '5300';
/** Sizes that fill, exceed and hardly use the overlay's MTU. */
const SIZES = ['1', '9000', '97'];
const SIZES_LIMIT_MS = 120_000;
const RESTART_MS = 1000;

/** Each: arguments of the iperf3 client, from the first workload or from the second. */
const STREAMS: readonly { readonly reverse: boolean; readonly args: readonly string[] }[] = [
  { reverse: false, args: ['-P', '2'] },
  { reverse: true, args: [] },
  { reverse: false, args: ['-u', '-l', '64', '-b', '5M'] },
  { reverse: true, args: ['-u', '-l', '1200', '-b', '50M'] },
];

export interface MixedLoadOptions {
  readonly tcpOnly: boolean;
  /** Of each TCP stream, per second; null: all it can. */
  readonly megabits: number | null;
}

export class MixedLoad {
  /** Failed or changed UDP payloads and streams that ended early, in words. */
  readonly faults: string[] = [];
  /** What each stream carried, as iperf3 says it. */
  readonly totals: string[] = [];
  readonly #w1: Workload;
  readonly #w2: Workload;
  readonly #running: Promise<void>[] = [];
  #ended = false;

  readonly #tcpOnly: boolean;
  readonly #megabits: number | null;

  constructor(w1: Workload, w2: Workload, options: MixedLoadOptions) {
    this.#w1 = w1;
    this.#w2 = w2;
    this.#tcpOnly = options.tcpOnly;
    this.#megabits = options.megabits;
  }

  start(seconds: number): void {
    const isWanted = (args: readonly string[]): boolean => !this.#tcpOnly || !args.includes('-u');
    for (const [index, { reverse, args }] of STREAMS.entries()) {
      if (!isWanted(args)) continue;
      const [from, to] = reverse ? [this.#w2, this.#w1] : [this.#w1, this.#w2];
      const limit =
        this.#megabits === null || args.includes('-u') ? [] : ['-b', `${this.#megabits}M`];
      this.#running.push(this.#stream(from, to, `${5200 + index}`, [...args, ...limit], seconds));
    }
    if (this.#tcpOnly) return;
    this.#w2.agent('echo', ECHO_PORT);
    this.#running.push(this.#echo());
  }

  /** Waits for the streams, which end by themselves. */
  async end(): Promise<void> {
    this.#ended = true;
    await Promise.all(this.#running);
  }

  async #stream(
    from: Workload,
    to: Workload,
    port: string,
    args: readonly string[],
    seconds: number,
  ): Promise<void> {
    const { lab } = to.host;
    const label = `iperf-${port}`;
    const server: BackgroundProcess = lab.start(to.netns, ['iperf3', '-s', '-p', port], { label });
    await delay(RESTART_MS);
    const argv = ['iperf3', '-c', to.address, '-p', port, '-t', `${seconds}`, '-i', '0', ...args];
    const result = await from.exec(argv, { timeoutMs: (seconds + 60) * 1000 });
    server.kill('SIGTERM');
    if (result.code !== 0) {
      const said = readFileSync(server.logPath, 'utf8').trim().slice(-400);
      this.faults.push(
        `iperf3 ${from.label} → ${to.label} ${args.join(' ')}: ${result.stderr.trim().slice(0, 200)}; ` +
          `its server: ${said.replaceAll(/\s+/g, ' ')}`,
      );
      return;
    }
    // The last line that tells what arrived.
    const total = result.stdout.split('\n').findLast((line) => line.includes('receiver'));
    this.totals.push(`${from.label} → ${to.label} ${total?.trim() ?? ''}`);
  }

  async #echo(): Promise<void> {
    // The echo needs a moment; a size that is lost is sent again anyway.
    await delay(RESTART_MS);
    while (!this.#ended) {
      const result = await this.#w1.agentResult<{ missing: number[]; changed: number[] }>(
        SIZES_LIMIT_MS,
        'sizes',
        ...[this.#w2.address, ECHO_PORT, ...SIZES],
      );
      if (result.changed.length > 0) this.faults.push(`changed UDP of ${result.changed} bytes`);
      if (result.missing.length > 0) this.faults.push(`lost UDP of ${result.missing} bytes`);
    }
  }
}
