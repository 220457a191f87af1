/**
 * Gives the mesh its sockets and its clock: feeds it what the network does, carries out the
 * actions it polls, and keeps one timer set to its next wake-up.
 */
import type { Clock } from '../../core/clock.js';
import { errorCode, errorText } from '../../core/errors.js';
import type { Logger } from '../../core/log.js';
import type { PeerName } from '../../core/peer-name.js';
import type { Mesh } from '../mesh.js';
import type { MeshAction } from '../mesh-types.js';
import type { ConnectItem } from '../peer/dial.js';
import type { MeshStatus } from '../status.js';
import type { Tcp } from './tcp.js';

/** Longest sleep; setTimeout counts only to 2^31 ms. */
const MAX_SLEEP_MS = 60_000;
/** How long a stop waits for sockets to close in order. */
const STOP_GRACE_MS = 2_000;

export interface MeshRunnerModules {
  readonly mesh: Mesh;
  readonly tcp: Tcp;
  readonly clock: Clock;
  readonly log: Logger;
  /** The direct peers changed; they should outlive the process. */
  readonly onTargetsChanged: (texts: readonly string[]) => void;
}

export class MeshRunner {
  readonly #modules: MeshRunnerModules;
  /** BOUNDED by the parts of this program. */
  readonly #moreCounters: (() => Readonly<Record<string, number>>)[] = [];
  #timer: NodeJS.Timeout | null = null;
  #pumping = false;
  #scheduled = false;
  #stopped = false;

  constructor(modules: MeshRunnerModules) {
    this.#modules = modules;
  }

  /** Listens. @throws {WeaveError} e.g. `tcp-eaddrinuse` */
  async start(): Promise<void> {
    const { mesh, tcp, clock } = this.#modules;
    mesh.onPending = () => this.#schedule();
    await tcp.listen({
      onAccepted: (socket) => this.#run(() => mesh.handleAccepted(socket, clock.nowMs())),
      onDialed: (socket, direct) =>
        this.#run(() => mesh.handleDialed(socket, direct, clock.nowMs())),
      onDialFailed: (address, failure) =>
        this.#run(() => mesh.handleDialFailed(address, failure, clock.nowMs())),
      onBytes: (connId, chunk) => this.#run(() => mesh.handleBytes(connId, chunk, clock.nowMs())),
      onWritable: (connId) => this.#run(() => mesh.handleWritable(connId, clock.nowMs())),
      onClosed: (connId, error) =>
        this.#run(() => mesh.handleSocketClosed(connId, error, clock.nowMs())),
    });
    this.#run(() => mesh.start(clock.nowMs()));
  }

  /** Resolved items, see resolveTarget. */
  connect(items: readonly ConnectItem[], replace: boolean): void {
    const { mesh, clock } = this.#modules;
    this.#run(() => mesh.connect(items, replace, clock.nowMs()));
  }

  forget(texts: readonly string[]): void {
    const { mesh, clock } = this.#modules;
    this.#run(() => mesh.forget(texts, clock.nowMs()));
  }

  canReach(peer: PeerName): boolean {
    return this.#modules.mesh.canReach(peer);
  }

  /** Of parts that belong to the mesh's status but not to its machine. */
  addCounters(source: () => Readonly<Record<string, number>>): void {
    this.#moreCounters.push(source);
  }

  status(): MeshStatus {
    const { mesh, clock } = this.#modules;
    const status = mesh.status(clock.nowMs(), clock.wallMs());
    const counters = this.#moreCounters.map((source) => source());
    return { ...status, counters: Object.assign({}, status.counters, ...counters) };
  }

  /** Ends all sessions in order and closes the listener. The runner cannot be started again. */
  async stop(): Promise<void> {
    if (this.#stopped) return;
    const { mesh, tcp, clock } = this.#modules;
    tcp.stopListening();
    this.#run(() => mesh.stop(clock.nowMs()));
    this.#stopped = true;
    if (this.#timer !== null) clearTimeout(this.#timer);
    let grace: NodeJS.Timeout | undefined;
    const late = new Promise<void>((resolve) => {
      grace = setTimeout(resolve, STOP_GRACE_MS);
    });
    await Promise.race([tcp.shutDown(), late]);
    clearTimeout(grace);
  }

  /** News from outside of our calls: one pump serves all that comes in this turn of the loop. */
  #schedule(): void {
    if (this.#scheduled || this.#pumping) return;
    this.#scheduled = true;
    setImmediate(() => {
      this.#scheduled = false;
      this.#run(() => this.#modules.mesh.handlePending(this.#modules.clock.nowMs()));
    });
  }

  /** One input to the mesh with all that follows from it. */
  #run(input: () => void): void {
    if (this.#stopped) return;
    input();
    // An action may call back at once, say a write that fails: the loop that runs will see to it.
    if (this.#pumping) return;
    this.#pumping = true;
    try {
      for (let action = this.#poll(); action !== null; action = this.#poll()) this.#perform(action);
    } finally {
      this.#pumping = false;
    }
    this.#setTimer();
  }

  #poll(): MeshAction | null {
    return this.#modules.mesh.pollAction();
  }

  #perform(action: MeshAction): void {
    const { mesh, tcp, log, onTargetsChanged } = this.#modules;
    switch (action.type) {
      case 'write':
        if (!tcp.write(action.connId, action.bytes)) mesh.handleBlocked(action.connId);
        break;
      case 'close':
        tcp.close(action.connId, action.graceful);
        break;
      case 'dial':
        tcp.dial(action.address, action.direct);
        break;
      case 'targets-changed':
        try {
          onTargetsChanged(action.texts);
        } catch (error) {
          const fields = { code: errorCode(error), error: errorText(error) };
          log.warn('targets could not be saved', fields);
        }
    }
  }

  #setTimer(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
    if (this.#stopped) return;
    const { mesh, clock } = this.#modules;
    const next = mesh.nextTimeout();
    if (next === null) return;
    const sleepMs = Math.min(Math.max(0, next.atMs - clock.nowMs()), MAX_SLEEP_MS);
    // Rounded up: a timer that fires early would only have to be set again.
    this.#timer = setTimeout(
      () => this.#run(() => mesh.handleTimeout(clock.nowMs())),
      Math.ceil(sleepMs),
    );
  }
}
