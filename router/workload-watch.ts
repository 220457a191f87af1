/**
 * Finds out which workloads have ended, so that their addresses are released: by the port on the
 * bridge where we know one, which goes with the workload's namespace; by the container engine; by
 * the namespace's name. What can't be told counts as alive.
 * Source: reference/ipam.md 13.
 */
import type { OwnedAddresses } from '../ipam/interfaces.js';

/** What the allocator is told. */
export interface WorkloadEvents {
  list(): readonly OwnedAddresses[];
  workloadDied(ident: string): void;
  workloadStarted(ident: string): void;
  workloadGone(ident: string): void;
  reconcileWorkloads(living: ReadonlySet<string>): void;
}

export interface WorkloadWatchModules {
  readonly events: WorkloadEvents;
  /** Names of the ports on the bridge. */
  readonly portNames: () => Promise<ReadonlySet<string>>;
  /** Full container id; null: can't be told. */
  readonly isContainerRunning: (id: string) => boolean | null;
  /** A name in /run/netns, the path of a namespace, or a process id. */
  readonly namespaceExists: (target: string) => boolean;
}

const CONTAINER_ID = /^[0-9a-f]{64}$/;
/**
 * The kernel takes a namespace down at leisure, some seconds after its last process. A port that is
 * there for longer belongs to others who share the namespace, and keep its addresses.
 */
const SHARED_AFTER_LOOKS = 3;

export class WorkloadWatch {
  readonly #modules: WorkloadWatchModules;
  /** Ports by identifier. BOUNDED by the identifiers that hold addresses, see #forget. */
  readonly #ports = new Map<string, string>();
  /** Told as dead. BOUNDED likewise. */
  readonly #dead = new Set<string>();
  /** Of those that an engine reported: looks since then that found the port. BOUNDED likewise. */
  readonly #lingering = new Map<string, number>();

  constructor(modules: WorkloadWatchModules) {
    this.#modules = modules;
  }

  /** The workload has this port, or is about to get it. */
  note(ident: string, portName: string): void {
    this.#ports.set(ident, portName);
  }

  /** At the start: whoever ended while we did not look loses its addresses at once. */
  async reconcile(): Promise<void> {
    const ports = await this.#modules.portNames();
    const watched = this.#watched().filter((ident) => this.#isAlive(ident, ports));
    this.#modules.events.reconcileWorkloads(new Set(watched));
  }

  /** Tells the allocator who died and who came back since the last look. */
  async look(): Promise<void> {
    const { events, portNames } = this.#modules;
    if (this.#watched().length === 0) return;
    const ports = await portNames();
    // Anew, since the list may have changed meanwhile.
    const watched = this.#watched();
    this.#forget(new Set(watched));
    for (const ident of watched) {
      const isAlive = this.#isAlive(ident, ports) && !this.#isLingering(ident);
      if (isAlive === !this.#dead.has(ident)) continue;
      if (isAlive) this.#dead.delete(ident);
      else this.#dead.add(ident);
      if (isAlive) events.workloadStarted(ident);
      else events.workloadDied(ident);
    }
  }

  /** An engine reported it. */
  handleContainer(kind: 'started' | 'died' | 'destroyed', id: string): void {
    const { events } = this.#modules;
    this.#lingering.delete(id);
    if (kind === 'started') {
      this.#dead.delete(id);
      events.workloadStarted(id);
    } else if (kind === 'died') {
      this.#dead.add(id);
      this.#lingering.set(id, 0);
      events.workloadDied(id);
    } else {
      this.#dead.delete(id);
      this.#ports.delete(id);
      events.workloadGone(id);
    }
  }

  /** Whether an identifier can be a workload that runs; what can't be told can. */
  mayBeAlive(ident: string): boolean {
    const { isContainerRunning, namespaceExists } = this.#modules;
    if (CONTAINER_ID.test(ident)) return isContainerRunning(ident) !== false;
    return namespaceExists(ident);
  }

  #watched(): string[] {
    return this.#modules.events
      .list()
      .filter(({ watched }) => watched)
      .map(({ ident }) => ident);
  }

  #isAlive(ident: string, ports: ReadonlySet<string>): boolean {
    const port = this.#ports.get(ident);
    if (port === undefined) return this.mayBeAlive(ident);
    if (ports.has(port)) return true;
    // A container that runs gets its interface again; without an engine we know of none that does.
    return CONTAINER_ID.test(ident) && this.#modules.isContainerRunning(ident) === true;
  }

  /** Its container has ended, and what is left of its network may go any moment. */
  #isLingering(ident: string): boolean {
    const looks = this.#lingering.get(ident);
    if (looks === undefined) return false;
    if (looks + 1 < SHARED_AFTER_LOOKS) this.#lingering.set(ident, looks + 1);
    else this.#lingering.delete(ident);
    return looks + 1 < SHARED_AFTER_LOOKS;
  }

  #forget(watched: ReadonlySet<string>): void {
    for (const ident of this.#ports.keys()) if (!watched.has(ident)) this.#ports.delete(ident);
    for (const ident of this.#dead) if (!watched.has(ident)) this.#dead.delete(ident);
    for (const ident of this.#lingering.keys()) {
      if (!watched.has(ident)) this.#lingering.delete(ident);
    }
  }
}
