/**
 * Why a frame or a datagram went no further. Stages return one of these numbers instead of
 * throwing, and each has its own counter. The kebab-case names are the stable interface: metrics
 * and reports use them, so they are never renamed.
 */
export const DropReason = {
  /** Not dropped. */
  none: 0,
  /** Fewer than 14 bytes: no Ethernet header. */
  frameTooShort: 1,
  /** More than 65 535 bytes, which no record can hold. */
  frameTooLong: 2,
  /** Sent to the spanning-tree address, which must not leave the host. */
  spanningTree: 3,
  /** Captured although both ends are on this host; the bridge has delivered it. */
  localDestination: 4,
  /** Captured with the source address of a remote workload: our own injection coming back. */
  macReflected: 5,
  /** The topology offers no way to the destination, or nobody is there for a broadcast. */
  noRoute: 6,
  /** The next hop is known, but no confirmed connection leads to it. */
  noConnection: 7,
  /** The inbound end has not heard a heartbeat yet, so the neighbour's address is unknown. */
  noAddress: 8,
  /** A don't-fragment frame on a broadcast route that exceeds the path MTU. */
  tooBigBroadcast: 9,
  /** Exceeds the path MTU; the sender was told by ICMP. */
  tooBigAnswered: 10,
  /** Exceeds the path MTU, and the rules of ICMP forbid to answer. */
  tooBigSilent: 11,
  /** Does not fit into a datagram of its class. */
  exceedsDatagram: 12,
  /** An IPv4 frame to be fragmented is shorter than its header says, or its MTU leaves no room. */
  notFragmentable: 13,
  /** The next hop is the neighbour the frame came from. */
  returnsToSender: 14,
  /** Received, but sent by this very router. */
  sourceIsSelf: 15,
  /** Names a source or destination that is not in the topology. */
  unknownPeer: 16,
  /** A datagram of a router we have no confirmed connection to. */
  unknownSender: 17,
  datagramTooShort: 18,
  /** Does not open under its key. */
  forged: 19,
  replayed: 20,
  /** A record is longer than what is left of its datagram. */
  recordTruncated: 21,
  /** 1 to 13 bytes after the last record. */
  trailingBytes: 22,
  /** A special frame that is not from the neighbour to us. */
  specialMisdirected: 23,
  /** A heartbeat with another connection's identity. */
  heartbeatMismatch: 24,
  /** Unencrypted and not from the neighbour's address. */
  foreignSource: 25,
  /** The TAP device did not take the frame. */
  tapRefused: 26,
  /** More path tests than a peer has reason to send. */
  testFlood: 27,
  /** EMSGSIZE. */
  sendTooBig: 28,
  /** ECONNREFUSED. */
  sendRefused: 29,
  /** ENETUNREACH or EHOSTUNREACH. */
  sendUnreachable: 30,
  /** ENOBUFS, ENOMEM or EAGAIN. */
  sendNoBuffers: 31,
  /** EPERM or EACCES: the firewall of this host. */
  sendForbidden: 32,
  sendFailed: 33,
  /** Sealed under a key that is not, or no longer, at hand. */
  epochUnknown: 34,
  /** Of a lane beyond the limit, or one that another thread takes (see lanes.ts). */
  laneUnknown: 35,
  /** For another thread, which does not keep up: the ring between the two is full. */
  ringFull: 36,
} as const;

export type DropReason = (typeof DropReason)[keyof typeof DropReason];

/** Names by number, in kebab-case: `frame-too-short`. */
export const DROP_REASON_NAMES: readonly string[] = Object.keys(DropReason).map((key) =>
  key.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`),
);

/** The counter for a failed send. @param errno positive Linux error number. */
export function sendFailureReason(errno: number): DropReason {
  switch (errno) {
    case 90:
      return DropReason.sendTooBig;
    case 111:
      return DropReason.sendRefused;
    case 101:
    case 113:
      return DropReason.sendUnreachable;
    case 11:
    case 12:
    case 105:
      return DropReason.sendNoBuffers;
    case 1:
    case 13:
      return DropReason.sendForbidden;
    default:
      return DropReason.sendFailed;
  }
}
