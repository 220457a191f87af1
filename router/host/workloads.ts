/**
 * Attaching workloads: a veth pair between the bridge and a network namespace, its addresses, and
 * the rules inside the namespace. Methods are called one at a time, by HostNetwork's queue.
 * The stages of `attach`, in order: find the namespace, find or make the pair, settings, rules,
 * addresses, announce, multicast route. A failure undoes them all.
 */
import { errorText, RequestError } from '../../core/errors.js';
import { type Cidr, formatCidr } from '../../core/ip.js';
import { MULTICAST_NETWORK, parseHostCidr } from './addresses.js';
import type { Bridge } from './bridge.js';
import { MAX_BRIDGE_MTU, MIN_BRIDGE_MTU, neighbourSettings, portSettings } from './bridge-plan.js';
import { parseLinks, parseRoutes } from './link-state.js';
import { isInterfaceName, NFT_TABLE, WORKLOAD_INTERFACE, workloadPortName } from './names.js';
import type { HostModules, NetnsHandle } from './ports.js';
import { workloadCleanup, workloadRuleset } from './rulesets.js';
import { identifyTarget, openTarget } from './target.js';
import {
  addAddressCommand,
  createCommands,
  deleteAddressCommand,
  findWorkloadInterface,
  missingAddresses,
  multicastRoute,
  removableAddresses,
  type WorkloadFacts,
  type WorkloadInterface,
} from './workload-plan.js';

export interface AttachOptions {
  /** Route 224.0.0.0/4 through the overlay inside the workload. */
  readonly multicastRoute: boolean;
  /** Bytes of IP packet; default: the bridge's. Counts for a new interface only. */
  readonly mtu?: number;
  /** Default `ethwe`. */
  readonly interfaceName?: string;
  /** Whether the bridge may send a frame back to the workload it came from. Default true. */
  readonly hairpin?: boolean;
}

/** A workload as the allocator and its watch need to know it. */
export interface WorkloadIdentity {
  /** Under which its addresses are filed. */
  readonly ident: string;
  /** The end of its pair on the host, there or to be. */
  readonly portName: string;
  /** On its interface now. */
  readonly addresses: readonly Cidr[];
}

/** Everything one attach knows about its workload. */
interface Job {
  readonly facts: WorkloadFacts;
  readonly netns: NetnsHandle;
  readonly existing: WorkloadInterface | null;
}

export class Workloads {
  readonly #bridge: Bridge;
  readonly #modules: HostModules;

  constructor(bridge: Bridge, modules: HostModules) {
    this.#bridge = bridge;
    this.#modules = modules;
  }

  /** Changes nothing. @throws {RequestError} as `attach` for a bad target. */
  async identify(target: string): Promise<WorkloadIdentity> {
    const { netns, ident } = await identifyTarget(target, this.#modules);
    try {
      const { existing } = await this.#examine(target, netns, WORKLOAD_INTERFACE);
      return {
        ident,
        portName: existing?.port.name ?? workloadPortName(netns.inode),
        addresses: existing?.link.addresses ?? [],
      };
    } finally {
      netns.close();
    }
  }

  /** @returns the addresses as present on the workload now, in the order asked for. */
  async attach(
    target: string,
    cidrs: readonly string[],
    options: AttachOptions,
  ): Promise<string[]> {
    const wanted = cidrs.map(parseHostCidr);
    if (wanted.length === 0) {
      throw new RequestError('address-missing', 'expected at least one address like 10.2.1.5/24');
    }
    checkMtu(options.mtu);
    const job = await this.#open(target, options.interfaceName ?? WORKLOAD_INTERFACE);
    try {
      const present = job.existing?.link.addresses ?? [];
      const missing = missingAddresses(present, wanted);
      try {
        await this.#establish(job, options);
        await this.#addAddresses(job, present, missing);
        if (options.multicastRoute) await this.#addMulticastRoute(job);
      } catch (error) {
        await this.#rollBack(job, present, missing);
        throw error;
      }
      const now = [...present, ...missing];
      return wanted.map((cidr) => {
        const held = now.find((other) => other.address === cidr.address) ?? cidr;
        return formatCidr(held);
      });
    } finally {
      job.netns.close();
    }
  }

  /**
   * @param cidrs with the exact prefix; an empty list means all.
   * @returns the addresses removed. @throws {RequestError} `link-not-found`, `address-not-attached`
   */
  async detach(
    target: string,
    cidrs: readonly string[],
    interfaceName = WORKLOAD_INTERFACE,
  ): Promise<string[]> {
    const wanted = cidrs.map(parseHostCidr);
    const { facts, netns, existing } = await this.#open(target, interfaceName);
    const { ip, nft, sysctl } = this.#modules;
    try {
      if (existing === null) {
        const text = `Link not found: "${target}" has no interface "${interfaceName}"`;
        throw new RequestError('link-not-found', text, 409);
      }
      const present = existing.link.addresses;
      const removed = removableAddresses(target, present, wanted);
      const rest = present.filter((cidr) => !removed.includes(cidr));
      if (rest.length === 0) {
        await ip.batch(netns, [`link del dev ${interfaceName}`]);
        await this.#removeRules(netns, interfaceName);
      } else {
        // An interface of Weave Net 2 lacks this setting, and would lose more than was asked for.
        sysctl.writeAll(netns, neighbourSettings(interfaceName));
        const commands = removed.map((cidr) => deleteAddressCommand(cidr, interfaceName));
        await ip.batch(netns, commands);
        await nft.apply(netns, workloadRuleset(facts.interfaceName, rest));
      }
      return removed.map(formatCidr);
    } finally {
      netns.close();
    }
  }

  async #open(target: string, interfaceName: string): Promise<Job> {
    if (!isInterfaceName(interfaceName)) {
      const text = `"${interfaceName.slice(0, 64)}" is no interface name`;
      throw new RequestError('interface-name-invalid', text);
    }
    const netns = await openTarget(target, this.#modules);
    try {
      return await this.#examine(target, netns, interfaceName);
    } catch (error) {
      netns.close();
      throw error;
    }
  }

  async #examine(target: string, netns: NetnsHandle, interfaceName: string): Promise<Job> {
    const { bridge, links } = await this.#bridge.require();
    const netnsLinks = parseLinks(await this.#modules.ip.query(netns, ['addr', 'show']));
    const facts: WorkloadFacts = {
      target,
      interfaceName,
      bridge,
      hostLinks: links,
      netnsInode: netns.inode,
      leadsThere: ({ peerNetns }) =>
        peerNetns !== null && this.#modules.netns.isSame(peerNetns, netns),
      netnsLinks,
    };
    return { facts, netns, existing: findWorkloadInterface(facts) };
  }

  /** Makes the pair if it is missing, and brings its host end into the right state in any case. */
  async #establish({ facts, netns, existing }: Job, options: AttachOptions): Promise<void> {
    const { ip, netns: namespaces, sysctl } = this.#modules;
    const { interfaceName, bridge } = facts;
    const port = existing?.port.name ?? workloadPortName(netns.inode, interfaceName);
    if (existing === null) {
      const mtuBytes = options.mtu ?? Math.min(bridge.mtu, MAX_BRIDGE_MTU);
      await ip.batch(namespaces.host, createCommands(facts, netns.path ?? '', mtuBytes));
    } else if (existing.port.master === null) {
      await ip.batch(namespaces.host, [`link set dev ${port} master ${bridge.name}`]);
    }
    sysctl.writeAll(netns, neighbourSettings(interfaceName));
    sysctl.writeAll(namespaces.host, portSettings(port));
    const hairpin = options.hairpin === false ? 'off' : 'on';
    await ip.batch(namespaces.host, [
      `link set dev ${port} up`,
      `link set dev ${port} type bridge_slave hairpin ${hairpin}`,
    ]);
  }

  /** Rules first: no foreign multicast gets in between. */
  async #addAddresses(job: Job, present: readonly Cidr[], missing: readonly Cidr[]): Promise<void> {
    const { ip, nft, netns: namespaces, log } = this.#modules;
    const { interfaceName, target } = job.facts;
    await nft.apply(job.netns, workloadRuleset(interfaceName, [...present, ...missing]));
    await ip.batch(job.netns, [
      ...missing.map((cidr) => addAddressCommand(cidr, interfaceName)),
      `link set dev ${interfaceName} up`,
    ]);
    if (missing.length === 0) return;
    try {
      await namespaces.announce(job.netns, interfaceName);
    } catch (error) {
      // Neighbours then learn the change a little later, from their own probes.
      const addresses = missing.map(formatCidr).join(' ');
      log.warn('addresses could not be announced', { target, addresses, error: errorText(error) });
    }
  }

  /** The last step: programs in the workload wait for this route before they use multicast. */
  async #addMulticastRoute({ facts, netns }: Job): Promise<void> {
    const { ip, log } = this.#modules;
    const { interfaceName, target } = facts;
    const routes = parseRoutes(await ip.query(netns, ['-4', 'route', 'show']));
    const state = multicastRoute(routes, interfaceName);
    if (state === 'missing') {
      const route = `route add ${MULTICAST_NETWORK} dev ${interfaceName} scope link`;
      await ip.batch(netns, [route]);
    } else if (state === 'elsewhere') {
      log.warn('workload keeps its multicast route over another interface', { target });
    }
  }

  async #rollBack(job: Job, present: readonly Cidr[], missing: readonly Cidr[]): Promise<void> {
    const { ip, nft, netns: namespaces, log } = this.#modules;
    const { interfaceName, target } = job.facts;
    const undo = async (work: () => Promise<void>): Promise<void> => {
      await work().catch((error: unknown) => {
        log.debug('roll-back step failed', { target, error: errorText(error) });
      });
    };
    if (job.existing === null) {
      const port = workloadPortName(job.netns.inode, interfaceName);
      await undo(() => ip.batch(namespaces.host, [`link del dev ${port}`]));
      await undo(() => this.#removeRules(job.netns, interfaceName));
      return;
    }
    for (const cidr of missing) {
      await undo(() => ip.batch(job.netns, [deleteAddressCommand(cidr, interfaceName)]));
    }
    await undo(() => nft.apply(job.netns, workloadRuleset(interfaceName, present)));
  }

  async #removeRules(netns: NetnsHandle, interfaceName: string): Promise<void> {
    const { nft } = this.#modules;
    const script = workloadCleanup(interfaceName, await nft.listTable(netns, NFT_TABLE));
    if (script !== null) await nft.apply(netns, script);
  }
}

function checkMtu(mtu: number | undefined): void {
  if (mtu === undefined) return;
  if (Number.isInteger(mtu) && mtu >= MIN_BRIDGE_MTU && mtu <= MAX_BRIDGE_MTU) return;
  throw new RequestError(
    'mtu-invalid',
    `mtu ${mtu}: expected ${MIN_BRIDGE_MTU} to ${MAX_BRIDGE_MTU}`,
  );
}
