/**
 * The router's end of the name server's thread: hands it the changes of the table, knows its
 * status, and replaces it when it ends or falls silent. After some replacements in a row names are
 * served on the router's own thread, which is slower and better than nothing.
 *
 *   name table ── changes ──> copy in the thread        thread silent or gone ──> a new one
 *   status     <── if changed ── server                          3 in a row   ──> this thread
 */
import { Worker } from 'node:worker_threads';
import { errorText, WeaveError } from '../../core/errors.js';
import type { TableChange } from '../name-table.js';
import type { DnsThreadStart, FromDnsThread, ToDnsThread } from './dns-messages.js';
import {
  DnsServer,
  type DnsServerModules,
  type DnsServerOptions,
  type DnsServerStatus,
  type NameServer,
} from './dns-server.js';

/** Silence after which the thread hangs; it gives a sign of life every two seconds. */
const SILENCE_MS = 15_000;
const CHECK_INTERVAL_MS = 2_000;
const MAX_REPLACEMENTS = 3;
/** A thread that served for so long was no failure in a row. */
const SOUND_MS = 10 * 60_000;
/** Entries per message when a thread gets the whole table, so that no message takes long. */
const ENTRIES_PER_MESSAGE = 5_000;

interface Thread {
  readonly worker: Worker;
  readonly sinceMs: number;
  heardMs: number;
  readonly started: Promise<void>;
  /** Of `refresh`, by id. BOUNDED by the calls of one caller, who waits. */
  readonly waiting: Map<number, () => void>;
}

/** An empty environment: secrets that came by it are none of this thread's business. */
export function openDnsWorker(start: DnsThreadStart): Worker {
  return new Worker(new URL('./dns.worker.js', import.meta.url), {
    name: 'dns',
    workerData: start,
    env: {},
  });
}

export class DnsThread implements NameServer {
  readonly #options: DnsServerOptions;
  readonly #modules: DnsServerModules;
  readonly #openWorker: (start: DnsThreadStart) => Worker;
  #thread: Thread | null = null;
  /** Serves when threads fail. */
  #local: DnsServer | null = null;
  #status: DnsServerStatus | null = null;
  /** BOUNDED: handed on at the end of the turn. */
  #changes: TableChange[] = [];
  #toldNetworks = '';
  #replacements = 0;
  #nextId = 1;
  #timer: NodeJS.Timeout | null = null;
  #closed = false;

  constructor(options: DnsServerOptions, modules: DnsServerModules, open = openDnsWorker) {
    this.#options = options;
    this.#modules = modules;
    this.#openWorker = open;
  }

  async start(): Promise<void> {
    this.#modules.table.onChange = (change) => this.#noteChange(change);
    this.#thread = this.#open();
    try {
      await this.#thread.started;
    } catch (error) {
      // Its end is known: whoever started us decides what follows.
      this.#thread = null;
      throw error;
    }
    this.#timer = setInterval(() => this.#check(), CHECK_INTERVAL_MS);
    this.#timer.unref();
  }

  async refresh(): Promise<void> {
    if (this.#local !== null) return this.#local.refresh();
    const thread = this.#thread;
    if (thread === null) return;
    const id = this.#nextId++;
    this.#toldNetworks = this.#networksKey();
    await new Promise<void>((resolve) => {
      thread.waiting.set(id, resolve);
      this.#post(thread, { type: 'refresh', networks: this.#modules.overlayNetworks(), id });
    });
  }

  status(): DnsServerStatus {
    if (this.#local !== null) return this.#local.status();
    if (this.#status === null) throw new WeaveError('dns-not-started', 'names are not served yet');
    return this.#status;
  }

  async close(): Promise<void> {
    this.#closed = true;
    if (this.#timer !== null) clearInterval(this.#timer);
    await this.#local?.close();
    const thread = this.#thread;
    if (thread === null) return;
    const exited = new Promise<void>((resolve) => thread.worker.once('exit', () => resolve()));
    this.#post(thread, { type: 'close' });
    const force = setTimeout(() => void thread.worker.terminate(), CHECK_INTERVAL_MS);
    await exited;
    clearTimeout(force);
  }

  #open(): Thread {
    const nowMs = this.#modules.clock.nowMs();
    const networks = this.#modules.overlayNetworks();
    const start: DnsThreadStart = { options: this.#options, networks };
    const worker = this.#openWorker(start);
    let settle = { resolve: (): void => {}, reject: (_error: Error): void => {} };
    const started = new Promise<void>((resolve, reject) => {
      settle = { resolve, reject };
    });
    const thread: Thread = { worker, sinceMs: nowMs, heardMs: nowMs, started, waiting: new Map() };
    let failure = 'it ended';
    worker.on('message', (message: FromDnsThread) => {
      thread.heardMs = this.#modules.clock.nowMs();
      if (message.type === 'started') settle.resolve();
      if (message.type === 'start-failed')
        settle.reject(new WeaveError(message.code, message.text));
      this.#handle(thread, message);
    });
    worker.on('error', (error) => {
      failure = errorText(error);
    });
    worker.once('exit', () => {
      for (const resolve of thread.waiting.values()) resolve();
      settle.reject(new WeaveError('dns-thread-ended', `the name server ended: ${failure}`));
      if (this.#thread === thread && !this.#closed) this.#replace(thread, failure);
    });
    // Who waits for it is told; whoever does not is no reason for the process to end.
    started.catch(() => {});
    // What was to be handed on is in the table by now.
    this.#changes = [];
    const entries = [...this.#modules.table.all()];
    for (let at = 0; at < entries.length; at += ENTRIES_PER_MESSAGE) {
      const part = entries.slice(at, at + ENTRIES_PER_MESSAGE);
      worker.postMessage({ type: 'table', changes: [{ kind: 'merge', entries: part }] });
    }
    return thread;
  }

  #handle(thread: Thread, message: FromDnsThread): void {
    switch (message.type) {
      case 'started':
      case 'status':
        this.#status = message.status;
        return;
      case 'refreshed':
        thread.waiting.get(message.id)?.();
        thread.waiting.delete(message.id);
        return;
      case 'log':
        this.#modules.log[message.level](message.text, message.fields);
    }
  }

  #networksKey(): string {
    const networks = this.#modules.overlayNetworks();
    return networks.map(({ address, prefixLength }) => `${address}/${prefixLength}`).join();
  }

  #noteChange(change: TableChange): void {
    if (this.#thread === null) return;
    if (this.#changes.length === 0) setImmediate(() => this.#handOn());
    this.#changes.push(change);
  }

  #handOn(): void {
    const changes = this.#changes;
    this.#changes = [];
    if (this.#thread === null || changes.length === 0) return;
    this.#post(this.#thread, { type: 'table', changes });
  }

  #post(thread: Thread, message: ToDnsThread): void {
    thread.worker.postMessage(message);
  }

  #check(): void {
    const thread = this.#thread;
    if (thread === null) return;
    if (this.#modules.clock.nowMs() - thread.heardMs < SILENCE_MS) {
      // It follows the host's addresses by itself; which networks are the overlay's it is told.
      if (this.#networksKey() !== this.#toldNetworks) void this.refresh();
      return;
    }
    this.#replace(thread, `it has been silent for ${SILENCE_MS / 1000} s`);
    void thread.worker.terminate();
  }

  #replace(failed: Thread, reason: string): void {
    const nowMs = this.#modules.clock.nowMs();
    if (nowMs - failed.sinceMs >= SOUND_MS) this.#replacements = 0;
    this.#replacements++;
    this.#thread = null;
    if (this.#replacements > MAX_REPLACEMENTS) {
      this.#modules.log.error('the thread of the name server fails; serving names without one', {
        code: 'dns-thread-ended',
        reason,
      });
      this.#local = new DnsServer(this.#options, this.#modules);
      this.#local.start().catch((error: unknown) => this.#noteFailure(error));
      return;
    }
    this.#modules.log.warn('the thread of the name server is replaced', { reason });
    const open = (): void => {
      if (this.#closed) return;
      this.#thread = this.#open();
      this.#thread.started.catch((error: unknown) => this.#noteFailure(error));
    };
    // Its sockets are closed with it.
    failed.worker.terminate().then(open, open);
  }

  #noteFailure(error: unknown): void {
    this.#modules.log.error('names are not served', {
      code: error instanceof WeaveError ? error.code : 'dns-thread-ended',
      error: errorText(error),
    });
  }
}
