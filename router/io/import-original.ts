/**
 * The first start on a host of the original: its database beside ours is taken over, that is, the
 * peer's name, who owns which range, who holds which address, and whom it calls. The database is
 * only read, so that the way back stays open.
 *
 *   PREFIXdata.db | PREFIX-netdata.db ──> PREFIXipam.json, then PREFIXstate.json
 *
 * The second file is what tells that it was done: cut off in between, it is done again.
 */
import { closeSync, existsSync, fstatSync, openSync, readFileSync, rmSync } from 'node:fs';
import { errorCode, errorText, WeaveError } from '../../core/errors.js';
import { type Cidr, formatCidr } from '../../core/ip.js';
import type { Logger } from '../../core/log.js';
import { formatPeerName, type PeerName } from '../../core/peer-name.js';
import type { Random } from '../../core/random.js';
import { toSnapshot } from '../../ipam/persisted-original.js';
import { formatRange, rangeOf } from '../../ipam/range.js';
import { tryLock } from '../../sys/file-lock.js';
import { type OriginalState, readOriginalState } from '../migration/original-state.js';
import { IpamFileStore } from './ipam-store.js';
import type { StateStore } from './state-store.js';

/** As `weave launch` had it, and the DaemonSet, whose prefix may be given with or without `-net`. */
const SUFFIXES = ['data.db', '-netdata.db'];
/** The original's files have some hundred kilobytes. */
const MAX_FILE_BYTES = 256 * 2 ** 20;

export interface ImportOptions {
  readonly dbPrefix: string;
  /** `--name`, which wins. */
  readonly name: PeerName | null;
  /** `--ipalloc-range`; null: the allocator is off. */
  readonly universe: Cidr | null;
}

/**
 * Does nothing if the router has a state of its own, or there is no database.
 * @throws {WeaveError} `migration-damaged`, `migration-in-use`, `state-unwritable`; with a sentence
 */
export async function importOriginal(
  options: ImportOptions,
  modules: { readonly store: StateStore; readonly random: Random; readonly log: Logger },
): Promise<void> {
  const { store, random, log } = modules;
  const { dbPrefix, name, universe } = options;
  if (existsSync(store.path)) return;
  const path = SUFFIXES.map((suffix) => dbPrefix + suffix).find((file) => existsSync(file));
  const state = path === undefined ? null : readState(path);
  if (state === null) return;
  const peer = formatPeerName(state.peer);
  if (name !== null && name !== state.peer) {
    const fields = { file: path, peer, name: formatPeerName(name) };
    log.warn('the database of Weave Net 2 is not taken over: it is of another peer', fields);
    return;
  }
  const addresses = await importAddresses(state, { dbPrefix, universe }, { random, log });
  // Without a peer list of its own this start continues the original's run.
  store.update({ peerName: peer, targets: [...state.targets], givenTargets: [], started: true });
  const fields = { file: path, peer, addresses, targets: state.targets.length };
  log.info('took over the state of Weave Net 2', fields);
}

/** For `weave reset`, as the original's own did. */
export function removeOriginal(dbPrefix: string): void {
  for (const suffix of SUFFIXES) rmSync(dbPrefix + suffix, { force: true });
}

/** @returns how many addresses in use were taken over. */
async function importAddresses(
  { peer, ring, owned }: OriginalState,
  { dbPrefix, universe }: Pick<ImportOptions, 'dbPrefix' | 'universe'>,
  { random, log }: { readonly random: Random; readonly log: Logger },
): Promise<number> {
  if (ring === null || universe === null) return 0;
  const range = rangeOf(universe);
  if (ring.start !== range.start || ring.end !== range.end) {
    log.warn('addresses of Weave Net 2 are not taken over: its range was another', {
      stored: formatRange({ start: ring.start, end: ring.end }),
      range: formatCidr(universe),
    });
    return 0;
  }
  const snapshot = toSnapshot(peer, ring, owned, random.uint64() || 1n);
  if (snapshot === null) return 0;
  await new IpamFileStore({ dbPrefix }, { log }).save(snapshot);
  return owned.reduce((sum, { cidrs }) => sum + cidrs.length, 0);
}

function readState(path: string): OriginalState | null {
  const file = openSync(path, 'r');
  try {
    // The original holds the lock for as long as it runs, and goes on changing the file.
    if (!tryLock(file)) {
      const text = `${path} is in use: stop the router of Weave Net 2 first`;
      throw new WeaveError('migration-in-use', text);
    }
    if (fstatSync(file).size > MAX_FILE_BYTES) throw new Error('the file is too large');
    return readOriginalState(readFileSync(file));
  } catch (error) {
    if (errorCode(error) === 'migration-in-use') throw error;
    throw new WeaveError(
      'migration-damaged',
      `${path}, the database of Weave Net 2, can not be taken over: ${errorText(error)}; ` +
        'restore it, or move it away to start without its addresses',
    );
  } finally {
    closeSync(file);
  }
}
