/**
 * Names that come and go with workloads: given at attach, made for containers of an engine, and
 * taken away when the workload has left the bridge or its container has ended. A workload that
 * vanishes is noticed by the ports of the bridge, which go with its namespace.
 * Source: reference/weavedns.md 10.2, 10.3.
 */
import { errorText } from '../core/errors.js';
import type { Logger } from '../core/log.js';
import { isSingleLabel } from '../dns/domain-name.js';
import type { Names } from '../dns/names.js';
import { parseAddress } from '../dns/record-data.js';
import { type ContainerInfo, containerFqdn } from './container-name.js';
import type { ContainerNaming } from './dns-options.js';

/** As the host network lists it. */
export interface NamedWorkload {
  readonly target: string;
  /** `a.b.c.d/n` */
  readonly cidrs: readonly string[];
}

export interface WorkloadNamesModules {
  readonly names: Names;
  /** null: no engine knows it. */
  readonly inspect: (target: string) => Promise<ContainerInfo | null>;
  /** Full container id; null: can't be told. */
  readonly isContainerRunning: (id: string) => boolean | null;
  readonly log: Logger;
}

const CONTAINER_ID = /^[0-9a-f]{64}$/;

export const addressOf = (cidr: string): string => cidr.split('/')[0] as string;

export class WorkloadNames {
  readonly #naming: ContainerNaming;
  readonly #modules: WorkloadNamesModules;
  /** What names a workload to the name `containerId` of its entries. BOUNDED by the workloads. */
  #idOf = new Map<string, string>();

  constructor(naming: ContainerNaming, modules: WorkloadNamesModules) {
    this.#naming = naming;
    this.#modules = modules;
  }

  isAttached(containerId: string): boolean {
    return [...this.#idOf.values()].includes(containerId);
  }

  /** What entries of a target are filed under: the id of a container, else what the user says. */
  async identify(target: string): Promise<string> {
    return (await this.#inspect(target))?.id ?? target;
  }

  /** @param given names with which the workload was attached, beside its own if it has one. */
  async attached(
    target: string,
    cidrs: readonly string[],
    given: readonly string[],
  ): Promise<void> {
    const container = await this.#inspect(target);
    this.#idOf.set(target, container?.id ?? target);
    const { domain } = this.#modules.names;
    const complete = (name: string): string => (isSingleLabel(name) ? `${name}${domain}` : name);
    const names = [...this.#ownNames(container), ...given.map(complete)];
    this.#register(names, container?.id ?? target, cidrs);
  }

  detached(target: string, cidrs: readonly string[]): void {
    const containerId = this.#idOf.get(target) ?? target;
    for (const cidr of cidrs) {
      this.#modules.names.remove({ containerId, record: parseAddress(addressOf(cidr)) });
    }
  }

  /** The workloads as they are now: who is gone loses its names, who is new gets them. */
  async reconcile(workloads: readonly NamedWorkload[]): Promise<void> {
    const { names } = this.#modules;
    const before = this.#idOf;
    const now = new Map<string, string>();
    for (const { target, cidrs } of workloads) {
      const known = before.get(target);
      const container = known === undefined ? await this.#inspect(target) : null;
      const id = known ?? container?.id ?? target;
      now.set(target, id);
      if (container !== null) this.#register(this.#ownNames(container), id, cidrs);
    }
    this.#idOf = now;
    const living = new Set(now.values());
    for (const id of new Set(before.values())) {
      if (!living.has(id)) names.remove({ containerId: id });
    }
  }

  /** An engine was reached: its containers that we know can be named, those that ended lose it. */
  async handleListed(workloads: readonly NamedWorkload[]): Promise<void> {
    const { names, isContainerRunning } = this.#modules;
    this.#idOf = new Map([...this.#idOf].filter(([, id]) => CONTAINER_ID.test(id)));
    await this.reconcile(workloads);
    const ids = new Set(names.own().map(({ containerId }) => containerId));
    for (const id of ids) {
      if (CONTAINER_ID.test(id) && isContainerRunning(id) === false) {
        names.remove({ containerId: id });
      }
    }
  }

  handleContainerEnd(id: string): void {
    this.#modules.names.remove({ containerId: id });
  }

  /** The name that a container has by itself, in our domain. */
  async nameOf(target: string): Promise<string | null> {
    return this.#ownNames(await this.#inspect(target))[0] ?? null;
  }

  #ownNames(container: ContainerInfo | null): readonly string[] {
    const { names, log } = this.#modules;
    // One that has ended may still have its namespace on the bridge.
    if (container === null || !container.isRunning) return [];
    const name = containerFqdn(container, this.#naming, names.domain);
    if (name === null) log.info('a container has no name for DNS', { container: container.id });
    return name === null ? [] : [name];
  }

  #register(names: readonly string[], containerId: string, cidrs: readonly string[]): void {
    for (const name of names) {
      if (!this.#modules.names.isLocal(name)) continue;
      for (const cidr of cidrs) {
        this.#modules.names.register(name, containerId, parseAddress(addressOf(cidr)));
      }
    }
  }

  /** An engine that fails must not keep anybody from being attached. */
  async #inspect(target: string): Promise<ContainerInfo | null> {
    try {
      return await this.#modules.inspect(target);
    } catch (error) {
      this.#modules.log.warn('a container engine could not be asked for a name', {
        target,
        error: errorText(error),
      });
      return null;
    }
  }
}
