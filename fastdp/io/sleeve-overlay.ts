/**
 * The main thread's end of the data plane: an Overlay whose calls become commands to its threads,
 * and whose events are the reports of the first. It also watches whether the threads live.
 */
import { WeaveError } from '../../core/errors.js';
import type { Logger } from '../../core/log.js';
import type { PeerName } from '../../core/peer-name.js';
import type {
  ForwardingTables,
  Overlay,
  OverlayEvent,
  OverlayPeering,
} from '../../mesh/overlay.js';
import { EventFd } from '../../sys/eventfd.js';
import { LinkBoard } from '../link-board.js';
import type { QueueStart } from './data-plane.worker.js';
import { DataPlaneThread } from './data-plane-thread.js';
import { createQueueLinks, type QueueLinks } from './loop-queue.js';
import { mergeStatus } from './merge-status.js';
import type { Command, DeviceEvent, Report, SleeveOptions, SleeveStatus } from './messages.js';

/** A healthy loop answers within milliseconds; beyond this it hangs. */
const STATUS_TIMEOUT_MS = 3000;
/** The loop notices `close` at its next round; beyond this it is ended by force. */
const CLOSE_TIMEOUT_MS = 2000;
/** A thread takes some hundred milliseconds to load. */
const LOADED_POLL_MS = 5;
/** Requests of status that wait at the same time. */
const MAX_STATUS_REQUESTS = 64;

interface StatusRequest {
  /** By thread, as they answer. */
  readonly answers: (SleeveStatus | undefined)[];
  readonly resolve: (status: SleeveStatus) => void;
  readonly reject: (error: Error) => void;
  readonly timer: NodeJS.Timeout;
}

type ReadyReport = Extract<Report, { type: 'ready' }>;

export class SleeveOverlay implements Overlay {
  readonly name = 'sleeve';
  onEvent: (event: OverlayEvent) => void = () => {};
  /** Health of device and threads; see DeviceEvent for what each asks of the owner. */
  onDeviceEvent: (event: DeviceEvent) => void = () => {};
  readonly #log: Logger;
  /** The primary first. BOUNDED by MAX_QUEUES; complete once the overlay runs. */
  readonly #threads: DataPlaneThread[] = [];
  /** One for each thread. They wake each other, so all stay open until the last has ended. */
  readonly #wakes: readonly EventFd[];
  #liveThreads = 0;
  /** BOUNDED by MAX_STATUS_REQUESTS; each is answered or times out. */
  readonly #statusRequests = new Map<number, StatusRequest>();
  #nextRequestId = 1;
  #ready: ReadyReport | null = null;
  /** Threads that are not ready yet. */
  #awaited = 1;
  #state: 'starting' | 'running' | 'closing' | 'ended' = 'starting';
  /** Why a thread ended, for the error of later calls. */
  #endText = 'it was closed';
  #settleStart: { resolve: () => void; reject: (error: Error) => void } | null = null;

  private constructor(options: SleeveOptions, log: Logger) {
    this.#log = log;
    const count = options.queues ?? 1;
    this.#wakes = Array.from({ length: count }, () => EventFd.create());
    const links = count === 1 ? null : createQueueLinks(this.#wakes.map(({ fd }) => fd));
    const queue = links === null ? null : { index: 0, count, links, given: null };
    this.#startThread(options, queue, (ready) => {
      this.#ready = ready;
      this.#awaited = ready.sockets.length;
      if (links !== null) this.#startFollowers(options, ready, links);
      this.#checkStarted();
    });
  }

  /** There may be fewer than wished for, or none. */
  #startFollowers(options: SleeveOptions, ready: ReadyReport, links: QueueLinks): void {
    const { tapName, offloads } = ready;
    const count = ready.sockets.length + 1;
    for (const [i, sockets] of ready.sockets.entries()) {
      const place = { index: i + 1, count, links, given: { sockets, offloads } };
      const follower = this.#startThread({ ...options, tapName }, place, () => {
        this.#awaited--;
        this.#checkStarted();
      });
      follower.gate.open();
    }
  }

  #startThread(
    options: SleeveOptions,
    queue: QueueStart | null,
    onReady: (report: ReadyReport) => void,
  ): DataPlaneThread {
    const index = queue?.index ?? 0;
    const thread = new DataPlaneThread(options, queue, {
      wake: this.#wakes[index] as EventFd,
      onReport: (report) => {
        if (report.type === 'ready') onReady(report);
        else this.#handleReport(report, index);
      },
      onExit: (text) => this.#handleExit(text),
    });
    this.#liveThreads++;
    this.#threads.push(thread);
    return thread;
  }

  #checkStarted(): void {
    if (this.#awaited > 0 || this.#state !== 'starting') return;
    this.#state = 'running';
    this.#settleStart?.resolve();
  }

  /**
   * Opens device and sockets in a new thread, or several.
   * @param modules.openAfter the thread starts at once, but opens them only when this resolves. A
   *   function is called when the thread has loaded everything and would open them.
   * @throws {WeaveError} `udp-port-in-use`, or an errno name with a sentence for the user, e.g.
   *   that /dev/net/tun is missing. Nothing stays open then.
   */
  static async start(
    options: SleeveOptions,
    modules: { readonly log: Logger; readonly openAfter?: Promise<void> | (() => Promise<void>) },
  ): Promise<SleeveOverlay> {
    const overlay = new SleeveOverlay(options, modules.log);
    const started = new Promise<void>((resolve, reject) => {
      overlay.#settleStart = { resolve, reject };
    });
    const { openAfter = Promise.resolve() } = modules;
    const awaited = typeof openAfter === 'function' ? overlay.#whenLoaded(openAfter) : openAfter;
    const allowed = awaited.then(
      () => overlay.#threads[0]?.gate.open(),
      (error: unknown) => {
        overlay.#threads[0]?.gate.cancel();
        throw error;
      },
    );
    try {
      await Promise.all([allowed, started]);
      return overlay;
    } catch (error) {
      overlay.#closeThreads();
      throw error;
    }
  }

  /** A thread that fails while it loads ends the start by itself; `next` is not called then. */
  async #whenLoaded(next: () => Promise<void>): Promise<void> {
    while (this.#threads[0]?.gate.arrived !== true) {
      if (this.#state !== 'starting') throw this.#endedError();
      await new Promise((resolve) => setTimeout(resolve, LOADED_POLL_MS));
    }
    await next();
  }

  /** Name of the TAP device. */
  get tapName(): string {
    return this.#ready?.tapName ?? '';
  }

  /** UDP port bound. */
  get port(): number {
    return this.#ready?.port ?? 0;
  }

  /** Which library seals, e.g. `libsodium.so.23`. */
  get cryptoLibrary(): string {
    return this.#ready?.cryptoLibrary ?? '';
  }

  prepare(peering: OverlayPeering): void {
    const board = this.#threads.length > 1 ? LinkBoard.createBuffer() : null;
    this.#sendAll({ type: 'prepare', peering, board });
  }

  confirm(connId: number): void {
    this.#sendAll({ type: 'confirm', connId });
  }

  handleControl(connId: number, subTag: number, data: Uint8Array): void {
    // The primary alone leads the life of connections.
    if (this.#state === 'running')
      this.#threads[0]?.send({ type: 'control', connId, subTag, data });
  }

  stop(connId: number): void {
    this.#sendAll({ type: 'stop', connId });
  }

  setForwarding(tables: ForwardingTables): void {
    this.#sendAll({ type: 'forwarding', tables });
  }

  forgetPeer(peer: PeerName): void {
    this.#sendAll({ type: 'forget-peer', peer });
  }

  /** @throws {WeaveError} `data-plane-stuck` or `data-plane-ended`. */
  status(): Promise<SleeveStatus> {
    if (this.#state !== 'running') return Promise.reject(this.#endedError());
    if (this.#statusRequests.size >= MAX_STATUS_REQUESTS) return Promise.reject(stuckError());
    const requestId = this.#nextRequestId++;
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        this.#statusRequests.delete(requestId);
        reject(stuckError());
      }, STATUS_TIMEOUT_MS);
      timer.unref();
      this.#statusRequests.set(requestId, { answers: [], resolve, reject, timer });
      this.#sendAll({ type: 'status', requestId });
    });
  }

  /** Since the slowest loop began its last round: below a second unless it hangs. */
  loopAgeMs(): number {
    if (this.#state !== 'running') return Number.POSITIVE_INFINITY;
    return Math.max(...this.#threads.map((thread) => thread.ageMs()));
  }

  /** Ends the threads and closes device and sockets. Resolves when that is done. */
  async close(): Promise<void> {
    if (this.#state === 'running') this.#closeThreads();
    await Promise.all(this.#threads.map(({ exited }) => exited));
  }

  #closeThreads(): void {
    this.#state = 'closing';
    for (const thread of this.#threads) {
      thread.gate.cancel();
      thread.send({ type: 'close' });
      const timer = setTimeout(() => void thread.terminate(), CLOSE_TIMEOUT_MS);
      void thread.exited.then(() => clearTimeout(timer));
    }
  }

  #sendAll(command: Command): void {
    if (this.#state !== 'running') return;
    for (const thread of this.#threads) thread.send(command);
  }

  #handleReport(report: Exclude<Report, ReadyReport>, index: number): void {
    switch (report.type) {
      case 'start-failed':
        this.#settleStart?.reject(new WeaveError(report.code, report.text));
        return;
      case 'event':
        // Nothing is told any more to an owner who has closed. The followers have no word in it.
        if (this.#state === 'running' && index === 0) this.onEvent(report.event);
        return;
      case 'device':
        // All have a queue of the same device: what happens to it is told once.
        if (this.#state === 'running' && index === 0) this.onDeviceEvent(report.event);
        return;
      case 'status':
        this.#takeStatus(report.requestId, report.status, index);
        return;
      case 'log':
        this.#log[report.level](report.text, report.fields);
    }
  }

  #takeStatus(requestId: number, status: SleeveStatus, index: number): void {
    const request = this.#statusRequests.get(requestId);
    if (request === undefined) return;
    const { answers } = request;
    answers[index] = status;
    const complete = answers.filter((answer) => answer !== undefined);
    if (complete.length < this.#threads.length) return;
    this.#takeRequest(requestId);
    request.resolve(mergeStatus(complete as [SleeveStatus, ...SleeveStatus[]]));
  }

  #takeRequest(requestId: number): StatusRequest | undefined {
    const request = this.#statusRequests.get(requestId);
    this.#statusRequests.delete(requestId);
    clearTimeout(request?.timer);
    return request;
  }

  /** @param text why a thread ended, or null if nothing went wrong. */
  #handleExit(text: string | null): void {
    this.#liveThreads--;
    if (this.#liveThreads === 0) for (const wake of this.#wakes) wake.close();
    const before = this.#state;
    if (before === 'ended') return;
    this.#state = 'ended';
    this.#endText = text ?? this.#endText;
    this.#settleStart?.reject(new WeaveError('data-plane-ended', this.#endText));
    for (const requestId of [...this.#statusRequests.keys()]) {
      this.#takeRequest(requestId)?.reject(this.#endedError());
    }
    if (before !== 'running') return;
    this.#endText = text ?? 'it ended by itself';
    // One thread is not enough: flows of the others would be lost without a word.
    this.#closeThreads();
    this.#state = 'ended';
    this.onDeviceEvent({ type: 'loop-ended', text: this.#endText });
  }

  #endedError(): WeaveError {
    return new WeaveError('data-plane-ended', `the data plane is not running: ${this.#endText}`);
  }
}

function stuckError(): WeaveError {
  return new WeaveError('data-plane-stuck', 'the data plane does not answer');
}
