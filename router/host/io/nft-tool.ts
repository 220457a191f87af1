/** The `nft` program: transactions from standard input, listings as JSON. Source: nft(8). */
import { WeaveError } from '../../../core/errors.js';
import type { NetnsHandle, NftTool } from '../ports.js';
import { type ProgramResult, runProgram } from './run-program.js';

export const nftTool: NftTool = {
  async apply(netns, script): Promise<void> {
    const result = await run(netns, ['-f', '-'], script);
    if (result.exitCode !== 0) throw failed(result);
  },

  async listTable(netns, table): Promise<readonly unknown[] | null> {
    const result = await run(netns, ['-j', 'list', 'table', 'ip', table]);
    if (result.exitCode === 0) return objects(result);
    if (/No such file or directory/.test(result.stderr)) return null;
    throw failed(result);
  },

  async listChains(netns): Promise<readonly unknown[]> {
    const result = await run(netns, ['-j', 'list', 'chains']);
    if (result.exitCode !== 0) throw failed(result);
    return objects(result);
  },

  async listChain(netns, { family, table, name }): Promise<readonly unknown[]> {
    const result = await run(netns, ['-j', 'list', 'chain', family, table, name]);
    if (result.exitCode !== 0) throw failed(result);
    return objects(result);
  },
};

function run(netns: NetnsHandle, args: readonly string[], input?: string): Promise<ProgramResult> {
  return runProgram({
    program: 'nft',
    args,
    netns,
    debianPackage: 'nftables',
    ...(input === undefined ? {} : { input }),
  });
}

function objects({ stdout }: ProgramResult): readonly unknown[] {
  const parsed = JSON.parse(stdout) as { nftables?: unknown };
  return Array.isArray(parsed.nftables) ? parsed.nftables : [];
}

function failed({ stderr, exitCode }: ProgramResult): WeaveError {
  // The tool repeats the script line with markers below; the first line says what is wrong.
  const reason = stderr.split('\n')[0] ?? '';
  return new WeaveError('nft-failed', `nft: ${reason === '' ? `exit ${exitCode}` : reason}`);
}
