/** The `ip` program of iproute2: queries as JSON, changes as batches. Source: ip(8). */
import { WeaveError } from '../../../core/errors.js';
import type { IpTool, NetnsHandle } from '../ports.js';
import { type ProgramResult, runProgram } from './run-program.js';

export const ipTool: IpTool = {
  async query(netns, args): Promise<readonly unknown[]> {
    const result = await run(netns, ['-json', '-details', ...args]);
    if (result.exitCode !== 0) throw failed(`ip ${args.join(' ')}`, result);
    // Some versions print nothing instead of an empty list.
    if (result.stdout.trim() === '') return [];
    const parsed: unknown = JSON.parse(result.stdout);
    return Array.isArray(parsed) ? parsed : [];
  },

  async batch(netns, commands): Promise<void> {
    if (commands.length === 0) return;
    // A line break would start a command of its own. Callers never let one through; this is the
    // last place to notice.
    if (commands.some((command) => /[\n\r\0]/.test(command))) {
      throw new WeaveError('ip-failed', 'a command for the ip tool contains a line break');
    }
    const result = await run(netns, ['-batch', '-'], `${commands.join('\n')}\n`);
    if (result.exitCode === 0) return;
    const line = Number(/Command failed -:(\d+)/.exec(result.stderr)?.[1] ?? Number.NaN);
    throw failed(`ip ${commands[line - 1] ?? commands.join('; ')}`, result);
  },
};

function run(netns: NetnsHandle, args: readonly string[], input?: string): Promise<ProgramResult> {
  return runProgram({
    program: 'ip',
    args,
    netns,
    debianPackage: 'iproute2',
    ...(input === undefined ? {} : { input }),
  });
}

function failed(command: string, { stderr, exitCode }: ProgramResult): WeaveError {
  const reason = stderr.replace(/\s*Command failed -:\d+\s*$/, '').trim();
  return new WeaveError('ip-failed', `${command}: ${reason === '' ? `exit ${exitCode}` : reason}`);
}
