/**
 * The main thread's end of the data plane: an Overlay whose calls become commands to the worker,
 * and whose events are the worker's reports. It also watches whether the worker lives.
 */
import {
  MessageChannel,
  type MessagePort,
  receiveMessageOnPort,
  Worker,
} from 'node:worker_threads';
import { errorText, WeaveError } from '../../core/errors.js';
import type { Logger } from '../../core/log.js';
import type { PeerName } from '../../core/peer-name.js';
import type {
  ForwardingTables,
  Overlay,
  OverlayEvent,
  OverlayPeering,
} from '../../mesh/overlay.js';
import { EventFd } from '../../sys/eventfd.js';
import type { WorkerStart } from './data-plane.worker.js';
import { Gate } from './gate.js';
import { Heartbeat } from './heartbeat.js';
import type { Command, DeviceEvent, Report, SleeveOptions, SleeveStatus } from './messages.js';

/** A healthy loop answers within milliseconds; beyond this it hangs. */
const STATUS_TIMEOUT_MS = 3000;
/** The loop notices `close` at its next round; beyond this it is ended by force. */
const CLOSE_TIMEOUT_MS = 2000;
/** Requests of status that wait at the same time. */
const MAX_STATUS_REQUESTS = 64;

interface StatusRequest {
  readonly resolve: (status: SleeveStatus) => void;
  readonly reject: (error: Error) => void;
  readonly timer: NodeJS.Timeout;
}

type ReadyReport = Extract<Report, { type: 'ready' }>;

export class SleeveOverlay implements Overlay {
  readonly name = 'sleeve';
  onEvent: (event: OverlayEvent) => void = () => {};
  /** Health of device and thread; see DeviceEvent for what each asks of the owner. */
  onDeviceEvent: (event: DeviceEvent) => void = () => {};
  readonly #log: Logger;
  readonly #worker: Worker;
  readonly #port: MessagePort;
  readonly #wake: EventFd;
  readonly #heartbeat: Heartbeat;
  readonly #gate = new Gate();
  readonly #exited: Promise<void>;
  /** BOUNDED by MAX_STATUS_REQUESTS; each is answered or times out. */
  readonly #statusRequests = new Map<number, StatusRequest>();
  #nextRequestId = 1;
  #ready: ReadyReport | null = null;
  #state: 'starting' | 'running' | 'closing' | 'ended' = 'starting';
  /** Why the thread ended, for the error of later calls. */
  #endText = 'it was closed';
  #settleStart: { resolve: () => void; reject: (error: Error) => void } | null = null;

  private constructor(options: SleeveOptions, log: Logger) {
    this.#log = log;
    this.#wake = EventFd.create();
    this.#heartbeat = new Heartbeat();
    const { port1, port2 } = new MessageChannel();
    this.#port = port1;
    const start: WorkerStart = {
      options,
      port: port2,
      wakeFd: this.#wake.fd,
      heartbeat: this.#heartbeat.buffer,
      gate: this.#gate.buffer,
    };
    // An empty environment: secrets that came by it are none of this thread's business.
    this.#worker = new Worker(new URL('./data-plane.worker.js', import.meta.url), {
      name: 'data-plane',
      workerData: start,
      transferList: [port2],
      env: {},
    });
    port1.on('message', (report: Report) => this.#handleReport(report));
    this.#worker.on('error', (error) => {
      this.#endText = errorText(error);
    });
    this.#exited = new Promise((resolve) => {
      this.#worker.once('exit', () => {
        this.#handleExit();
        resolve();
      });
    });
  }

  /**
   * Opens device and sockets in a new thread.
   * @param modules.openAfter the thread starts at once, but opens them only when this resolves.
   * @throws {WeaveError} `udp-port-in-use`, or an errno name with a sentence for the user, e.g.
   *   that /dev/net/tun is missing. Nothing stays open then.
   */
  static async start(
    options: SleeveOptions,
    modules: { readonly log: Logger; readonly openAfter?: Promise<void> },
  ): Promise<SleeveOverlay> {
    const overlay = new SleeveOverlay(options, modules.log);
    const started = new Promise<void>((resolve, reject) => {
      overlay.#settleStart = { resolve, reject };
    });
    const allowed = (modules.openAfter ?? Promise.resolve()).then(
      () => overlay.#gate.open(),
      (error: unknown) => {
        overlay.#gate.cancel();
        throw error;
      },
    );
    await Promise.all([allowed, started]);
    return overlay;
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
    this.#send({ type: 'prepare', peering });
  }

  confirm(connId: number): void {
    this.#send({ type: 'confirm', connId });
  }

  handleControl(connId: number, subTag: number, data: Uint8Array): void {
    this.#send({ type: 'control', connId, subTag, data });
  }

  stop(connId: number): void {
    this.#send({ type: 'stop', connId });
  }

  setForwarding(tables: ForwardingTables): void {
    this.#send({ type: 'forwarding', tables });
  }

  forgetPeer(peer: PeerName): void {
    this.#send({ type: 'forget-peer', peer });
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
      this.#statusRequests.set(requestId, { resolve, reject, timer });
      this.#send({ type: 'status', requestId });
    });
  }

  /** Since the loop began its last round: below a second unless it hangs. Infinity if it ended. */
  loopAgeMs(): number {
    return this.#state === 'running' ? this.#heartbeat.ageMs() : Number.POSITIVE_INFINITY;
  }

  /** Ends the thread and closes device and sockets. Resolves when that is done. */
  async close(): Promise<void> {
    if (this.#state === 'running') {
      this.#send({ type: 'close' });
      this.#state = 'closing';
      const timer = setTimeout(() => void this.#worker.terminate(), CLOSE_TIMEOUT_MS);
      await this.#exited;
      clearTimeout(timer);
    }
    await this.#exited;
  }

  #send(command: Command): void {
    if (this.#state !== 'running') return;
    this.#port.postMessage(command);
    // In this order: a worker that wakes up finds the command.
    this.#wake.signal();
  }

  #handleReport(report: Report): void {
    switch (report.type) {
      case 'ready':
        this.#ready = report;
        this.#state = 'running';
        this.#settleStart?.resolve();
        return;
      case 'start-failed':
        this.#settleStart?.reject(new WeaveError(report.code, report.text));
        return;
      case 'event':
        // Nothing is told any more to an owner who has closed.
        if (this.#state === 'running') this.onEvent(report.event);
        return;
      case 'device':
        if (this.#state === 'running') this.onDeviceEvent(report.event);
        return;
      case 'status':
        this.#takeRequest(report.requestId)?.resolve(report.status);
        return;
      case 'log':
        this.#log[report.level](report.text, report.fields);
    }
  }

  #takeRequest(requestId: number): StatusRequest | undefined {
    const request = this.#statusRequests.get(requestId);
    this.#statusRequests.delete(requestId);
    clearTimeout(request?.timer);
    return request;
  }

  #handleExit(): void {
    const before = this.#state;
    // Reports sent just before the end may still lie in the port; the start's verdict is one.
    let last = receiveMessageOnPort(this.#port);
    while (last !== undefined) {
      this.#handleReport(last.message as Report);
      last = receiveMessageOnPort(this.#port);
    }
    this.#state = 'ended';
    this.#port.close();
    this.#wake.close();
    this.#settleStart?.reject(new WeaveError('data-plane-ended', this.#endText));
    for (const requestId of [...this.#statusRequests.keys()]) {
      this.#takeRequest(requestId)?.reject(this.#endedError());
    }
    if (before !== 'running') return;
    this.#endText = this.#endText === 'it was closed' ? 'it ended by itself' : this.#endText;
    this.onDeviceEvent({ type: 'loop-ended', text: this.#endText });
  }

  #endedError(): WeaveError {
    return new WeaveError('data-plane-ended', `the data plane is not running: ${this.#endText}`);
  }
}

function stuckError(): WeaveError {
  return new WeaveError('data-plane-stuck', 'the data plane does not answer');
}
