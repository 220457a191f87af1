/**
 * Last stage outwards: hands a finished datagram to the port, addressed to where the neighbour's
 * heartbeats come from. Source: reference/wire-protocol.md 10.1.
 */
import type { Link } from '../link.js';
import type { DatagramPort } from '../ports.js';

/**
 * @param bytes of the region reserved last, which holds datagrams of `segmentBytes` each but for the
 *   last, which may be smaller. The link's address must be known.
 */
export function transmit(
  datagrams: DatagramPort,
  link: Link,
  bytes: number,
  segmentBytes: number,
  df: boolean,
): void {
  const { remoteIp, remotePort } = link.forwarder;
  link.traffic.datagramsSent += Math.ceil(bytes / segmentBytes);
  datagrams.commit(bytes, segmentBytes, remoteIp, remotePort, link.sourceIp, df, link.connId);
}
