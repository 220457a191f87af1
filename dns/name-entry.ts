/**
 * One entry of the name table: a name, what it stands for, who said so, and which of its versions
 * this is. Entries never change; a newer version replaces the object.
 * Source: reference/weavedns.md 2, 4.3.
 */
import { parseIpv4 } from '../core/ip.js';
import type { PeerName } from '../core/peer-name.js';
import type { RecordData } from './record-data.js';

export interface NameEntry extends RecordData {
  /** With final dot, in the spelling of its registration. */
  readonly hostname: string;
  /** The peer that registered it; nobody else changes it. */
  readonly origin: PeerName;
  /** Container id, namespace, `weave:expose` for the host, `weave:extern` for the outside world. */
  readonly containerId: string;
  /** Starts at 0. */
  readonly version: number;
  /** 0: alive. Else Unix time of its removal in seconds. */
  readonly tombstone: number;
}

export const isLive = ({ tombstone }: NameEntry): boolean => tombstone === 0;

/** Equal for versions of the same entry. The spelling of the name counts, as for the original. */
export function identityOf(entry: Omit<NameEntry, 'version' | 'tombstone'>): string {
  const { hostname, origin, containerId, type, data } = entry;
  return `${hostname}\0${origin}\0${containerId}\0${type}\0${data}`;
}

/** A higher version wins whatever it says; of equal versions the later removal does. */
export function supersedes(received: NameEntry, known: NameEntry): boolean {
  if (received.version !== known.version) return received.version > known.version;
  return received.tombstone > known.tombstone;
}

type Order = (a: NameEntry, b: NameEntry) => number;

const compareTexts = (a: string, b: string): number => (a === b ? 0 : a < b ? -1 : 1);

const orderWithin: Order = (a, b) =>
  a.origin - b.origin ||
  compareTexts(a.containerId, b.containerId) ||
  compareTexts(a.type, b.type) ||
  (a.type === 'A' ? parseIpv4(a.data) - parseIpv4(b.data) : compareTexts(a.data, b.data));

/** On the wire: the name as spelt, upper case first. */
export const orderOnWire: Order = (a, b) =>
  compareTexts(a.hostname, b.hostname) || orderWithin(a, b);

/** In listings: the name without regard to case. */
export const orderInLists: Order = (a, b) =>
  compareTexts(a.hostname.toLowerCase(), b.hostname.toLowerCase()) || orderWithin(a, b);
