/**
 * Last stage outwards: hands a finished datagram to the port, addressed to where the neighbour's
 * heartbeats come from. Source: reference/wire-protocol.md 10.1.
 */
import type { Link } from '../link.js';
import type { DatagramPort } from '../ports.js';

/** @param bytes of the region reserved last. The link's address must be known. */
export function transmit(datagrams: DatagramPort, link: Link, bytes: number, df: boolean): void {
  const forwarder = link.forwarder;
  link.traffic.datagramsSent += 1;
  datagrams.commit(bytes, forwarder.remoteIp, forwarder.remotePort, link.sourceIp, df, link.connId);
}
