/**
 * Peer names: 48-bit identities written like MAC addresses. They are kept as plain numbers
 * (2^48 < 2^53), which makes them cheap keys and gives the order that routing relies on.
 */
import { DecodeError } from './errors.js';

declare const peerNameBrand: unique symbol;
/** An integer 0 … 2^48−1. 0 means "unknown". Ordered as integers everywhere. */
export type PeerName = number & { readonly [peerNameBrand]: true };

export const UNKNOWN_PEER = 0 as PeerName;
const LIMIT = 2 ** 48;

/** @throws {DecodeError} `peer-name-invalid` unless the value is an integer of 48 bits. */
export function peerNameFromNumber(value: number): PeerName {
  if (!Number.isInteger(value) || value < 0 || value >= LIMIT) {
    throw new DecodeError('peer-name-invalid', `${value} is not a 48-bit peer name`);
  }
  return value as PeerName;
}

/** @throws {DecodeError} `peer-name-invalid` if the value exceeds 48 bits. */
export function peerNameFromBigInt(value: bigint): PeerName {
  if (value < 0n || value >= BigInt(LIMIT)) {
    throw new DecodeError('peer-name-invalid', `${value} is not a 48-bit peer name`);
  }
  return Number(value) as PeerName;
}

/** @param bytes exactly six, big-endian. @throws {DecodeError} `peer-name-invalid`. */
export function peerNameFromBytes(bytes: Uint8Array): PeerName {
  if (bytes.length !== 6) {
    throw new DecodeError('peer-name-invalid', `peer name of ${bytes.length} bytes, expected 6`);
  }
  let value = 0;
  for (const byte of bytes) value = value * 256 + byte;
  return value as PeerName;
}

export function peerNameToBytes(name: PeerName): Uint8Array {
  const out = new Uint8Array(6);
  let rest: number = name;
  for (let i = 5; i >= 0; i--) {
    out[i] = rest % 256;
    rest = Math.floor(rest / 256);
  }
  return out;
}

/** Always the full form: six two-digit lower-case groups. */
export function formatPeerName(name: PeerName): string {
  const hex = name.toString(16).padStart(12, '0');
  return `${hex.slice(0, 2)}:${hex.slice(2, 4)}:${hex.slice(4, 6)}:${hex.slice(6, 8)}:${hex.slice(8, 10)}:${hex.slice(10, 12)}`;
}

const GROUP = /^ *[0-9a-fA-F]{1,2}$/;

/**
 * Six groups of one or two hex digits, or at most four groups with one `::` for the missing ones.
 * Source: reference/wire-protocol.md 4.1, vectors/names.json.
 * @throws {DecodeError} `peer-name-invalid`
 */
export function parsePeerName(text: string): PeerName {
  const invalid = (): DecodeError =>
    new DecodeError(
      'peer-name-invalid',
      `invalid peer name "${text.slice(0, 64)}", expected six hex groups like 82:00:00:00:00:01`,
    );
  if (text.length > 64) throw invalid();
  const halves = text.split('::');
  if (halves.length > 2) throw invalid();
  const groupsOf = (part: string): string[] => (part === '' ? [] : part.split(':'));
  const head = groupsOf(halves[0] as string);
  const tail = halves.length === 2 ? groupsOf(halves[1] as string) : [];
  const count = head.length + tail.length;
  if (halves.length === 1 ? count !== 6 : count < 1 || count > 4) throw invalid();
  const groups = [...head, ...new Array<string>(6 - count).fill('0'), ...tail];
  let value = 0;
  for (const group of groups) {
    if (!GROUP.test(group)) throw invalid();
    value = value * 256 + Number.parseInt(group.trim(), 16);
  }
  return value as PeerName;
}
