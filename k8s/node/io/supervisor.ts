/**
 * Runs the router as a child of this process, and stands by after another router has taken over.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { setTimeout as sleep } from 'node:timers/promises';
import { errorText } from '../../../core/errors.js';
import type { Logger } from '../../../core/log.js';
import { HANDED_OVER_EXIT_CODE, READY_MESSAGE } from '../../../router/api-types.js';
import type { RouterSocket } from './router-socket.js';

const STANDBY_POLL_MS = 2_000;
/** The successor may be restarting; nobody there for this long means that it failed. */
const STANDBY_MISSES = 8;
const KILLED_EXIT_CODE = 1;

export interface SupervisorModules {
  readonly router: RouterSocket;
  /** Before each start of the router. @returns its program and arguments. */
  readonly command: () => Promise<readonly string[]>;
  /** The router has started all its parts. */
  readonly onStarted: () => void;
  /** The router has ended, or another one is the node's now. */
  readonly onEnded: () => Promise<void>;
  readonly log: Logger;
}

export class Supervisor {
  readonly #modules: SupervisorModules;
  #child: ChildProcess | null = null;
  #isStarted = false;
  #isStopping = false;

  constructor(modules: SupervisorModules) {
    this.#modules = modules;
  }

  /** Until the take-over, the old router answers at the same addresses. */
  async notReady(): Promise<string | null> {
    return this.#isStarted ? this.#modules.router.notReady() : 'the router is starting';
  }

  /** Also while none runs: then there is nothing to wait for. */
  stop(signal: NodeJS.Signals): void {
    this.#isStopping = true;
    if (this.#child === null) process.exit(0);
    this.#child.kill(signal);
  }

  /** @returns the exit code for the container. */
  async run(): Promise<number> {
    const { log, onEnded } = this.#modules;
    for (;;) {
      const code = await this.#runRouter();
      await onEnded();
      if (code !== HANDED_OVER_EXIT_CODE || this.#isStopping) return code;
      log.info('another router has taken over; standing by');
      await this.#standBy();
      log.warn('the router that took over is gone; starting again');
    }
  }

  async #runRouter(): Promise<number> {
    const { command, onStarted, log } = this.#modules;
    const argv = await command();
    const stdio = ['inherit', 'inherit', 'inherit', 'ipc'] as const;
    const child = spawn(process.execPath, argv, { stdio: [...stdio] });
    child.on('message', (message) => {
      if (message !== READY_MESSAGE) return;
      this.#isStarted = true;
      onStarted();
    });
    this.#child = child;
    return await new Promise((resolve) => {
      child.once('error', (error) => {
        log.error('the router could not be started', { error: errorText(error) });
        resolve(KILLED_EXIT_CODE);
      });
      child.once('exit', (code) => {
        this.#child = null;
        this.#isStarted = false;
        resolve(code ?? KILLED_EXIT_CODE);
      });
    });
  }

  /** An end of this process would make the kubelet start another router against the new one. */
  async #standBy(): Promise<void> {
    for (let misses = 0; misses < STANDBY_MISSES; ) {
      await sleep(STANDBY_POLL_MS);
      misses = (await this.#modules.router.isThere()) ? 0 : misses + 1;
    }
  }
}
