/**
 * `weave reset --force` without a router: removes from this host what one may have left. With a
 * router, the router does it, as it knows its own names and paths.
 * Source: reference/cli.md 4 "reset", host-network.md.
 */
import { spawnSync } from 'node:child_process';
import { readdirSync, rmSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { DEFAULT_DB_PREFIX } from '../../router/api-types.js';

const BRIDGE = 'weave';
/** Ours and the original's interfaces start with it. */
const INTERFACE_PREFIX = 'vethwe';
const NFT_TABLE = 'weave';

/** @returns a sentence for each thing that could not be removed. */
export function cleanUpHost(): string[] {
  const problems: string[] = [];
  const links = readdirSync('/sys/class/net').filter(
    (name) => name === BRIDGE || name.startsWith(INTERFACE_PREFIX),
  );
  for (const link of links) {
    // Deleting one end of a pair takes the other along, so "not there any more" is fine.
    const failure = tryRun('ip', ['link', 'delete', 'dev', link]);
    if (failure !== null && readdirSync('/sys/class/net').includes(link)) {
      problems.push(`can't remove interface ${link}: ${failure}`);
    }
  }
  const tables = spawnSync('nft', ['list', 'tables', 'ip'], { encoding: 'utf8' });
  if ((tables.stdout ?? '').split('\n').includes(`table ip ${NFT_TABLE}`)) {
    const failure = tryRun('nft', ['delete', 'table', 'ip', NFT_TABLE]);
    if (failure !== null) problems.push(`can't remove nftables table ${NFT_TABLE}: ${failure}`);
  }
  problems.push(...removeDatabase());
  return problems;
}

function tryRun(program: string, args: readonly string[]): string | null {
  const result = spawnSync(program, args, { encoding: 'utf8' });
  if (result.error !== undefined) return result.error.message;
  return result.status === 0 ? null : result.stderr.trim();
}

/** The database and what stands beside it under the same name. */
function removeDatabase(): string[] {
  const folder = dirname(DEFAULT_DB_PREFIX);
  const start = `${basename(DEFAULT_DB_PREFIX)}data.db`;
  let names: string[];
  try {
    names = readdirSync(folder).filter((name) => name.startsWith(start));
  } catch {
    return [];
  }
  const problems: string[] = [];
  for (const name of names) {
    try {
      rmSync(join(folder, name));
    } catch (error) {
      problems.push(`can't remove ${join(folder, name)}: ${(error as Error).message}`);
    }
  }
  return problems;
}
