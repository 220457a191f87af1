/** Does, again and again, what CNI plugins left on disk while no router answered. */
import { z } from 'zod';
import { errorCode, errorText } from '../../core/errors.js';
import type { Logger } from '../../core/log.js';
import { listRequests, readRequest, removeRequest } from '../../k8s/cni/io/leftovers.js';
import type { CniRequest } from '../../k8s/cni/protocol.js';
import { cniRequest } from '../api/cni-schema.js';

/** A plugin may have found the socket closed a moment before it opened. */
const LOOK_INTERVAL_MS = 5_000;

export interface CniLeftoversModules {
  readonly log: Logger;
  /** @returns whether it is done and the file may go. */
  readonly perform: (request: CniRequest) => Promise<boolean>;
}

export class CniLeftovers {
  readonly #folder: string;
  readonly #modules: CniLeftoversModules;
  #timer: NodeJS.Timeout | null = null;
  #running: Promise<void> = Promise.resolve();

  constructor(folder: string, modules: CniLeftoversModules) {
    this.#folder = folder;
    this.#modules = modules;
  }

  /** The first look is over when it resolves. */
  async start(): Promise<void> {
    await this.drain();
    this.#timer = setInterval(() => void this.drain(), LOOK_INTERVAL_MS).unref();
  }

  async stop(): Promise<void> {
    if (this.#timer !== null) clearInterval(this.#timer);
    await this.#running;
  }

  /** Resolves when all that lay there before the call is done or failed. */
  drain(): Promise<void> {
    this.#running = this.#running.then(() => this.#drainNow());
    return this.#running;
  }

  async #drainNow(): Promise<void> {
    const { log, perform } = this.#modules;
    try {
      for (const path of listRequests(this.#folder)) {
        const request = cniRequest.safeParse(readRequest(path));
        if (!request.success) {
          const fields = { path, error: z.prettifyError(request.error) };
          log.warn('a request that a CNI plugin left cannot be read, and is dropped', fields);
        }
        if (!request.success || (await perform(request.data))) removeRequest(path);
      }
    } catch (error) {
      const fields = { code: errorCode(error), error: errorText(error) };
      log.warn('what CNI plugins left could not be done; it will be tried again', fields);
    }
  }
}
