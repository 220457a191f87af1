/**
 * Control messages: what follows the feature map inside the frames of a session.
 *
 *   tag u8 ‖ payload
 *
 * Payloads of gossip are gob streams, those of overlay control fixed bytes. Functions here encode
 * and decode payloads; the tag travels beside them (`Connection.send(tag, payload)`).
 * Source: reference/wire-protocol.md 3.8, 5.2, 9.4.
 */
import { concatBytes } from '../core/bytes.js';
import { GobDecoder, GobEncoder, gob } from '../core/gob/index.js';
import type { PeerName } from '../core/peer-name.js';

export const TAG = {
  heartbeat: 0,
  sleeveEstablished: 1,
  sleeveFragmentationReceived: 2,
  sleevePmtuVerified: 3,
  gossip: 4,
  gossipUnicast: 5,
  gossipBroadcast: 6,
  overlayControl: 7,
} as const;

/** Gossip and broadcast. */
export interface GossipMessage {
  readonly channel: string;
  /** Gossip: who sent it on this connection. Broadcast: who said it first. */
  readonly source: PeerName;
  readonly payload: Uint8Array;
}

export interface UnicastMessage extends GossipMessage {
  readonly destination: PeerName;
}

export interface OverlayControlMessage {
  /** Which of the common overlays, in the order of the list; 0 with old-style control. */
  readonly forwarderIndex: number;
  readonly subTag: number;
  readonly data: Uint8Array;
}

/** For tags 4 and 6. */
export function encodeGossip(message: GossipMessage): Uint8Array {
  return new GobEncoder()
    .encode(gob.string, message.channel)
    .encode(gob.uint48, message.source)
    .encode(gob.bytes, message.payload)
    .finish();
}

/**
 * For tags 4 and 6. The payload is a view of the input.
 * @throws {DecodeError} also for sources that are no 48-bit names
 */
export function decodeGossip(payload: Uint8Array): GossipMessage {
  const decoder = new GobDecoder(payload);
  return {
    channel: decoder.next(gob.string),
    source: decoder.next(gob.uint48) as PeerName,
    payload: decoder.next(gob.bytes),
  };
}

/** For tag 5. */
export function encodeUnicast(message: UnicastMessage): Uint8Array {
  return new GobEncoder()
    .encode(gob.string, message.channel)
    .encode(gob.uint48, message.source)
    .encode(gob.uint48, message.destination)
    .encode(gob.bytes, message.payload)
    .finish();
}

/** For tag 5. The payload is a view of the input. @throws {DecodeError} as decodeGossip */
export function decodeUnicast(payload: Uint8Array): UnicastMessage {
  const decoder = new GobDecoder(payload);
  return {
    channel: decoder.next(gob.string),
    source: decoder.next(gob.uint48) as PeerName,
    destination: decoder.next(gob.uint48) as PeerName,
    payload: decoder.next(gob.bytes),
  };
}

/** A message's tag with its payload, for `Connection.send`. */
export interface TaggedPayload {
  readonly tag: number;
  readonly payload: Uint8Array;
}

/**
 * @param oldStyle the peer sent no `Overlays` feature: the sub-tag (1 to 3) takes the place of the
 *   tag. A wrong choice crashes a peer that runs the original, as does an index outside the list.
 */
export function encodeOverlayControl(
  message: OverlayControlMessage,
  oldStyle: boolean,
): TaggedPayload {
  if (oldStyle) return { tag: message.subTag, payload: message.data };
  const head = Uint8Array.of(message.forwarderIndex, message.subTag);
  return { tag: TAG.overlayControl, payload: concatBytes(head, message.data) };
}

/**
 * Reads tags 1, 2, 3 and 7. Like the original, a session with negotiated overlays does not look at
 * the tag.
 * @returns null for what must be ignored: fewer than two bytes, or tag 7 from an old-style peer
 */
export function decodeOverlayControl(
  tag: number,
  payload: Uint8Array,
  oldStyle: boolean,
): OverlayControlMessage | null {
  if (oldStyle) {
    return tag === TAG.overlayControl ? null : { forwarderIndex: 0, subTag: tag, data: payload };
  }
  const [forwarderIndex, subTag] = payload;
  if (forwarderIndex === undefined || subTag === undefined) return null;
  return { forwarderIndex, subTag, data: payload.subarray(2) };
}

/** Handed to the connection's overlay. */
export function isOverlayTag(tag: number): boolean {
  return (
    tag === TAG.overlayControl || (tag >= TAG.sleeveEstablished && tag <= TAG.sleevePmtuVerified)
  );
}
