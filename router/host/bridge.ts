/**
 * The bridge and its port to the data plane on this host. Methods are called one at a time, by
 * HostNetwork's queue.
 */
import { WeaveError } from '../../core/errors.js';
import { type Mac, parseMac } from '../../core/mac.js';
import {
  type BridgeOptions,
  MAX_BRIDGE_MTU,
  neighbourSettings,
  planBridge,
  portSettings,
} from './bridge-plan.js';
import { type LinkState, parseLinks } from './link-state.js';
import { INTERFACE_PREFIX } from './names.js';
import type { HostModules } from './ports.js';

/**
 * MAC of an existing bridge of that name, or null: an earlier run, or Weave Net 2, made it from the
 * peer name, so a router that is not told its name takes it from here.
 */
export async function readBridgeMac(
  bridge: string,
  { ip, netns }: Pick<HostModules, 'ip' | 'netns'>,
): Promise<Mac | null> {
  const links = parseLinks(await ip.query(netns.host, ['link', 'show']));
  const found = links.find((link) => link.name === bridge && link.kind === 'bridge');
  return found === undefined ? null : parseMac(found.mac);
}

export class Bridge {
  readonly #options: BridgeOptions;
  readonly #modules: HostModules;
  #ownsTap = false;
  /** Faults that were reported and still hold, so that each is logged once. BOUNDED: two texts. */
  readonly #reported = new Set<string>();

  constructor(options: BridgeOptions, modules: HostModules) {
    this.#options = options;
    this.#modules = modules;
  }

  async links(): Promise<LinkState[]> {
    const { ip, netns } = this.#modules;
    return parseLinks(await ip.query(netns.host, ['addr', 'show']));
  }

  /** @throws {WeaveError} `bridge-missing` */
  async require(): Promise<{ bridge: LinkState; links: LinkState[] }> {
    const links = await this.links();
    const bridge = links.find((link) => link.name === this.#options.bridge);
    if (bridge !== undefined) return { bridge, links };
    throw new WeaveError('bridge-missing', `the bridge "${this.#options.bridge}" does not exist`);
  }

  /** Creates or adopts the bridge and brings it up. @throws {WeaveError} see planBridge */
  async setUp(): Promise<void> {
    const { ip, netns, sysctl, log } = this.#modules;
    const { bridge } = this.#options;
    const plan = planBridge(this.#options, {
      links: await this.links(),
      ownsTap: this.#ownsTap,
      isCaptured: (link) => netns.isCaptured(netns.host, link.index),
    });
    for (const warning of plan.warnings) log.warn(warning, { bridge });
    await ip.batch(netns.host, plan.commands);
    sysctl.writeAll(netns.host, neighbourSettings(bridge));
    await ip.batch(netns.host, [`link set dev ${bridge} up`]);
    log.info(plan.adopted ? 'Adopted existing bridge' : 'Created bridge', {
      bridge,
      mtu: plan.mtuBytes,
    });
  }

  /**
   * Makes the open TAP device a port of the bridge. Its MTU is the largest possible, whatever the
   * bridge's: too large packets must reach the data plane, which tells their senders so by ICMP,
   * whereas a bridge would drop them without a word.
   * @throws {WeaveError} `tap-missing`
   */
  async attachTap(): Promise<void> {
    const { ip, netns, sysctl } = this.#modules;
    const { bridge, tapName } = this.#options;
    const { links } = await this.require();
    if (!links.some((link) => link.name === tapName)) {
      throw new WeaveError('tap-missing', `the device "${tapName}" of the data plane is missing`);
    }
    this.#ownsTap = true;
    for (const [key, value] of portSettings(tapName)) sysctl.write(netns.host, key, value);
    await ip.batch(netns.host, [
      `link set dev ${tapName} mtu ${MAX_BRIDGE_MTU}`,
      `link set dev ${tapName} master ${bridge}`,
      `link set dev ${tapName} up`,
    ]);
    this.reportFaults(await this.links());
  }

  /** @returns whether the TAP had left the bridge and is a port again. */
  async repairTap(links: readonly LinkState[]): Promise<boolean> {
    const { bridge, tapName } = this.#options;
    const tap = links.find((link) => link.name === tapName);
    // A TAP that is gone altogether belongs to the data plane, which reopens it.
    if (!this.#ownsTap || tap === undefined || (tap.master === bridge && tap.up)) return false;
    await this.attachTap();
    return true;
  }

  /** Logs what we see but leave to the administrator, at the change. */
  reportFaults(links: readonly LinkState[]): void {
    const { bridge, tapName } = this.#options;
    const down = links.some((link) => link.name === bridge && !link.up);
    const hairpin = links.some((link) => link.name === tapName && link.hairpin);
    this.#report(down, `Interface "${bridge}" is down`);
    // Frames would come back from the overlay's port to where they came from, and circle.
    this.#report(hairpin, `Hairpin mode enabled on "${tapName}"`);
  }

  #report(present: boolean, text: string): void {
    if (present && !this.#reported.has(text)) this.#modules.log.error(text);
    if (present) this.#reported.add(text);
    else this.#reported.delete(text);
  }

  /**
   * Deletes the bridge and every interface named `vethwe…`, the original's included.
   * @throws {WeaveError} `reset-incomplete` naming what would not go.
   */
  async tearDown(): Promise<void> {
    const { ip, netns, log } = this.#modules;
    const isOurs = (link: LinkState): boolean =>
      link.name.startsWith(INTERFACE_PREFIX) ||
      (link.name === this.#options.bridge && link.kind === 'bridge');
    for (const link of (await this.links()).filter(isOurs)) {
      // One at a time: the second end of a pair is gone when the first is, which is no error.
      await ip.batch(netns.host, [`link del dev ${link.name}`]).catch((error: Error) => {
        log.debug('interface could not be deleted', { link: link.name, error: error.message });
      });
    }
    this.#ownsTap = false;
    const left = (await this.links()).filter(isOurs).map((link) => link.name);
    if (left.length === 0) return;
    throw new WeaveError('reset-incomplete', `could not remove: ${left.join(', ')}`);
  }
}
