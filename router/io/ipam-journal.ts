/**
 * Changes to the allocator's memory since its last snapshot, one line each, appended by one
 * synchronous write. Each line's check sum covers the one before, so what was cut, changed, lost or
 * moved is noticed, wherever.
 *
 *   sum {"schema":1,"base":ID of the snapshot}
 *   sum {"head":{ring, …},"set":[holders],"gone":[identifiers]}     absent: as before
 */
import { createHash } from 'node:crypto';
import { constants } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { dirname } from 'node:path';
import { z } from 'zod';
import { errorText } from '../../core/errors.js';
import type { IpamSnapshot } from '../../ipam/interfaces.js';
import { type Holding, headSchema, holdingSchema, type SnapshotHead } from './ipam-schema.js';

const SCHEMA_VERSION = 1;
const SUM_LENGTH = 16;
const FLAGS =
  constants.O_WRONLY |
  constants.O_CREAT |
  constants.O_TRUNC |
  constants.O_APPEND |
  constants.O_DSYNC;

const headerSchema = z.object({ schema: z.literal(SCHEMA_VERSION), base: z.string() });
const changeSchema = z.object({
  head: headSchema.optional(),
  set: z.array(holdingSchema).optional(),
  gone: z.array(z.string()).optional(),
});
interface Change {
  head?: SnapshotHead;
  set?: readonly Holding[];
  gone?: readonly string[];
}

export interface JournalReading {
  /** The snapshot with all whole changes. */
  readonly snapshot: IpamSnapshot;
  readonly changes: number;
  /** What ended the reading before the end. `torn`: a write that never was complete. */
  readonly fault: 'torn' | 'damaged' | null;
  readonly why: string;
}

/**
 * @param text the journal
 * @param base of `snapshot`; a journal of another one is older than that, and says nothing
 */
export function readJournal(text: string, base: string, snapshot: IpamSnapshot): JournalReading {
  const lines = text.split('\n');
  const rest = lines.pop() as string;
  const owned = new Map(snapshot.owned.map((holding) => [holding.ident, holding]));
  let head: SnapshotHead = headOf(snapshot);
  let sum = '';
  let changes = 0;
  const result = (fault: JournalReading['fault'], why: string): JournalReading => ({
    snapshot: { ...head, owned: [...owned.values()] },
    changes,
    fault,
    why,
  });
  for (const [index, line] of lines.entries()) {
    const json = line.slice(SUM_LENGTH + 1);
    const isLast = index === lines.length - 1 && rest === '';
    const expected = sumOf(sum, json);
    if (line.slice(0, SUM_LENGTH + 1) !== `${expected} `) {
      return result(isLast ? 'torn' : 'damaged', `line ${index + 1}: check sum does not match`);
    }
    sum = expected;
    try {
      if (index === 0) {
        if (headerSchema.parse(JSON.parse(json)).base !== base) return result(null, '');
        continue;
      }
      const change = changeSchema.parse(JSON.parse(json));
      head = change.head ?? head;
      for (const holding of change.set ?? []) owned.set(holding.ident, holding);
      for (const ident of change.gone ?? []) owned.delete(ident);
      changes += 1;
    } catch (error) {
      return result('damaged', `line ${index + 1}: ${errorText(error).replaceAll('\n', ' ')}`);
    }
  }
  return result(rest === '' ? null : 'torn', 'the last line is incomplete');
}

/** Writes a journal. After an error nothing more may be appended: what came before is whole. */
export class IpamJournal {
  readonly #file: FileHandle;
  #sum = '';
  #bytes = 0;
  #head: string;
  /** As stored; holdings that did not change are the same objects. BOUNDED by the holders. */
  #owned: Map<string, Holding>;

  private constructor(file: FileHandle, snapshot: IpamSnapshot) {
    this.#file = file;
    this.#head = JSON.stringify(headOf(snapshot));
    this.#owned = new Map(snapshot.owned.map((holding) => [holding.ident, holding]));
  }

  /** Starts an empty one, in place of any that is there. @param snapshot what `base` names */
  static async create(path: string, base: string, snapshot: IpamSnapshot): Promise<IpamJournal> {
    const journal = new IpamJournal(await open(path, FLAGS, 0o600), snapshot);
    try {
      await journal.#append({ schema: SCHEMA_VERSION, base });
      // The file may be new: its name has to be durable, too.
      const directory = await open(dirname(path), 'r');
      try {
        await directory.sync();
      } finally {
        await directory.close();
      }
      return journal;
    } catch (error) {
      await journal.close();
      throw error;
    }
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** Durable when it resolves. */
  async append(snapshot: IpamSnapshot): Promise<void> {
    const head = headOf(snapshot);
    const headText = JSON.stringify(head);
    const set = snapshot.owned.filter((holding) => this.#owned.get(holding.ident) !== holding);
    const change: Change = {};
    if (headText !== this.#head) change.head = head;
    if (set.length > 0) change.set = set;
    if (snapshot.owned.length !== this.#owned.size + this.#countNew(set)) {
      const living = new Set(snapshot.owned.map(({ ident }) => ident));
      change.gone = [...this.#owned.keys()].filter((ident) => !living.has(ident));
    }
    if (Object.keys(change).length === 0) return;
    await this.#append(change);
    this.#head = headText;
    for (const holding of set) this.#owned.set(holding.ident, holding);
    for (const ident of change.gone ?? []) this.#owned.delete(ident);
  }

  async close(): Promise<void> {
    await this.#file.close();
  }

  #countNew(set: readonly Holding[]): number {
    return set.filter(({ ident }) => !this.#owned.has(ident)).length;
  }

  async #append(value: object): Promise<void> {
    const json = JSON.stringify(value);
    const sum = sumOf(this.#sum, json);
    const line = Buffer.from(`${sum} ${json}\n`);
    const { bytesWritten } = await this.#file.write(line);
    if (bytesWritten !== line.length) throw new Error('the disk took a part of a line only');
    this.#sum = sum;
    this.#bytes += line.length;
  }
}

function headOf({ owned: _, ...head }: IpamSnapshot): SnapshotHead {
  return head;
}

const sumOf = (before: string, json: string): string =>
  createHash('sha256').update(before).update(json).digest('hex').slice(0, SUM_LENGTH);
