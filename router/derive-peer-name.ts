/**
 * The peer name of a host that was given none, the same after each restart and the same that the
 * original would derive. Source: reference/cli.md 6 "Peer name", wire-protocol.md 4.1.
 */
import { createHash } from 'node:crypto';
import { concatBytes, utf8 } from '../core/bytes.js';
import { WeaveError } from '../core/errors.js';
import { type PeerName, peerNameFromBytes } from '../core/peer-name.js';

const SALT = '9oBJ0Jmip-';

/** Identities of the machine as read from their files, newlines included; absent ones empty. */
export interface SystemIds {
  /** /etc/machine-id or /var/lib/dbus/machine-id. */
  readonly machineId: Uint8Array;
  /** BIOS product UUID, or the hypervisor's. */
  readonly hardwareUuid: Uint8Array;
}

/** @throws {WeaveError} `system-id-missing` if the host has no identity at all. */
export function derivePeerName(ids: SystemIds): PeerName {
  const id = concatBytes(ids.machineId, ids.hardwareUuid);
  if (id.length === 0) {
    throw new WeaveError(
      'system-id-missing',
      'this host has neither /etc/machine-id nor a BIOS UUID to derive a peer name from; ' +
        'give one with --name',
    );
  }
  return peerNameFromSystemId(id);
}

/**
 * First six bytes of SHA-256(salt ‖ id), made a unicast MAC of local administration.
 * @param id any bytes.
 */
export function peerNameFromSystemId(id: Uint8Array): PeerName {
  const hash = createHash('sha256').update(SALT).update(id).digest();
  const bytes = new Uint8Array(hash.subarray(0, 6));
  bytes[0] = ((bytes[0] as number) & 0xfe) | 0x02;
  return peerNameFromBytes(bytes);
}

/** For tests and for callers that have the text. */
export function systemIdsOf(machineId: string, hardwareUuid: string): SystemIds {
  return { machineId: utf8(machineId), hardwareUuid: utf8(hardwareUuid) };
}
