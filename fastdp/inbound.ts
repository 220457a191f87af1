/**
 * The way of a datagram in: ingest → open → relay → write. This file runs the stages over one
 * received datagram. Source: reference/wire-protocol.md 10.3.
 */
import type { Counters } from './counters.js';
import { DropReason } from './drop-reason.js';
import { linkOfDatagram } from './inbound/ingest.js';
import { openDatagram } from './inbound/open.js';
import type { RecordRelay } from './inbound/relay.js';
import type { Link } from './link.js';
import type { Secretbox } from './ports.js';
import type { Routes } from './routes.js';
import { splitRecords } from './wire.js';

export interface InboundModules {
  readonly routes: Routes;
  readonly relay: RecordRelay;
  readonly secretbox: Secretbox;
  readonly counters: Counters;
}

export class Inbound {
  readonly #modules: InboundModules;

  constructor(modules: InboundModules) {
    this.#modules = modules;
  }

  /**
   * @param buffer receive buffer; the datagram is opened in place.
   * @returns the link whose forwarder was told something, else null.
   */
  handleDatagram(
    buffer: Uint8Array,
    offset: number,
    bytes: number,
    sourceIp: number,
    sourcePort: number,
    nowMs: number,
  ): Link | null {
    const { routes, relay, secretbox, counters } = this.#modules;
    const link = linkOfDatagram(routes, buffer, offset, bytes);
    if (link === null || link === undefined) {
      counters.drop(link === null ? DropReason.datagramTooShort : DropReason.unknownSender);
      return null;
    }
    const reason = openDatagram(link, secretbox, buffer, offset, bytes, nowMs);
    if (reason !== DropReason.none) {
      counters.drop(reason);
      return null;
    }
    if (link.encrypted) counters.datagramsOpened += 1;
    link.traffic.datagramsReceived += 1;
    relay.begin(link, sourceIp, sourcePort, nowMs);
    const recordBytes = bytes - link.overheadBytes;
    counters.drop(splitRecords(buffer, offset + link.headerBytes, recordBytes, relay));
    return relay.toldForwarder ? link : null;
  }
}
