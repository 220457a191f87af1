/**
 * First stage inwards: which neighbour a datagram claims to come from.
 * Source: reference/wire-protocol.md 10.3 step 1.
 */
import type { Link } from '../link.js';
import type { Routes } from '../routes.js';
import { NAME_BYTES } from '../wire.js';

/** @returns null if too short; undefined if there is no confirmed connection to the sender. */
export function linkOfDatagram(
  routes: Routes,
  buffer: Uint8Array,
  offset: number,
  bytes: number,
): Link | undefined | null {
  if (bytes < NAME_BYTES) return null;
  return routes.senderLink(buffer, offset);
}
