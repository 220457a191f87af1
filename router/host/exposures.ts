/**
 * Addresses of this host on the overlay, and the host's packet-filter table. The table is always
 * rebuilt wholly from the wanted state, so a flush by other software is repaired by laying it anew.
 * Methods are called one at a time, by HostNetwork's queue.
 * Source: reference/host-network.md 6, 7.
 */
import { errorText, RequestError } from '../../core/errors.js';
import { formatCidr } from '../../core/ip.js';
import { hasCidr, networkTexts, parseHostCidr } from './addresses.js';
import type { Bridge } from './bridge.js';
import { neighbourSettings } from './bridge-plan.js';
import { ForeignChains } from './foreign-chains.js';
import type { LinkState } from './link-state.js';
import { NFT_TABLE } from './names.js';
import type { HostModules } from './ports.js';
import {
  DELETE_TABLE,
  type Exposure,
  exposureNetwork,
  fingerprint,
  hostRuleset,
  unmasqueradedNetworks,
} from './rulesets.js';
import { addAddressCommand, deleteAddressCommand } from './workload-plan.js';

/** The rules of each exposure are looked at for each forwarded packet. */
export const MAX_EXPOSURES = 256;

/** What the caller stores, and what the control API shows. */
export interface ExposureRecord {
  /** `a.b.c.d/n` */
  readonly cidr: string;
  readonly masquerade: boolean;
}

export interface ExposureOptions {
  readonly bridge: string;
  readonly apiPort: number | null;
  readonly saved: readonly ExposureRecord[];
}

export class Exposures {
  readonly #options: ExposureOptions;
  readonly #bridge: Bridge;
  readonly #modules: HostModules;
  /** By CIDR text. BOUNDED by MAX_EXPOSURES. */
  readonly #exposures = new Map<string, Exposure>();
  /** What the kernel showed right after we last laid the rules. */
  #laid = '';
  #warnedForwarding = false;
  /** null: the option is off. */
  #keepSourcesTo: readonly string[] | null = null;
  readonly #foreign: ForeignChains;

  constructor(options: ExposureOptions, bridge: Bridge, modules: HostModules) {
    this.#options = options;
    this.#bridge = bridge;
    this.#modules = modules;
    this.#foreign = new ForeignChains(options.bridge, modules);
  }

  list(): ExposureRecord[] {
    return [...this.#exposures].map(([cidr, { masquerade }]) => ({ cidr, masquerade }));
  }

  /**
   * Takes up the addresses found on the bridge and lays the rules. Whether one was exposed without
   * masquerading is remembered by the caller's records, else by the rules still in the kernel.
   */
  async restore(): Promise<void> {
    const { nft, netns, log } = this.#modules;
    const { bridge } = await this.#bridge.require();
    const plain = unmasqueradedNetworks(await nft.listTable(netns.host, NFT_TABLE));
    for (const cidr of bridge.addresses.slice(0, MAX_EXPOSURES)) {
      const text = formatCidr(cidr);
      if (this.#exposures.has(text)) continue;
      const saved = this.#options.saved.find((record) => record.cidr === text);
      const exposure = { cidr, masquerade: true };
      const masquerade = saved?.masquerade ?? !plain.has(exposureNetwork(exposure));
      this.#exposures.set(text, { cidr, masquerade });
      log.info('Re-exposing', { cidr: text, bridge: bridge.name, masquerade });
    }
    await this.#layRules();
    this.#foreign.warnAboutLegacy();
  }

  async expose(text: string, masquerade: boolean): Promise<void> {
    const { ip, netns, log } = this.#modules;
    const cidr = parseHostCidr(text);
    const key = formatCidr(cidr);
    const { bridge } = await this.#bridge.require();
    const before = this.#exposures.get(key);
    if (before === undefined && this.#exposures.size >= MAX_EXPOSURES) {
      throw new RequestError('too-many-addresses', `at most ${MAX_EXPOSURES} exposed addresses`);
    }
    const isNew = !hasCidr(bridge.addresses, cidr);
    if (isNew) await ip.batch(netns.host, [addAddressCommand(cidr, bridge.name)]);
    this.#exposures.set(key, { cidr, masquerade });
    try {
      await this.#layRules();
    } catch (error) {
      if (before === undefined) this.#exposures.delete(key);
      else this.#exposures.set(key, before);
      if (isNew) await ip.batch(netns.host, [deleteAddressCommand(cidr, bridge.name)]);
      throw error;
    }
    try {
      await netns.announce(netns.host, bridge.name);
    } catch (error) {
      log.warn('address could not be announced', { address: key, error: errorText(error) });
    }
    this.#warnAboutForwarding();
  }

  /** Also forgets the exemption of multicast. An address that is not there is no error. */
  async hide(text: string): Promise<void> {
    const { ip, netns, sysctl } = this.#modules;
    const cidr = parseHostCidr(text);
    const { bridge } = await this.#bridge.require();
    if (hasCidr(bridge.addresses, cidr)) {
      // Without this the kernel removes the other addresses of the same network as well.
      sysctl.writeAll(netns.host, neighbourSettings(bridge.name));
      await ip.batch(netns.host, [deleteAddressCommand(cidr, bridge.name)]);
    }
    this.#exposures.delete(formatCidr(cidr));
    await this.#layRules();
  }

  /** @returns whether rules of ours were gone or changed anywhere, and are laid again. */
  async repairRules(): Promise<boolean> {
    const { nft, netns, log } = this.#modules;
    const now = fingerprint(await nft.listTable(netns.host, NFT_TABLE));
    if (now !== '' && now === this.#laid) return this.#foreign.lay(this.#networks(), false);
    log.warn('Packet-filter rules were changed by other software; laying them again', {
      table: NFT_TABLE,
    });
    await this.#layRules();
    return true;
  }

  /** Puts back exposed addresses that something else took off the bridge. @returns how many. */
  async repairAddresses(bridge: LinkState): Promise<number> {
    const { ip, netns, log } = this.#modules;
    const lost = [...this.#exposures.values()].filter((e) => !hasCidr(bridge.addresses, e.cidr));
    for (const { cidr } of lost) {
      log.warn('An exposed address was removed from the bridge; adding it again (see weave hide)', {
        cidr: formatCidr(cidr),
        bridge: bridge.name,
      });
      await ip.batch(netns.host, [addAddressCommand(cidr, bridge.name)]);
    }
    return lost.length;
  }

  /** @param ranges `a.b.c.d-e.f.g.h`, of workloads on this host. */
  async keepSourcesTo(ranges: readonly string[]): Promise<void> {
    if (this.#keepSourcesTo?.join() === ranges.join()) return;
    this.#keepSourcesTo = ranges;
    await this.#layRules();
  }

  async tearDown(): Promise<void> {
    const { nft, netns } = this.#modules;
    this.#exposures.clear();
    this.#laid = '';
    await this.#foreign.tearDown();
    await nft.apply(netns.host, DELETE_TABLE);
  }

  async #layRules(): Promise<void> {
    const { nft, netns } = this.#modules;
    const { bridge, apiPort } = this.#options;
    const exposures = [...this.#exposures.values()];
    this.#laid = '';
    const keepSourcesTo = this.#keepSourcesTo;
    await nft.apply(netns.host, hostRuleset({ bridge, apiPort, exposures, keepSourcesTo }));
    this.#laid = fingerprint(await nft.listTable(netns.host, NFT_TABLE));
    await this.#foreign.lay(this.#networks(), true);
  }

  #networks(): string[] {
    return networkTexts([...this.#exposures.values()].map(({ cidr }) => cidr));
  }

  #warnAboutForwarding(): void {
    const { sysctl, netns, log } = this.#modules;
    if (this.#warnedForwarding || sysctl.read(netns.host, 'net/ipv4/ip_forward') !== '0') return;
    this.#warnedForwarding = true;
    log.warn(
      'IP forwarding is off (net.ipv4.ip_forward = 0): the host reaches exposed networks, but ' +
        'nobody else does through it; set it to 1',
    );
  }
}
