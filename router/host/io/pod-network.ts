/**
 * Interfaces of pods by netlink: one pair a pod between the bridge and the pod's namespace. No
 * program is started, so that a pod costs the kernel's time only. All of an attach but the last
 * announcement happens in one go, without another call in between; deletions wait for each other.
 */
import { closeSync, constants, existsSync, openSync } from 'node:fs';
import { type Cidr, formatCidr, type Ipv4 } from '../../../core/ip.js';
import type { PodNetwork, PodPlan } from '../../../k8s/cni/ports.js';
import { CniCode, CniError } from '../../../k8s/cni/protocol.js';
import type { ResultInterface } from '../../../k8s/cni/result.js';
import { Errno } from '../../../sys/libc.js';
import { failedWith } from '../../../sys/netlink.js';
import { withNetns } from '../../../sys/netns.js';
import { type Link, RouteNetlink } from '../../../sys/rtnetlink.js';
import { neighbourSettings, portSettings } from '../bridge-plan.js';
import { workloadPortName } from '../names.js';
import type { HostModules, NetnsHandle } from '../ports.js';
import { LinkRemoval } from './link-removal.js';

export interface KernelPodNetworkOptions {
  readonly bridge: string;
  readonly procPath: string;
}

export class KernelPodNetwork implements PodNetwork {
  readonly bridge: string;
  readonly #procPath: string;
  readonly #modules: Pick<HostModules, 'netns' | 'sysctl'>;
  /** In the host's namespace. */
  readonly #host: RouteNetlink;
  readonly #removal: LinkRemoval;

  /** @throws {SysError} */
  constructor(options: KernelPodNetworkOptions, modules: Pick<HostModules, 'netns' | 'sysctl'>) {
    this.bridge = options.bridge;
    this.#procPath = options.procPath;
    this.#modules = modules;
    const { host } = modules.netns;
    this.#host = inside(host, () => new RouteNetlink());
    this.#removal = new LinkRemoval(inside(host, () => new RouteNetlink()));
  }

  async close(): Promise<void> {
    await this.#removal.close();
    this.#host.close();
  }

  bridgeAddresses(): readonly Cidr[] {
    return addressesOf(this.#host, this.#bridgeLink().index);
  }

  async attach(plan: PodPlan): Promise<readonly ResultInterface[]> {
    const pod = this.#open(plan.netns);
    try {
      const interfaces = await this.#establish(plan, pod);
      await this.#modules.netns.announce(pod, plan.ifName);
      return interfaces;
    } finally {
      pod.close();
    }
  }

  addresses(ident: string, netns: string, ifName: string): readonly string[] | null {
    const pod = this.#open(netns);
    try {
      const port = this.#find(ident, workloadPortName(pod.inode, ifName));
      if (port === null || !port.isUp || port.master !== this.#bridgeLink().index) return null;
      return withPod(pod, (inner) => {
        const link = find(inner, ifName);
        if (link === null || !link.isUp) return null;
        return addressesOf(inner, link.index).map(formatCidr);
      });
    } finally {
      pod.close();
    }
  }

  async detach(ident: string, netns: string, ifName: string): Promise<void> {
    let pod: NetnsHandle;
    try {
      pod = this.#open(netns);
    } catch {
      // Gone with all that was in it, or soon.
      await this.remove(ident);
      return;
    }
    const name = workloadPortName(pod.inode, ifName);
    pod.close();
    const port = this.#find(ident, name);
    if (port !== null) await this.#removal.remove(port.index);
  }

  idents(prefix: string): readonly string[] {
    return this.#host.links().flatMap(({ alias }) => (alias.startsWith(prefix) ? [alias] : []));
  }

  async remove(ident: string): Promise<void> {
    const links = this.#host.links().filter(({ alias }) => alias === ident);
    await Promise.all(links.map(({ index }) => this.#removal.remove(index)));
  }

  async #establish(plan: PodPlan, pod: NetnsHandle): Promise<ResultInterface[]> {
    const { ident, ifName, netns } = plan;
    const { sysctl, netns: namespaces } = this.#modules;
    const name = workloadPortName(pod.inode, ifName);
    const isNew = this.#find(ident, name) === null;
    if (isNew) this.#makePair(plan, pod, name);
    try {
      const port = this.#host.link(name);
      this.#host.setAlias(port.index, ident);
      this.#host.setHairpin(port.index, plan.hairpin);
      sysctl.writeAll(namespaces.host, portSettings(name));
      this.#host.setUp(port.index);
      sysctl.writeAll(pod, neighbourSettings(ifName));
      const mac = withPod(pod, (inner) => configure(inner, plan));
      return [
        { name, mac: port.mac },
        { name: ifName, mac, sandbox: netns },
      ];
    } catch (error) {
      const port = isNew ? find(this.#host, name) : null;
      if (port !== null) await this.#removal.remove(port.index);
      throw error;
    }
  }

  #makePair(plan: PodPlan, pod: NetnsHandle, name: string): void {
    const bridge = this.#bridgeLink();
    const fd = openSync(pod.path as string, constants.O_RDONLY);
    try {
      this.#host.addVeth({
        name,
        peerName: plan.ifName,
        peerNetnsFd: fd,
        mtu: plan.mtu ?? bridge.mtu,
        master: bridge.index,
      });
    } catch (error) {
      if (!failedWith(error, Errno.EEXIST)) throw error;
      const text = `the namespace has an interface ${plan.ifName} already, which is not ours`;
      throw new CniError(CniCode.failed, text, 'two networks need two names');
    } finally {
      closeSync(fd);
    }
  }

  /** A name that another attachment has, or another program, is not ours. */
  #find(ident: string, name: string): Link | null {
    const link = find(this.#host, name);
    return link !== null && link.alias === ident ? link : null;
  }

  #bridgeLink(): Link {
    const link = find(this.#host, this.bridge);
    if (link !== null) return link;
    const text = `the bridge ${this.bridge} does not exist`;
    throw new CniError(CniCode.notAvailable, text, 'the router makes it again within seconds');
  }

  /** A router in a container sees the host's files by the root of the host's first process. */
  #open(path: string): NetnsHandle {
    const { netns } = this.#modules;
    const ofHost = `${this.#procPath}/1/root${path}`;
    let handle: NetnsHandle;
    try {
      handle = netns.open(existsSync(path) || !existsSync(ofHost) ? path : ofHost);
    } catch (error) {
      const text = `CNI_NETNS: error accessing namespace "${path}"`;
      throw new CniError(CniCode.invalidEnvironment, text, String(error));
    }
    if (handle.inode !== netns.host.inode) return handle;
    handle.close();
    const text = `CNI_NETNS: "${path}" is the network of the host, which has no pod interface`;
    throw new CniError(CniCode.invalidEnvironment, text);
  }
}

/** Address before route: the kernel refuses gateways that it cannot reach. @returns the MAC. */
function configure(inner: RouteNetlink, { ifName, address, routes }: PodPlan): string {
  const link = inner.link(ifName);
  inner.setUp(link.index);
  const accept = (work: () => void): void => {
    try {
      work();
    } catch (error) {
      if (!failedWith(error, Errno.EEXIST)) throw error;
    }
  };
  accept(() => inner.addAddress(link.index, address.address, address.prefixLength));
  for (const { destination, gateway } of routes) {
    accept(() =>
      inner.addRoute({
        destination: destination.address,
        prefixLength: destination.prefixLength,
        gateway,
        device: link.index,
      }),
    );
  }
  return link.mac;
}

function addressesOf(netlink: RouteNetlink, device: number): Cidr[] {
  return netlink
    .addresses(device)
    .map(({ address, prefixLength }) => ({ address: address as Ipv4, prefixLength }));
}

function find(netlink: RouteNetlink, name: string): Link | null {
  try {
    return netlink.link(name);
  } catch (error) {
    if (failedWith(error, Errno.ENODEV)) return null;
    throw error;
  }
}

function withPod<T>(pod: NetnsHandle, work: (inner: RouteNetlink) => T): T {
  return inside(pod, () => {
    const inner = new RouteNetlink();
    try {
      return work(inner);
    } finally {
      inner.close();
    }
  });
}

const inside = <T>(netns: NetnsHandle, work: () => T): T =>
  netns.path === null ? work() : withNetns(netns.path, work);
