/** The allocator's memory as it stands in files. Shape: ipam/interfaces.ts, IpamSnapshot. */
import { z } from 'zod';
import type { IpamSnapshot } from '../../ipam/interfaces.js';

const u32 = z.number().int().min(0).max(0xffff_ffff);
const peerName = z
  .number()
  .int()
  .min(0)
  .max(2 ** 48 - 1);
const cidr = z.tuple([u32, z.number().int().min(0).max(32)]);

export type Holding = IpamSnapshot['owned'][number];
/** All but who holds what. */
export type SnapshotHead = Omit<IpamSnapshot, 'owned'>;

export const holdingSchema = z.object({
  ident: z.string(),
  watched: z.boolean(),
  cidrs: z.array(cidr),
  stranded: z.array(u32),
});

export const headSchema = z.object({
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
  vote: z.string().nullable(),
  uid: z.string().regex(/^\d{1,20}$/),
  reclaimAfterMs: z.number().nullable(),
});

export interface StoredSnapshot extends IpamSnapshot {
  /** What a journal names to belong to it; files of schema 1 have none, and no journal. */
  readonly id?: string | undefined;
}

export const snapshotSchema: z.ZodType<StoredSnapshot> = headSchema.extend({
  owned: z.array(holdingSchema),
  id: z.string().optional(),
});
