/**
 * The way of a datagram in on a thread that is not the primary: only lanes of AES-256-GCM are meant
 * for it. Other datagrams get here if they look like one by chance, since the socket is chosen by
 * four bytes (sys/udp.ts); the primary takes them.
 */
import type { Outbox } from './crossing.js';
import { DropReason } from './drop-reason.js';
import { linkOfDatagram } from './inbound/ingest.js';
import { Inbound, type InboundModules } from './inbound.js';
import type { Link } from './link.js';

export class FollowerInbound extends Inbound {
  readonly #modules: InboundModules;
  readonly #primary: Outbox;

  constructor(modules: InboundModules & { readonly primary: Outbox }) {
    super(modules);
    this.#modules = modules;
    this.#primary = modules.primary;
  }

  override handleDatagram(
    buffer: Uint8Array,
    offset: number,
    bytes: number,
    sourceIp: number,
    sourcePort: number,
    nowMs: number,
  ): Link | null {
    const { routes, counters } = this.#modules;
    const link = linkOfDatagram(routes, buffer, offset, bytes);
    if (link === null || link === undefined || link.receiveKeys !== null) {
      return super.handleDatagram(buffer, offset, bytes, sourceIp, sourcePort, nowMs);
    }
    if (!this.#primary.datagram(buffer, offset, bytes, sourceIp, sourcePort)) {
      counters.drop(DropReason.ringFull);
    }
    return null;
  }
}
