/** The main thread's end of one thread of the data plane: commands, reports, signs of life. */
import {
  MessageChannel,
  type MessagePort,
  receiveMessageOnPort,
  Worker,
} from 'node:worker_threads';
import { errorText } from '../../core/errors.js';
import type { EventFd } from '../../sys/eventfd.js';
import type { QueueStart, WorkerStart } from './data-plane.worker.js';
import { Gate } from './gate.js';
import { Heartbeat } from './heartbeat.js';
import type { Command, Report, SleeveOptions } from './messages.js';

export interface ThreadModules {
  /** Wakes this thread; stays the caller's. */
  readonly wake: EventFd;
  readonly onReport: (report: Report) => void;
  /** @param text why it ended, or null if nothing went wrong. All reports have come by then. */
  readonly onExit: (text: string | null) => void;
}

export class DataPlaneThread {
  /** The thread starts at once, but opens its devices only when this is open. */
  readonly gate = new Gate();
  readonly exited: Promise<void>;
  readonly #modules: ThreadModules;
  readonly #worker: Worker;
  readonly #port: MessagePort;
  readonly #heartbeat = new Heartbeat();
  #hasEnded = false;
  #errorText: string | null = null;

  /** @param queue null for a router with one thread. */
  constructor(options: SleeveOptions, queue: QueueStart | null, modules: ThreadModules) {
    this.#modules = modules;
    const { port1, port2 } = new MessageChannel();
    this.#port = port1;
    const start: WorkerStart = {
      options,
      port: port2,
      wakeFd: modules.wake.fd,
      heartbeat: this.#heartbeat.buffer,
      gate: this.gate.buffer,
      queue,
    };
    const index = queue?.index ?? 0;
    // An empty environment: secrets that came by it are none of this thread's business.
    this.#worker = new Worker(new URL('./data-plane.worker.js', import.meta.url), {
      name: index === 0 ? 'data-plane' : `data-plane-${index}`,
      workerData: start,
      transferList: [port2],
      env: {},
    });
    port1.on('message', modules.onReport);
    this.#worker.on('error', (error) => {
      this.#errorText = errorText(error);
    });
    this.exited = new Promise((resolve) => {
      this.#worker.once('exit', () => {
        this.#handleExit();
        resolve();
      });
    });
  }

  /** Since its loop began its last round: below a second unless it hangs. */
  ageMs(): number {
    return this.#heartbeat.ageMs();
  }

  /** Nothing happens if the thread has ended. */
  send(command: Command): void {
    if (this.#hasEnded) return;
    this.#port.postMessage(command);
    // In this order: a worker that wakes up finds the command.
    this.#modules.wake.signal();
  }

  /** Ends it by force. */
  async terminate(): Promise<void> {
    await this.#worker.terminate();
  }

  #handleExit(): void {
    // Reports sent just before the end may still lie in the port; the start's verdict is one.
    let last = receiveMessageOnPort(this.#port);
    while (last !== undefined) {
      this.#modules.onReport(last.message as Report);
      last = receiveMessageOnPort(this.#port);
    }
    this.#hasEnded = true;
    this.#port.close();
    this.#modules.onExit(this.#errorText);
  }
}
