/**
 * The sealing stage of a thread that is not the primary: frames for a neighbour that does not keep
 * threads apart (one that announces no lanes) are handed to the primary, in order.
 */
import type { PeerName } from '../../core/peer-name.js';
import type { Outbox } from '../crossing.js';
import { DropReason } from '../drop-reason.js';
import type { LargeFrame } from '../large-frame.js';
import type { Link } from '../link.js';
import { Sealer, type SealerModules } from './seal.js';

export class FollowerSealer extends Sealer {
  readonly #primary: Outbox;

  constructor(
    options: { readonly localPeer: PeerName },
    modules: SealerModules & { readonly primary: Outbox },
  ) {
    super(options, modules);
    this.#primary = modules.primary;
  }

  /** @returns also `ringFull`. */
  override append(
    link: Link,
    df: boolean,
    source: PeerName,
    destination: PeerName,
    buffer: Uint8Array,
    offset: number,
    frameBytes: number,
  ): DropReason {
    if (!link.sealedElsewhere) {
      return super.append(link, df, source, destination, buffer, offset, frameBytes);
    }
    const primary = this.#primary;
    const { connId } = link;
    return primary.record(connId, df, source, destination, buffer, offset, frameBytes)
      ? DropReason.none
      : DropReason.ringFull;
  }

  override appendLarge(
    link: Link,
    df: boolean,
    source: PeerName,
    destination: PeerName,
    frame: LargeFrame,
  ): boolean {
    if (link.sealedElsewhere) return false;
    return super.appendLarge(link, df, source, destination, frame);
  }
}
