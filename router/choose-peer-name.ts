/**
 * Under which name this router joins the mesh, in the original's order: the option, the MAC
 * address of a bridge that is there already (how a router is taken over from Weave Net 2), the
 * name of the last run, one derived from the machine, a random one.
 * Source: reference/cli.md 6 "Peer name".
 */
import { WeaveError } from '../core/errors.js';
import {
  type PeerName,
  parsePeerName,
  peerNameFromBytes,
  UNKNOWN_PEER,
} from '../core/peer-name.js';
import type { Random } from '../core/random.js';
import { derivePeerName, type SystemIds } from './derive-peer-name.js';

export type PeerNameSource = 'option' | 'bridge' | 'last run' | 'machine' | 'random';

export interface PeerNameInput {
  readonly option: PeerName | null;
  /** Text form; null if there is no bridge yet. */
  readonly bridgeMac: string | null;
  /** Text form, from the stored state. */
  readonly stored: string | null;
  readonly systemIds: SystemIds;
}

export function choosePeerName(
  input: PeerNameInput,
  random: Random,
): { readonly name: PeerName; readonly source: PeerNameSource } {
  if (input.option !== null) return { name: input.option, source: 'option' };
  const bridge = input.bridgeMac === null ? UNKNOWN_PEER : parsePeerName(input.bridgeMac);
  if (bridge !== UNKNOWN_PEER) return { name: bridge, source: 'bridge' };
  if (input.stored !== null) return { name: parsePeerName(input.stored), source: 'last run' };
  try {
    return { name: derivePeerName(input.systemIds), source: 'machine' };
  } catch (error) {
    if (!(error instanceof WeaveError)) throw error;
    const bytes = random.bytes(6);
    // A unicast address of local administration, as the bridge takes it for its MAC.
    bytes[0] = ((bytes[0] as number) & 0xfe) | 0x02;
    return { name: peerNameFromBytes(bytes), source: 'random' };
  }
}
