/**
 * What systemd hears of the router: readiness, its end, and a sign of life twice per watchdog
 * period, as long as the main thread runs and the data plane's loop moves.
 * Source: sd_notify(3), sd_watchdog_enabled(3).
 */
import { errorCode } from '../../core/errors.js';
import type { Logger } from '../../core/log.js';
import { sdNotify } from '../../sys/sd-notify.js';
import { MAX_LOOP_AGE_MS } from '../readiness.js';

export interface ServiceManagerOptions {
  /** NOTIFY_SOCKET; undefined or empty: not under a service manager. */
  readonly socketPath: string | undefined;
  /** WATCHDOG_USEC in microseconds. */
  readonly watchdogMicros: string | undefined;
}

export interface ServiceManagerModules {
  readonly log: Logger;
  readonly loopAgeMs: () => number;
}

export class ServiceManager {
  readonly #options: ServiceManagerOptions;
  readonly #modules: ServiceManagerModules;
  #timer: NodeJS.Timeout | null = null;

  constructor(options: ServiceManagerOptions, modules: ServiceManagerModules) {
    this.#options = options;
    this.#modules = modules;
  }

  ready(status: string): void {
    this.#notify(`READY=1\nSTATUS=${status.replaceAll('\n', ' ')}`);
    const periodMs = Number(this.#options.watchdogMicros ?? 0) / 1000;
    if (!(periodMs > 0)) return;
    this.#timer = setInterval(() => {
      if (this.#modules.loopAgeMs() < MAX_LOOP_AGE_MS) this.#notify('WATCHDOG=1');
    }, periodMs / 2);
    this.#timer.unref();
  }

  stopping(): void {
    if (this.#timer !== null) clearInterval(this.#timer);
    this.#timer = null;
    this.#notify('STOPPING=1');
  }

  #notify(state: string): void {
    const { socketPath } = this.#options;
    if (socketPath === undefined || socketPath === '') return;
    try {
      sdNotify(socketPath, state);
    } catch (error) {
      this.#modules.log.warn('the service manager could not be told', { code: errorCode(error) });
    }
  }
}
