/**
 * One round after the other: wait for device, sockets, commands or a timer; take a burst of frames
 * and send; take a burst of datagrams and send; run timers; report. Bursts are bounded, so neither
 * direction starves the other, nor the timers. The worker runs the loop; tests step it by hand.
 * Whatever goes wrong inside a round is counted and logged, and the next round begins.
 */
import { errorCode, errorText } from '../../core/errors.js';
import type { Logger } from '../../core/log.js';
import { TokenBucket } from '../../core/rate-limit.js';
import type { EventFd } from '../../sys/eventfd.js';
import { errnoName } from '../../sys/libc.js';
import { PollSet } from '../../sys/poll.js';
import { yieldProcessor } from '../../sys/scheduling.js';
import type { UdpPair } from '../../sys/udp.js';
import { ReceiveBatch } from '../../sys/udp-receive-batch.js';
import type { Uring } from '../../sys/uring.js';
import { DataPlane } from '../data-plane.js';
import { DropReason } from '../drop-reason.js';
import type { LargeFrame } from '../large-frame.js';
import type { AeadFactory, Secretbox } from '../ports.js';
import { BusyWait } from './busy-wait.js';
import type { LoopQueue } from './loop-queue.js';
import type { Command, DeviceEvent, Report, SleeveOptions, SleeveStatus } from './messages.js';
import type { Offloads } from './offloads.js';
import { TapDevice } from './tap-device.js';
import { RECEIVE_SLOTS, UdpPort } from './udp-port.js';

/**
 * Frames per round; large ones count as their segments. Their datagrams fill some four messages of
 * the largest size: fewer cost a tenth more processor time, more gain nothing.
 */
const FRAME_BURST = 192;
/** Commands per round; a burst of topology changes does not stop the traffic. */
const COMMAND_BURST = 64;
/** Messages of each other thread per round. */
const CROSSING_BURST = 256;
/** The loop shows a sign of life at least this often. */
const MAX_WAIT_MS = 500;
/** After this many rounds in a row that failed, the loop pauses so as not to burn the processor. */
const FAILURES_BEFORE_PAUSE = 3;
const FAILURE_PAUSE_MS = 50;

const TAP_SLOT = 0;
const UDP_SLOT = 1;
const WAKE_SLOT = 2;

export interface LoopModules {
  readonly udp: UdpPair;
  readonly offloads: Offloads;
  /** null if frames are written by a call each. */
  readonly ring: Uring | null;
  readonly wake: EventFd;
  /** This thread's place among several; null if it is the only one. */
  readonly queue: LoopQueue | null;
  readonly secretbox: Secretbox & { readonly library: string };
  readonly aead: AeadFactory & { readonly library: string };
  readonly nowMs: () => number;
  readonly nextCommand: () => Command | undefined;
  readonly report: (report: Report) => void;
  /** Called in every round. */
  readonly beat: (nowMs: number) => void;
  readonly log: Logger;
}

export class DataPlaneLoop {
  readonly #modules: LoopModules;
  readonly #tap: TapDevice;
  readonly #udp: UdpPort;
  readonly #receive: ReceiveBatch;
  readonly #dataPlane: DataPlane;
  readonly #poll: PollSet;
  /** null if every wait is a sleep. */
  readonly #busyWait: BusyWait | null;
  readonly #logTokens: TokenBucket;
  #nowMs: number;
  #closed = false;
  /** Something is known to wait, so that the next round must not sleep. */
  #tapBusy = false;
  #udpBusy = false;
  #commandsWait = false;
  #crossingBusy = false;
  #rounds = 0;
  #datagramsReceived = 0;
  #receiveFailures = 0;
  #errors = 0;
  #failuresInARow = 0;

  readonly #onFrame = (buffer: Uint8Array, offset: number, frameBytes: number): boolean => {
    const reason = this.#dataPlane.handleFrame(buffer, offset, frameBytes, this.#nowMs);
    // One answer is enough for all segments of a large frame.
    return reason !== DropReason.tooBigAnswered;
  };

  readonly #onLargeFrame = (frame: LargeFrame): boolean =>
    this.#dataPlane.handleLargeFrame(frame, this.#nowMs);

  readonly #onDatagram = (
    buffer: Uint8Array,
    offset: number,
    bytes: number,
    sourceIp: number,
    sourcePort: number,
  ): void => {
    this.#datagramsReceived++;
    this.#dataPlane.handleDatagram(buffer, offset, bytes, sourceIp, sourcePort, this.#nowMs);
  };

  /** @throws {SysError} if the TAP device cannot be opened; the sockets stay the caller's then. */
  constructor(options: SleeveOptions, modules: LoopModules) {
    this.#modules = modules;
    this.#nowMs = modules.nowMs();
    this.#logTokens = new TokenBucket({ capacity: 10, refillMs: 1000 }, this.#nowMs);
    const { offloads, queue } = modules;
    const tapOptions = {
      name: options.tapName,
      persist: options.persistTap ?? false,
      offloads,
      ring: modules.ring,
      multiQueue: queue !== null,
      shared: queue !== null && queue.place.index > 0,
    };
    this.#udp = new UdpPort(modules.udp, offloads.enabled('udp-segment'));
    const onEvent = (event: DeviceEvent): void => modules.report({ type: 'device', event });
    this.#tap = new TapDevice(tapOptions, onEvent, this.#udp.captureMemory);
    this.#receive = new ReceiveBatch(modules.udp.plainFd, RECEIVE_SLOTS, this.#udp.receiveMemory);
    this.#tap.setStableBuffer(this.#receive.buffer);
    this.#poll = new PollSet([this.#tap.fd, modules.udp.plainFd, modules.wake.fd]);
    const poll = this.#poll;
    this.#busyWait =
      options.busyPoll === false
        ? null
        : new BusyWait({
            poll: (timeoutMs) => poll.wait(timeoutMs),
            yield: yieldProcessor,
            preciseMs: () => performance.now(),
          });
    this.#dataPlane = new DataPlane(options, {
      datagrams: this.#udp,
      tap: this.#tap,
      secretbox: modules.secretbox,
      aead: modules.aead,
      log: modules.log,
      ...(queue === null ? {} : { queue: queue.place }),
    });
  }

  get tapName(): string {
    return this.#tap.name;
  }

  get closed(): boolean {
    return this.#closed;
  }

  /** Returns when the `close` command came. */
  run(): void {
    while (!this.#closed) this.step(MAX_WAIT_MS);
  }

  /** One round, waiting at most `maxWaitMs` for something to do. Never throws. */
  step(maxWaitMs: number): void {
    this.#rounds++;
    try {
      this.#wait(maxWaitMs);
      this.#round();
      this.#failuresInARow = 0;
    } catch (error) {
      this.#survive(error);
    }
  }

  /** Closes the device and sockets; nothing may be called afterwards. */
  close(): void {
    this.#closed = true;
    this.#tap.close();
    this.#modules.udp.close();
  }

  #wait(maxWaitMs: number): void {
    const now = this.#modules.nowMs();
    const isBusy = this.#tapBusy || this.#udpBusy || this.#commandsWait || this.#crossingBusy;
    let waitMs = isBusy ? 0 : maxWaitMs;
    if (waitMs > 0) {
      const timeout = this.#dataPlane.nextTimeout();
      // Rounded up, or the loop would spin through the last millisecond before a timer.
      if (timeout !== null) waitMs = Math.min(waitMs, Math.ceil(timeout.atMs - now));
      const reopenAtMs = this.#tap.reopenAtMs;
      if (reopenAtMs !== null) waitMs = Math.min(waitMs, Math.ceil(reopenAtMs - now));
    }
    this.#poll.watch(TAP_SLOT, this.#tap.fd);
    if (waitMs > 0 && this.#busyWait !== null) this.#busyWait.wait(waitMs);
    else this.#poll.wait(Math.max(0, waitMs));
    this.#nowMs = this.#modules.nowMs();
    this.#modules.beat(this.#nowMs);
  }

  #round(): void {
    if (this.#commandsWait || this.#poll.ready(WAKE_SLOT) !== 0) this.#runCommands();
    if (this.#closed) return;
    const { queue } = this.#modules;
    if (queue !== null) this.#takeCrossings(queue);
    if (this.#tapBusy || this.#poll.ready(TAP_SLOT) !== 0) {
      this.#tapBusy = this.#tap.drain(FRAME_BURST, this.#onFrame, this.#onLargeFrame, this.#nowMs);
      this.#dataPlane.flush(this.#nowMs);
    }
    if (this.#udpBusy || this.#poll.ready(UDP_SLOT) !== 0) {
      this.#receiveDatagrams();
      this.#dataPlane.flush(this.#nowMs);
    }
    this.#tap.reopen(this.#nowMs);
    const timeout = this.#dataPlane.nextTimeout();
    if (timeout !== null && timeout.atMs <= this.#nowMs) {
      this.#dataPlane.handleTimeout(this.#nowMs);
    }
    this.#reportEvents();
    queue?.signal();
  }

  #takeCrossings(queue: LoopQueue): void {
    this.#dataPlane.beginRound(this.#nowMs);
    this.#crossingBusy = queue.drain(CROSSING_BURST, this.#dataPlane);
    this.#dataPlane.flush(this.#nowMs);
  }

  #receiveDatagrams(): void {
    // Should a datagram throw, the rest may still wait in the socket.
    this.#udpBusy = true;
    let received: number;
    try {
      received = this.#receive.receive(this.#onDatagram);
    } finally {
      // Frames that wait lie in the buffer that the next receive overwrites.
      this.#tap.flush();
    }
    this.#udpBusy = received === RECEIVE_SLOTS;
    if (received >= 0) return;
    this.#receiveFailures++;
    this.#warn('receiving datagrams failed', errnoName(-received));
  }

  #reportEvents(): void {
    let event = this.#dataPlane.pollEvent();
    while (event !== null) {
      this.#modules.report({ type: 'event', event });
      event = this.#dataPlane.pollEvent();
    }
  }

  #runCommands(): void {
    this.#modules.wake.clear();
    this.#commandsWait = true;
    for (let i = 0; i < COMMAND_BURST; i++) {
      const command = this.#modules.nextCommand();
      if (command === undefined) {
        this.#commandsWait = false;
        return;
      }
      this.#runCommand(command);
    }
  }

  #runCommand(command: Command): void {
    const dataPlane = this.#dataPlane;
    switch (command.type) {
      case 'prepare':
        dataPlane.prepare(command.peering, command.board);
        // The data plane keeps a copy of its own; this one came with the message.
        command.peering.sessionKey?.fill(0);
        return;
      case 'confirm':
        dataPlane.confirm(command.connId, this.#nowMs);
        return;
      case 'control':
        dataPlane.handleControl(command.connId, command.subTag, command.data, this.#nowMs);
        return;
      case 'stop':
        dataPlane.stop(command.connId);
        return;
      case 'forwarding':
        dataPlane.setForwarding(command.tables);
        return;
      case 'forget-peer':
        dataPlane.forgetPeer(command.peer);
        return;
      case 'status': {
        const { requestId } = command;
        this.#modules.report({ type: 'status', requestId, status: this.#status() });
        return;
      }
      case 'close':
        this.close();
    }
  }

  #status(): SleeveStatus {
    const status = this.#dataPlane.status(this.#nowMs);
    const { framesCaptured, framesInjected } = status;
    return {
      ...status,
      queues: [{ framesCaptured, framesInjected }],
      cryptoLibrary: `${this.#modules.secretbox.library}, ${this.#modules.aead.library}`,
      tapName: this.#tap.name,
      offloads: this.#modules.offloads.status(),
      io: {
        rounds: this.#rounds,
        busyWaits: this.#busyWait?.hits ?? 0,
        tapReads: this.#tap.reads,
        tapWrites: this.#tap.writes,
        tapWriteBatches: this.#tap.writeBatches,
        tapWriteFailures: this.#tap.writeFailures,
        tapMalformed: this.#tap.malformed,
        tapReopens: this.#tap.reopens,
        datagramsSent: this.#udp.datagrams,
        messagesSent: this.#udp.messages,
        sendFailures: this.#udp.failures,
        groupRefusals: this.#udp.groupRefusals,
        datagramsReceived: this.#datagramsReceived,
        receiveFailures: this.#receiveFailures,
        loopErrors: this.#errors,
      },
    };
  }

  #survive(error: unknown): void {
    this.#errors++;
    this.#failuresInARow++;
    this.#warn('data plane round failed', errorCode(error), errorText(error));
    if (this.#failuresInARow >= FAILURES_BEFORE_PAUSE) {
      // Blocks this thread, which has nothing better to do.
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, FAILURE_PAUSE_MS);
    }
  }

  #warn(text: string, code: string, detail = ''): void {
    if (!this.#logTokens.tryTake(this.#modules.nowMs())) return;
    this.#modules.log.error(text, { code, detail, count: this.#errors });
  }
}
