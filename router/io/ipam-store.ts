/**
 * The allocator's memory: who owns which range, and who holds which address here. A snapshot beside
 * the router's own state, see durable-file.ts, and a journal of the changes since, see
 * ipam-journal.ts: most changes are one short write.
 *
 *   PREFIXipam.json  whole, named by an id     PREFIXipam.journal  for that id: change, change, …
 *
 * A new snapshot makes the journal before it void: at the first change after a start, when the
 * journal has grown as large as the snapshot, and after a failed write.
 */
import { randomUUID } from 'node:crypto';
import { existsSync, readFileSync, renameSync, rmSync, statSync } from 'node:fs';
import { errorText, WeaveError } from '../../core/errors.js';
import type { Logger } from '../../core/log.js';
import type { IpamSnapshot } from '../../ipam/interfaces.js';
import type { IpamStore } from '../../ipam/io/runner.js';
import { DurableFile } from './durable-file.js';
import { IpamJournal, readJournal } from './ipam-journal.js';
import { type StoredSnapshot, snapshotSchema } from './ipam-schema.js';

/** Programs of schema 1 would not see the journal. */
const SCHEMA_VERSION = 2;
/** Journals below this are not worth a new snapshot. */
const MIN_LIMIT_BYTES = 256 * 1024;

export class IpamFileStore implements IpamStore {
  readonly #file: DurableFile<StoredSnapshot>;
  readonly #journalPath: string;
  readonly #log: Logger;
  /** null: the next change is stored as a snapshot. */
  #journal: IpamJournal | null = null;
  /** What was loaded, if some of it stands in the journal only. */
  #merged: IpamSnapshot | null = null;
  #limitBytes = MIN_LIMIT_BYTES;
  #isRemoved = false;

  /** @param dbPrefix `--db-prefix`; the files are this plus `ipam.json` and `ipam.journal`. */
  constructor(options: { dbPrefix: string }, modules: { log: Logger }) {
    this.#journalPath = `${options.dbPrefix}ipam.journal`;
    this.#file = new DurableFile(
      {
        path: `${options.dbPrefix}ipam.json`,
        schemaVersion: SCHEMA_VERSION,
        content: snapshotSchema,
      },
      modules,
    );
    this.#log = modules.log;
  }

  /** @throws {WeaveError} `state-newer`, `state-unreadable` */
  load(): IpamSnapshot | null {
    const stored = this.#file.load();
    if (stored === null) {
      // Changes to what is lost: kept beside it for who repairs it, not for a later snapshot.
      this.#moveJournalAside('without-snapshot');
      return null;
    }
    const { id, ...snapshot } = stored;
    const text = this.#readJournal();
    if (text === null || id === undefined) return snapshot;
    const reading = readJournal(text, id, snapshot);
    const { fault, why, changes } = reading;
    if (fault === 'torn') {
      // Nobody was told of a change that was not written whole.
      this.#log.warn('the last change of addresses was not stored whole; left out', { why });
    } else if (fault === 'damaged') {
      this.#log.error('stored changes of addresses are damaged; those before are used', {
        code: 'state-damaged',
        file: this.#journalPath,
        kept: this.#moveJournalAside('damaged'),
        changes,
        why,
      });
    }
    this.#merged = changes > 0 ? reading.snapshot : null;
    return reading.snapshot;
  }

  /** @throws {WeaveError} `state-unwritable`; what was stored before is still whole. */
  async save(snapshot: IpamSnapshot): Promise<void> {
    if (this.#isRemoved) return;
    const journal = this.#journal;
    if (journal === null || journal.bytes > this.#limitBytes) return await this.#replace(snapshot);
    try {
      await journal.append(snapshot);
    } catch (error) {
      // A part of a line may be there: it is void with the next snapshot.
      await this.close();
      throw new WeaveError('state-unwritable', `${this.#journalPath}: ${errorText(error)}`);
    }
  }

  setAside(reason: string): void {
    // One file with all of it is easier to take up again.
    if (this.#merged !== null) this.#file.replaceSync(this.#merged);
    rmSync(this.#journalPath, { force: true });
    this.#log.warn('stored addresses belong to another peer or range; starting without them', {
      reason,
      file: this.#file.path,
      kept: this.#file.moveAside(reason),
    });
  }

  /** No write may be under way. */
  async close(): Promise<void> {
    const journal = this.#journal;
    this.#journal = null;
    await journal?.close().catch(() => {});
  }

  /** For `weave reset`: gone, and nothing is stored any more. */
  remove(): void {
    this.#isRemoved = true;
    this.#file.remove();
    rmSync(this.#journalPath, { force: true });
  }

  async #replace(snapshot: IpamSnapshot): Promise<void> {
    await this.close();
    const id = randomUUID();
    await this.#file.replace({ ...snapshot, id });
    this.#limitBytes = Math.max(MIN_LIMIT_BYTES, statSync(this.#file.path).size);
    try {
      this.#journal = await IpamJournal.create(this.#journalPath, id, snapshot);
    } catch (error) {
      // The snapshot is stored all the same; the next change is one again.
      const fields = { file: this.#journalPath, error: errorText(error) };
      this.#log.warn('no journal of addresses can be written', fields);
    }
  }

  #readJournal(): string | null {
    try {
      return readFileSync(this.#journalPath, 'utf8');
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
      throw new WeaveError('state-unreadable', `${this.#journalPath}: ${errorText(error)}`);
    }
  }

  /** @returns under which name it is kept, or null if there is none. */
  #moveJournalAside(suffix: string): string | null {
    if (!existsSync(this.#journalPath)) return null;
    let count = 1;
    while (existsSync(`${this.#journalPath}.${suffix}-${count}`)) count += 1;
    const aside = `${this.#journalPath}.${suffix}-${count}`;
    renameSync(this.#journalPath, aside);
    return aside;
  }
}
