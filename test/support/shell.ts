/** Runs programs for end-to-end tests and benchmarks: output collected, time limited. */
import { execFile, spawnSync } from 'node:child_process';

/** No helper program of a test runs longer, unless its caller says so. */
const DEFAULT_TIMEOUT_MS = 60_000;
const MAX_OUTPUT_BYTES = 16 * 1024 * 1024;

export interface RunResult {
  /** null: killed by a signal or by the time limit. */
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface RunOptions {
  readonly timeoutMs?: number;
  readonly env?: Readonly<Record<string, string>>;
  readonly input?: string;
}

/** Runs a program to its end. A failing program is a result, not an exception. */
export function run(argv: readonly string[], options: RunOptions = {}): Promise<RunResult> {
  const [program, ...args] = argv as [string, ...string[]];
  const { timeoutMs = DEFAULT_TIMEOUT_MS, env = {}, input } = options;
  return new Promise((resolve) => {
    const child = execFile(
      program,
      args,
      {
        timeout: timeoutMs,
        killSignal: 'SIGKILL',
        maxBuffer: MAX_OUTPUT_BYTES,
        env: { ...process.env, ...env },
      },
      (_error, stdout, stderr) => resolve({ code: child.exitCode, stdout, stderr }),
    );
    child.stdin?.on('error', () => {});
    child.stdin?.end(input ?? '');
  });
}

/** Runs a program that must succeed. @throws Error with its command line and its output. */
export async function runOk(argv: readonly string[], options: RunOptions = {}): Promise<string> {
  const result = await run(argv, options);
  if (result.code !== 0) {
    throw new Error(
      `${argv.join(' ')} ended with ${result.code}: ${result.stderr}${result.stdout}`,
    );
  }
  return result.stdout;
}

/** Set-up commands, one after the other without giving way to timers. @throws like `runOk`. */
export function runSync(argv: readonly string[], input = ''): string {
  const [program, ...args] = argv as [string, ...string[]];
  const result = spawnSync(program, args, { encoding: 'utf8', input, timeout: DEFAULT_TIMEOUT_MS });
  if (result.status !== 0) {
    const why = result.error?.message ?? result.stderr;
    throw new Error(`${argv.join(' ')} ended with ${result.status}: ${why}${input}`);
  }
  return result.stdout;
}
