/**
 * What a router says of itself to its local network, so that others may call it.
 *
 *   0  4  "WvLA"       4  1  version 1     5  1  zero      6  2  TCP port
 *   8  6  peer name   14  8  milliseconds since 1970       22 32  HMAC-SHA256 of all before
 *
 * The key comes from the network's password by scrypt, so that who listens has to spend as much on
 * a guess as on one against the handshake, and more. Nothing in it is secret, and neither a false
 * nor a repeated one does more than make us call an address, where the handshake decides. Routers
 * without a password use a key that everybody knows: for them it is a check sum.
 */
import { createHmac, scryptSync, timingSafeEqual } from 'node:crypto';
import { ByteReader, ByteWriter, concatBytes } from '../core/bytes.js';
import { WeaveError } from '../core/errors.js';
import type { PeerName } from '../core/peer-name.js';

export const ANNOUNCEMENT_BYTES = 54;
const MAC_BYTES = 32;
const MAGIC = 0x57764c41;
const VERSION = 1;
const KEY_BYTES = 32;
const SALT = 'weave-net lan announcement';
/** 16 MB and some 50 ms, once. */
const SCRYPT_COST = 16_384;

export interface Announcement {
  readonly name: PeerName;
  /** Where it accepts connections. */
  readonly port: number;
  /** Its wall clock, milliseconds since 1970. */
  readonly atMs: number;
}

/** @param password null: none. @returns 32 bytes; secret if the password is. */
export function announcementKey(password: Uint8Array | null): Uint8Array {
  if (password === null || password.length === 0) return new Uint8Array(KEY_BYTES);
  return new Uint8Array(scryptSync(password, SALT, KEY_BYTES, { N: SCRYPT_COST }));
}

export function encodeAnnouncement(announcement: Announcement, key: Uint8Array): Uint8Array {
  const { name, port, atMs } = announcement;
  const writer = new ByteWriter(ANNOUNCEMENT_BYTES);
  const content = writer.u32be(MAGIC).u8(VERSION).u8(0).u16be(port).u48be(name).u64be(BigInt(atMs));
  const bytes = content.finish();
  return concatBytes(bytes, macOf(bytes, key));
}

/**
 * @throws {WeaveError} `announcement-malformed`; `announcement-password`: of a network with another
 *   password, or with one where we have none.
 */
export function decodeAnnouncement(bytes: Uint8Array, key: Uint8Array): Announcement {
  const malformed = (what: string): WeaveError => new WeaveError('announcement-malformed', what);
  if (bytes.length !== ANNOUNCEMENT_BYTES) {
    throw malformed(`${bytes.length} bytes instead of ${ANNOUNCEMENT_BYTES}`);
  }
  const reader = new ByteReader(bytes);
  if (reader.u32be() !== MAGIC) throw malformed('it does not begin like one');
  const version = reader.u8();
  if (version !== VERSION) throw malformed(`version ${version} is not known`);
  reader.u8();
  const port = reader.u16be();
  const name = reader.u48be() as PeerName;
  const atMs = Number(reader.u64be());
  const mac = macOf(bytes.subarray(0, ANNOUNCEMENT_BYTES - MAC_BYTES), key);
  if (!timingSafeEqual(mac, bytes.subarray(ANNOUNCEMENT_BYTES - MAC_BYTES))) {
    throw new WeaveError('announcement-password', 'made with another password');
  }
  if (port === 0) throw malformed('port 0');
  return { name, port, atMs };
}

const macOf = (content: Uint8Array, key: Uint8Array): Uint8Array =>
  createHmac('sha256', key).update(content).digest();
