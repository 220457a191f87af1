/**
 * The allocator's memory: who owns which range, and who holds which address here. One JSON file
 * beside the router's own state, see durable-file.ts. Shape: ipam/interfaces.ts, IpamSnapshot.
 */
import { z } from 'zod';
import type { Logger } from '../../core/log.js';
import type { IpamSnapshot } from '../../ipam/interfaces.js';
import type { IpamStore } from '../../ipam/io/runner.js';
import { DurableFile } from './durable-file.js';

const SCHEMA_VERSION = 1;

const u32 = z.number().int().min(0).max(0xffff_ffff);
const peerName = z
  .number()
  .int()
  .min(0)
  .max(2 ** 48 - 1);
const cidr = z.tuple([u32, z.number().int().min(0).max(32)]);

const snapshotSchema: z.ZodType<IpamSnapshot> = z.object({
  localPeer: peerName,
  universe: z.object({
    start: u32,
    end: z
      .number()
      .int()
      .min(1)
      .max(2 ** 32),
  }),
  ring: z.object({
    seeds: z.array(peerName),
    entries: z.array(z.tuple([u32, peerName, u32, u32])),
  }),
  owned: z.array(
    z.object({
      ident: z.string(),
      watched: z.boolean(),
      cidrs: z.array(cidr),
      stranded: z.array(u32),
    }),
  ),
  vote: z.string().nullable(),
  uid: z.string().regex(/^\d{1,20}$/),
  reclaimAfterMs: z.number().nullable(),
});

export class IpamFileStore implements IpamStore {
  readonly #file: DurableFile<IpamSnapshot>;
  readonly #log: Logger;
  #isRemoved = false;

  /** @param dbPrefix `--db-prefix`; the file is this plus `ipam.json`. */
  constructor(options: { dbPrefix: string }, modules: { log: Logger }) {
    const path = `${options.dbPrefix}ipam.json`;
    this.#file = new DurableFile(
      { path, schemaVersion: SCHEMA_VERSION, content: snapshotSchema },
      modules,
    );
    this.#log = modules.log;
  }

  /** @throws {WeaveError} `state-newer`, `state-unreadable` */
  load(): IpamSnapshot | null {
    return this.#file.load();
  }

  /** @throws {WeaveError} `state-unwritable`; what was stored before is still whole. */
  async save(snapshot: IpamSnapshot): Promise<void> {
    if (!this.#isRemoved) await this.#file.replace(snapshot);
  }

  setAside(reason: string): void {
    this.#log.warn('stored addresses belong to another peer or range; starting without them', {
      reason,
      file: this.#file.path,
      kept: this.#file.moveAside(reason),
    });
  }

  /** For `weave reset`: gone, and nothing is stored any more. */
  remove(): void {
    this.#isRemoved = true;
    this.#file.remove();
  }
}
