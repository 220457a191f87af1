/**
 * Follows the starts and ends of containers at every engine there is. The list of running ones is
 * asked for whenever the stream of events begins anew, so that an event missed meanwhile is made
 * up for. Source: reference/docker.md, ipam.md 13.
 */
import { existsSync } from 'node:fs';
import { errorText } from '../../../core/errors.js';
import type { Logger } from '../../../core/log.js';
import { type ContainerEvent, engineGet, followEvents } from './engine-api.js';

/** Between attempts to reach an engine, growing. */
const FIRST_DELAY_MS = 1000;
const DELAY_GROWTH = 1.5;
const MAX_DELAY_MS = 20_000;

export interface ContainerWatchHandlers {
  readonly onEvent: (event: ContainerEvent) => void;
  /** The lists were read anew: `isRunning` may answer otherwise than before. */
  readonly onListed: () => void;
}

export class ContainerWatch {
  readonly #engines: readonly Engine[];

  /** @param sockets Unix sockets with Docker's API; those that do not exist are looked for again. */
  constructor(sockets: readonly string[], handlers: ContainerWatchHandlers, log: Logger) {
    this.#engines = sockets.map((socketPath) => new Engine(socketPath, handlers, log));
  }

  start(): void {
    for (const engine of this.#engines) engine.start();
  }

  stop(): void {
    for (const engine of this.#engines) engine.stop();
  }

  /**
   * @param id the full id.
   * @returns null if that can't be told: no engine is there, or one does not answer.
   */
  isRunning(id: string): boolean | null {
    const there = this.#engines.filter((engine) => engine.isThere());
    if (there.some((engine) => engine.running?.has(id))) return true;
    return there.length === 0 || there.some((engine) => engine.running === null) ? null : false;
  }
}

class Engine {
  /** Full ids; null while the engine is not followed. BOUNDED by the containers of this host. */
  running: Set<string> | null = null;
  readonly #socketPath: string;
  readonly #handlers: ContainerWatchHandlers;
  readonly #log: Logger;
  /** What came while the list was on its way. BOUNDED by the time that takes (5 s). */
  #early: ContainerEvent[] = [];
  #delayMs = FIRST_DELAY_MS;
  #timer: NodeJS.Timeout | null = null;
  #endStream: (() => void) | null = null;

  constructor(socketPath: string, handlers: ContainerWatchHandlers, log: Logger) {
    this.#socketPath = socketPath;
    this.#handlers = handlers;
    this.#log = log;
  }

  isThere(): boolean {
    return this.running !== null || existsSync(this.#socketPath);
  }

  start(): void {
    this.#timer = null;
    if (!existsSync(this.#socketPath)) {
      this.#startLater(MAX_DELAY_MS);
      return;
    }
    this.#endStream = followEvents(this.#socketPath, {
      onOpen: () => void this.#list(),
      onEvent: (event) => this.#handleEvent(event),
      onEnd: (reason) => this.#handleEnd(reason),
    });
  }

  stop(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
    this.#endStream?.();
    this.#endStream = null;
    this.running = null;
  }

  /** After the stream is open, so that no event falls in between. */
  async #list(): Promise<void> {
    const stream = this.#endStream;
    try {
      const list = (await engineGet(this.#socketPath, '/containers/json')) as { Id: string }[];
      if (this.#endStream !== stream || stream === null) return;
      this.running = new Set(list.map(({ Id }) => Id));
      for (const event of this.#early.splice(0)) this.#note(event);
    } catch (error) {
      if (this.#endStream === stream) this.#handleEnd(errorText(error));
      return;
    }
    this.#delayMs = FIRST_DELAY_MS;
    this.#log.info('following the containers of an engine', {
      socket: this.#socketPath,
      running: this.running.size,
    });
    this.#handlers.onListed();
  }

  #handleEvent(event: ContainerEvent): void {
    if (this.running === null) this.#early.push(event);
    else this.#note(event);
    this.#handlers.onEvent(event);
  }

  #note({ kind, id }: ContainerEvent): void {
    if (kind === 'started') this.running?.add(id);
    else this.running?.delete(id);
  }

  #handleEnd(reason: string): void {
    this.#endStream?.();
    this.#endStream = null;
    if (this.running !== null) {
      this.#log.warn('lost the events of a container engine', {
        socket: this.#socketPath,
        error: reason,
      });
    }
    this.running = null;
    this.#early = [];
    this.#startLater(this.#delayMs);
    this.#delayMs = Math.min(this.#delayMs * DELAY_GROWTH, MAX_DELAY_MS);
  }

  #startLater(delayMs: number): void {
    this.#timer = setTimeout(() => this.start(), delayMs);
    this.#timer.unref();
  }
}
