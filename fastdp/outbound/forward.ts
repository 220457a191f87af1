/**
 * Second stage outwards, shared with relaying: from peers to links, then through the fitting and
 * sealing stages. A frame never goes back over the link it came from, which ends most loops while
 * routers disagree about the topology. Source: reference/wire-protocol.md 12.3, 12.4, note C15.
 */
import type { PeerName } from '../../core/peer-name.js';
import type { Counters } from '../counters.js';
import { DropReason } from '../drop-reason.js';
import type { FrameInfo } from '../frame.js';
import { buildTooBig, MAX_TOO_BIG_FRAME_BYTES } from '../icmp.js';
import type { LargeFrame } from '../large-frame.js';
import type { Link } from '../link.js';
import { OpenChecksum } from '../open-checksum.js';
import type { Routes } from '../routes.js';
import { MAX_FRAME_BYTES } from '../wire.js';
import { clampMss } from './clamp-mss.js';
import { Fit, type FragmentSink, fitFrame, fragmentFrame } from './fragment.js';
import type { Sealer } from './seal.js';

/**
 * Takes an ICMP answer that the stage made: a frame at `buffer[0]`, from the peer the offending
 * frame was for, to the peer it came from. Valid during the call.
 */
export type AnswerSink = (
  buffer: Uint8Array,
  frameBytes: number,
  source: PeerName,
  destination: PeerName,
) => void;

/**
 * Where the frames of a flow go. Names start as null, which makes V8 keep each as an object that is
 * handed on as it is, where a bare double would become a new one for every frame.
 */
export class Flow {
  link: Link | null = null;
  source: PeerName | null = null;
  destination: PeerName | null = null;
}

export interface ForwardModules {
  readonly routes: Routes;
  readonly sealer: Sealer;
  readonly counters: Counters;
}

export class FrameForwarding implements FragmentSink {
  readonly #routes: Routes;
  readonly #sealer: Sealer;
  readonly #counters: Counters;
  readonly #open = new OpenChecksum();
  readonly #answer = new Uint8Array(MAX_TOO_BIG_FRAME_BYTES);
  /** Fragments are built here one after the other; each is copied before the next. */
  readonly #fragment = new Uint8Array(MAX_FRAME_BYTES + 14);
  /** Where the fragments of the frame in hand go. */
  #fragmentLink: Link | null = null;
  #fragmentSource = 0 as PeerName;
  #fragmentDestination = 0 as PeerName;
  #fragmentResult: DropReason = DropReason.none;
  /** Set once by the owner before the first frame. */
  onAnswer: AnswerSink = () => {};

  constructor(modules: ForwardModules) {
    this.#routes = modules.routes;
    this.#sealer = modules.sealer;
    this.#counters = modules.counters;
  }

  /** The link that frames for a peer leave by, or null. */
  linkTo(destination: PeerName): Link | null {
    return this.#routes.nextLink(destination);
  }

  /** As `unicast` of a frame that starts here, for a flow whose link is known. */
  sendAlong(
    flow: Flow,
    info: FrameInfo,
    buffer: Uint8Array,
    offset: number,
    frameBytes: number,
  ): DropReason {
    const link = flow.link as Link;
    const source = flow.source as PeerName;
    const destination = flow.destination as PeerName;
    return this.#counters.drop(
      this.#send(link, info, buffer, offset, frameBytes, source, destination, false),
    );
  }

  /** @param from link the frame was received over; null if it starts here. */
  unicast(
    info: FrameInfo,
    buffer: Uint8Array,
    offset: number,
    frameBytes: number,
    source: PeerName,
    destination: PeerName,
    from: Link | null,
  ): DropReason {
    const link = this.#routes.nextLink(destination);
    if (link === null) {
      const reason = this.#routes.hasRoute(destination)
        ? DropReason.noConnection
        : DropReason.noRoute;
      return this.#counters.drop(reason);
    }
    if (link === from) return this.#counters.drop(DropReason.returnsToSender);
    return this.#counters.drop(
      this.#send(link, info, buffer, offset, frameBytes, source, destination, false),
    );
  }

  /**
   * A large TCP frame of a flow whose link is known.
   * @param info of a full segment of it.
   * @returns false if its segments are to go singly; nothing has been done then.
   */
  sendLargeAlong(flow: Flow, info: FrameInfo, frame: LargeFrame): boolean {
    const link = flow.link as Link;
    const source = flow.source as PeerName;
    const destination = flow.destination as PeerName;
    const { remotePort, mtu, stackFragmentationTrusted } = link.forwarder;
    if (remotePort === 0) return false;
    const frameBytes = frame.headerBytes + frame.segmentBytes;
    const fit = fitFrame(info, frameBytes, mtu, stackFragmentationTrusted, false);
    if (fit !== Fit.df && fit !== Fit.nonDf) return false;
    return this.#sealer.appendLarge(link, fit === Fit.df, source, destination, frame);
  }

  /** @returns `none` if at least one neighbour gets the frame. */
  broadcast(
    info: FrameInfo,
    buffer: Uint8Array,
    offset: number,
    frameBytes: number,
    source: PeerName,
    from: Link | null,
  ): DropReason {
    const links = this.#routes.broadcastLinks(source);
    let result: DropReason = DropReason.noRoute;
    for (let i = 0; i < links.length; i++) {
      const link = links[i] as Link;
      const reason =
        link === from
          ? DropReason.returnsToSender
          : this.#send(link, info, buffer, offset, frameBytes, source, link.remotePeer, true);
      this.#counters.drop(reason);
      if (result !== DropReason.none) result = reason;
    }
    return result;
  }

  /** Completes the frame's checksum in place if it is open. */
  completeChecksum(buffer: Uint8Array, offset: number, frameBytes: number): void {
    this.#open.complete(buffer, offset, frameBytes);
  }

  handleFragment(buffer: Uint8Array, frameBytes: number): boolean {
    this.#fragmentResult = this.#sealer.append(
      this.#fragmentLink as Link,
      true,
      this.#fragmentSource,
      this.#fragmentDestination,
      buffer,
      0,
      frameBytes,
    );
    return this.#fragmentResult === DropReason.none;
  }

  /** Fits the frame to the link and passes it on; the caller counts the result. */
  #send(
    link: Link,
    info: FrameInfo,
    buffer: Uint8Array,
    offset: number,
    frameBytes: number,
    source: PeerName,
    destination: PeerName,
    isBroadcast: boolean,
  ): DropReason {
    const forwarder = link.forwarder;
    if (forwarder.remotePort === 0) return DropReason.noAddress;
    const mtu = forwarder.mtu;
    const trusted = forwarder.stackFragmentationTrusted;
    const checksum = info.mayBeOpen ? this.#open : null;
    if (clampMss(info, buffer, offset, frameBytes, mtu, checksum)) this.#counters.mssClamped += 1;
    const fit = fitFrame(info, frameBytes, mtu, trusted, isBroadcast);
    const goesWhole = fit === Fit.df || fit === Fit.nonDf;
    if (info.mayBeOpen && !(goesWhole && link.openChecksums)) {
      this.#open.complete(buffer, offset, frameBytes);
    }
    switch (fit) {
      case Fit.df:
      case Fit.nonDf:
        return this.#sealer.append(
          link,
          fit === Fit.df,
          source,
          destination,
          buffer,
          offset,
          frameBytes,
        );
      case Fit.fragment:
        this.#fragmentLink = link;
        this.#fragmentSource = source;
        this.#fragmentDestination = destination;
        return fragmentFrame(info, buffer, offset, frameBytes, mtu, this.#fragment, this)
          ? this.#fragmentResult
          : DropReason.notFragmentable;
      case Fit.answer: {
        const bytes = buildTooBig(this.#answer, info, buffer, offset, frameBytes, mtu);
        if (bytes === 0) return DropReason.tooBigSilent;
        this.onAnswer(this.#answer, bytes, destination, source);
        return DropReason.tooBigAnswered;
      }
      case Fit.drop:
        return DropReason.tooBigBroadcast;
    }
  }
}
