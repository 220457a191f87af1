/**
 * Accept rules for the overlay in forward chains of other programs that drop by default: Docker's
 * and ufw's `FORWARD` made with iptables-nft, firewalld's reject at the end. In nftables a packet
 * must pass every base chain of a hook, so an accept in our own table can't save it.
 *
 * Our rules carry a comment with the bridge's name; nothing else in those chains is read as ours,
 * moved or removed. Tables of iptables-legacy are invisible to `nft` and left alone.
 * Methods are called one at a time, by HostNetwork's queue.
 * Source: reference/host-network.md 6, 7; nft(8).
 */
import { errorText } from '../../core/errors.js';
import {
  allowanceScript,
  type ForwardChain,
  forwardChains,
  ownRules,
  refusesByDefault,
} from './foreign-rules.js';
import type { HostModules } from './ports.js';
import { fingerprint } from './rulesets.js';

/** BOUNDED by this: forward chains looked at. A host with a handful of firewalls has a handful. */
const MAX_CHAINS = 32;

export class ForeignChains {
  readonly #bridge: string;
  readonly #modules: HostModules;
  /** By chain: what the kernel showed of our rules after we laid them. BOUNDED by MAX_CHAINS. */
  readonly #laid = new Map<string, string>();
  /** Refusals already logged, by chain. BOUNDED by MAX_CHAINS. */
  readonly #warned = new Map<string, string>();

  constructor(bridge: string, modules: HostModules) {
    this.#bridge = bridge;
    this.#modules = modules;
  }

  /**
   * Makes every refusing chain accept the overlay's traffic.
   * @param networks exposed networks, `a.b.c.d/n`.
   * @param force lay the rules even where they look untouched: the networks have changed.
   * @returns whether something was missing. Chains that can't be changed are warned about once.
   */
  async lay(networks: readonly string[], force: boolean): Promise<boolean> {
    let repaired = false;
    const chains = await this.#list();
    for (const known of [...this.#laid.keys()]) {
      if (!chains.some(({ key }) => key === known)) this.#laid.delete(known);
    }
    for (const chain of chains) {
      try {
        if (await this.#layOne(chain, networks, force)) repaired = true;
        this.#warned.delete(chain.key);
      } catch (error) {
        this.#warn(chain, errorText(error));
      }
    }
    return repaired;
  }

  async tearDown(): Promise<void> {
    const { nft, netns } = this.#modules;
    this.#laid.clear();
    for (const chain of await this.#list()) {
      try {
        const own = ownRules(await nft.listChain(netns.host, chain), this.#bridge);
        if (own.length > 0) await nft.apply(netns.host, allowanceScript(chain, own, null));
      } catch (error) {
        // Chains come and go with their owners; the rest of a reset must not depend on one.
        this.#warn(chain, errorText(error));
      }
    }
  }

  /** Chains of iptables-legacy decide as well, and `nft` doesn't show what. */
  warnAboutLegacy(): void {
    const { netns, log } = this.#modules;
    if (!netns.hasLegacyFilter(netns.host)) return;
    const insert = 'iptables-legacy -I FORWARD';
    log.warn(
      'Rules of iptables-legacy are in force on this host and are never touched; should they drop ' +
        'forwarded packets, traffic of the overlay through this host needs accept rules there',
      { remedy: `${insert} -i ${this.#bridge} -j ACCEPT; ${insert} -o ${this.#bridge} -j ACCEPT` },
    );
  }

  async #list(): Promise<ForwardChain[]> {
    const { nft, netns } = this.#modules;
    return forwardChains(await nft.listChains(netns.host)).slice(0, MAX_CHAINS);
  }

  async #layOne(
    chain: ForwardChain,
    networks: readonly string[],
    force: boolean,
  ): Promise<boolean> {
    const { nft, netns, log } = this.#modules;
    const listing = await nft.listChain(netns.host, chain);
    const own = ownRules(listing, this.#bridge);
    const isNeeded = refusesByDefault(chain, listing);
    if (!isNeeded && own.length === 0) return false;
    const laid = this.#laid.get(chain.key);
    if (isNeeded && !force && laid !== undefined && laid === fingerprint(own)) return false;
    // A chain that became open keeps no rules of ours.
    const wanted = isNeeded ? { bridge: this.#bridge, networks } : null;
    await nft.apply(netns.host, allowanceScript(chain, own, wanted));
    if (!isNeeded) {
      this.#laid.delete(chain.key);
      return true;
    }
    const now = ownRules(await nft.listChain(netns.host, chain), this.#bridge);
    this.#laid.set(chain.key, fingerprint(now));
    if (laid === undefined || !force) {
      const text = 'Forwarded packets are dropped by default here; the overlay is let through';
      log.info(text, { chain: chain.key, rules: now.length });
    }
    return true;
  }

  #warn(chain: ForwardChain, error: string): void {
    if (this.#warned.get(chain.key) === error) return;
    this.#warned.set(chain.key, error);
    this.#modules.log.warn(
      'Forwarded packets are dropped by default by other software, and its chain cannot be ' +
        'changed; let the traffic of the bridge through with the means of that software',
      { chain: chain.key, bridge: this.#bridge, error },
    );
  }
}
