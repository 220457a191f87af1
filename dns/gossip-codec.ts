/**
 * Payloads of the two channels that spread names. `nameserver` is the original's and carries IPv4
 * addresses; what it has no place for goes on a channel of its own, which routers of the original
 * pass on unread. Source: reference/weavedns.md 4.1.
 *
 *   nameserver          {Timestamp, Entries: [{ContainerID, Origin, Addr, Hostname, …}]}
 *   nameserver-records  {Timestamp, Entries: [{ContainerID, Origin, Type, Data, Hostname, …}]}
 */
import { DecodeError } from '../core/errors.js';
import { GobDecoder, GobEncoder, gob } from '../core/gob/index.js';
import { formatIpv4, type Ipv4, parseIpv4 } from '../core/ip.js';
import type { PeerName } from '../core/peer-name.js';
import { type NameEntry, orderOnWire } from './name-entry.js';
import { parseRecord } from './record-data.js';

export interface NamesMessage {
  /** Clock of the sender, Unix seconds. */
  readonly timestamp: number;
  readonly entries: readonly NameEntry[];
}

export interface NamesCodec {
  /** Of the channel. */
  readonly channel: string;
  carries(entry: NameEntry): boolean;
  encode(message: NamesMessage): Uint8Array;
  /**
   * @returns also how many entries were left out because no table could hold them.
   * @throws {DecodeError} codes of gob
   */
  decode(payload: Uint8Array): NamesMessage & { readonly unusable: number };
}

/** The longest name takes 254 characters; what is longer can not be asked for. */
const MAX_HOSTNAME_CHARS = 254;
/** Container ids have 64 characters, namespace paths a few more. */
export const MAX_CONTAINER_ID_CHARS = 1024;
/** Each change adds one, so only malice gets here; beyond 2^53 there would be no next version. */
const MAX_VERSION = 2 ** 52;

const addressEntry = gob.struct('Entry', {
  ContainerID: gob.string,
  Origin: gob.uint48,
  Addr: gob.uint32,
  Hostname: gob.string,
  Version: gob.int53,
  Tombstone: gob.int53,
});
const addressMessage = gob.struct('GossipData', {
  Timestamp: gob.int53,
  Entries: gob.slice(addressEntry, 'Entries'),
});

const recordEntry = gob.struct('RecordEntry', {
  ContainerID: gob.string,
  Origin: gob.uint48,
  Type: gob.string,
  Data: gob.string,
  Hostname: gob.string,
  Version: gob.int53,
  Tombstone: gob.int53,
});
const recordMessage = gob.struct('RecordData', {
  Timestamp: gob.int53,
  Entries: gob.slice(recordEntry, 'RecordEntries'),
});

/** What both kinds of entries have. */
type WireEntry = Pick<
  gob.ValueOf<typeof addressEntry>,
  'ContainerID' | 'Origin' | 'Hostname' | 'Version' | 'Tombstone'
>;

const toWire = (entry: NameEntry): WireEntry => ({
  ContainerID: entry.containerId,
  Origin: entry.origin,
  Hostname: entry.hostname,
  Version: entry.version,
  Tombstone: entry.tombstone,
});

const fromWire = (wire: WireEntry): Omit<NameEntry, 'type' | 'data'> => ({
  hostname: wire.Hostname,
  origin: wire.Origin as PeerName,
  containerId: wire.ContainerID,
  version: wire.Version,
  tombstone: wire.Tombstone,
});

const isUsable = ({ Hostname, ContainerID, Version }: WireEntry): boolean =>
  Hostname.length <= MAX_HOSTNAME_CHARS &&
  ContainerID.length <= MAX_CONTAINER_ID_CHARS &&
  Version <= MAX_VERSION;

const sorted = (entries: readonly NameEntry[]): NameEntry[] => [...entries].sort(orderOnWire);

export const addressCodec: NamesCodec = {
  channel: 'nameserver',
  carries: ({ type }) => type === 'A',
  encode({ timestamp, entries }) {
    const Entries = sorted(entries).map((entry) => ({
      ...toWire(entry),
      Addr: parseIpv4(entry.data),
    }));
    return new GobEncoder().encode(addressMessage, { Timestamp: timestamp, Entries }).finish();
  },
  decode(payload) {
    const { Timestamp, Entries } = new GobDecoder(payload).next(addressMessage);
    const usable = Entries.filter(isUsable);
    const entries = usable.map(
      (wire): NameEntry => ({
        ...fromWire(wire),
        type: 'A',
        data: formatIpv4(wire.Addr as Ipv4),
      }),
    );
    return { timestamp: Timestamp, entries, unusable: Entries.length - usable.length };
  },
};

export const recordCodec: NamesCodec = {
  channel: 'nameserver-records',
  carries: ({ type }) => type !== 'A',
  encode({ timestamp, entries }) {
    const Entries = sorted(entries).map((entry) => ({
      ...toWire(entry),
      Type: entry.type,
      Data: entry.data,
    }));
    return new GobEncoder().encode(recordMessage, { Timestamp: timestamp, Entries }).finish();
  },
  decode(payload) {
    const { Timestamp, Entries } = new GobDecoder(payload).next(recordMessage);
    const entries = Entries.filter(isUsable).flatMap((wire): NameEntry[] => {
      const record = parseForeignRecord(wire.Type, wire.Data);
      return record === null ? [] : [{ ...fromWire(wire), ...record }];
    });
    return { timestamp: Timestamp, entries, unusable: Entries.length - entries.length };
  },
};

/** A later version may know more types than this one; its other entries are still good. */
function parseForeignRecord(type: string, data: string) {
  try {
    const record = parseRecord(type, data);
    return record.type === 'A' ? null : record;
  } catch (error) {
    if (error instanceof DecodeError) return null;
    throw error;
  }
}
