/**
 * The MAC table of a router with several threads: each has one, and tells the others what it sees.
 * What changes is told at once, what stays true twice a second while frames come, so that no
 * thread forgets an address that lives on another, and that each knows within this time when a
 * remote workload was heard last (the guard against reflections in mac-table.ts).
 */
import type { PeerName } from '../core/peer-name.js';
import { MacTable, type MacTableOptions } from './mac-table.js';

const REPEAT_MS = 500;
const DEFAULT_MAX_MACS = 65_536;

/** @returns false if the others could not be told; it is tried again with the next frame. */
export type TellAddress = (mac: number, peer: PeerName) => boolean;

interface Told {
  peer: PeerName;
  atMs: number;
}

export class ToldMacTable extends MacTable {
  readonly #localPeer: PeerName;
  readonly #tell: TellAddress;
  readonly #maxTold: number;
  /** What the others know from us. BOUNDED by the size of the table; emptied when it is met. */
  readonly #told = new Map<number, Told>();

  constructor(options: MacTableOptions, tell: TellAddress) {
    super(options);
    this.#localPeer = options.localPeer;
    this.#tell = tell;
    this.#maxTold = options.maxMacs ?? DEFAULT_MAX_MACS;
  }

  override learnLocal(mac: number, nowMs: number): boolean {
    if (!super.learnLocal(mac, nowMs)) return false;
    this.#tellOthers(mac, this.#localPeer, nowMs);
    return true;
  }

  override learnRemote(mac: number, peer: PeerName, nowMs: number): void {
    super.learnRemote(mac, peer, nowMs);
    this.#tellOthers(mac, peer, nowMs);
  }

  /** Another thread has seen it. */
  learnTold(mac: number, peer: PeerName, nowMs: number): void {
    if (peer === this.#localPeer) super.learnLocal(mac, nowMs);
    else super.learnRemote(mac, peer, nowMs);
    // Should it come back here, the others have to hear of it at once.
    const told = this.#told.get(mac);
    if (told !== undefined && told.peer !== peer) this.#told.delete(mac);
  }

  #tellOthers(mac: number, peer: PeerName, nowMs: number): void {
    const told = this.#told.get(mac);
    if (told !== undefined && told.peer === peer && nowMs - told.atMs < REPEAT_MS) return;
    // Group and zero addresses are nobody's.
    if (this.lookup(mac) !== peer || !this.#tell(mac, peer)) return;
    if (told !== undefined) {
      told.peer = peer;
      told.atMs = nowMs;
      return;
    }
    if (this.#told.size >= this.#maxTold) this.#told.clear();
    this.#told.set(mac, { peer, atMs: nowMs });
  }
}
