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
/** Comment of our rules in forward chains of other programs. */
const RULE_COMMENT = `weave-net ${BRIDGE}`;

/** Rulesets of large clusters take some megabytes. */
const MAX_LISTING_BYTES = 64 * 1024 * 1024;

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
  problems.push(...removeForeignRules(), ...removeDatabase());
  return problems;
}

interface ListedRule {
  readonly family: string;
  readonly table: string;
  readonly chain: string;
  readonly handle: number;
  readonly comment?: string;
}

function removeForeignRules(): string[] {
  const listing = spawnSync('nft', ['-j', 'list', 'ruleset'], {
    encoding: 'utf8',
    maxBuffer: MAX_LISTING_BYTES,
  });
  // No nft, no rules of ours.
  if (listing.error !== undefined || listing.status !== 0) return [];
  const { nftables } = JSON.parse(listing.stdout) as { nftables: { rule?: ListedRule }[] };
  return nftables.flatMap(({ rule }) => {
    if (rule?.comment !== RULE_COMMENT) return [];
    const { family, table, chain, handle } = rule;
    const place = [family, table, chain];
    const failure = tryRun('nft', ['delete', 'rule', ...place, 'handle', `${handle}`]);
    return failure === null ? [] : [`can't remove our rule in ${place.join(' ')}: ${failure}`];
  });
}

function tryRun(program: string, args: readonly string[]): string | null {
  const result = spawnSync(program, args, { encoding: 'utf8' });
  if (result.error !== undefined) return result.error.message;
  return result.status === 0 ? null : result.stderr.trim();
}

/** Stored state, the original's database, and what stands beside them under the same names. */
function removeDatabase(): string[] {
  const folder = dirname(DEFAULT_DB_PREFIX);
  const starts = ['lock', 'state.json', 'names.json', 'ipam.', 'data.db', '-netdata.db'].map(
    (end) => basename(DEFAULT_DB_PREFIX) + end,
  );
  let names: string[];
  try {
    names = readdirSync(folder).filter((name) => starts.some((start) => name.startsWith(start)));
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
