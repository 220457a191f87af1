/**
 * Lists the workloads on the bridge, however they got there: by us, by an earlier run, by Weave
 * Net 2. Docker is not asked; what counts is a veth on the bridge whose other end is elsewhere.
 * Source: reference/cli.md 9 (`ps`).
 */
import { errorText } from '../../core/errors.js';
import { formatCidr } from '../../core/ip.js';
import type { Bridge } from './bridge.js';
import { MAX_BRIDGE_MTU } from './bridge-plan.js';
import { type LinkState, parseLinks } from './link-state.js';
import { NFT_TABLE } from './names.js';
import type { HostModules, KnownNetns, NetnsHandle } from './ports.js';
import { DELETE_TABLE } from './rulesets.js';
import { identOfNetns } from './target.js';

export interface Attachment {
  /** What the user called it at attach, else the name of its namespace or a process id. */
  readonly target: string;
  /** Under which its addresses are filed. */
  readonly ident: string;
  readonly netnsPath: string;
  readonly interfaceName: string;
  /** The end on the host. */
  readonly portName: string;
  readonly mac: string;
  readonly mtuBytes: number;
  /** `a.b.c.d/n` */
  readonly cidrs: readonly string[];
}

interface Match {
  readonly known: KnownNetns;
  readonly port: LinkState;
  readonly link: LinkState;
}

export class Attachments {
  readonly #bridge: Bridge;
  readonly #modules: HostModules;

  constructor(bridge: Bridge, modules: HostModules) {
    this.#bridge = bridge;
    this.#modules = modules;
  }

  async list(): Promise<Attachment[]> {
    return (await this.#matches()).map(({ known, port, link }) => ({
      target: port.alias === '' ? known.target : port.alias,
      ident: identOfNetns(known, this.#modules.netns) ?? (port.alias || known.target),
      netnsPath: known.path,
      interfaceName: link.name,
      portName: port.name,
      mac: link.mac,
      mtuBytes: link.mtu,
      cidrs: link.addresses.map(formatCidr),
    }));
  }

  /**
   * Workloads of Weave Net 2 may send packets larger than any TAP device takes (it used 65 535);
   * those would vanish without a word.
   */
  async clampMtu(): Promise<void> {
    const { ip, netns, log } = this.#modules;
    const { bridge, links } = await this.#bridge.require();
    const isLarge = ({ master, mtu }: LinkState): boolean =>
      master === bridge.name && mtu > MAX_BRIDGE_MTU;
    if (!links.some(isLarge)) return;
    for (const { known, port, link } of await this.#matches()) {
      if (link.mtu <= MAX_BRIDGE_MTU && port.mtu <= MAX_BRIDGE_MTU) continue;
      await this.#inside(known, async (handle) => {
        await ip.batch(handle, [`link set dev ${link.name} mtu ${MAX_BRIDGE_MTU}`]);
        await ip.batch(netns.host, [`link set dev ${port.name} mtu ${MAX_BRIDGE_MTU}`]);
        log.info('Lowered the MTU of a workload', { target: known.target, mtu: MAX_BRIDGE_MTU });
      });
    }
  }

  /** Takes our rules out of all workloads, before their interfaces go. */
  async removeRules(): Promise<void> {
    const { nft } = this.#modules;
    for (const { known } of await this.#matches()) {
      await this.#inside(known, async (handle) => {
        if ((await nft.listTable(handle, NFT_TABLE)) !== null) {
          await nft.apply(handle, DELETE_TABLE);
        }
      });
    }
  }

  async #matches(): Promise<Match[]> {
    const { ip, netns } = this.#modules;
    const { bridge, links } = await this.#bridge.require();
    const ports = links.filter(
      (link) => link.kind === 'veth' && link.master === bridge.name && link.peerNetns !== null,
    );
    const found: Match[] = [];
    const unknown = new Set(ports);
    for (const known of netns.list()) {
      if (unknown.size === 0) break;
      if (known.inode === netns.host.inode) continue;
      await this.#inside(known, async (handle) => {
        const leading = [...unknown].filter(
          ({ peerNetns }) => peerNetns !== null && netns.isSame(peerNetns, handle),
        );
        if (leading.length === 0) return;
        const inside = parseLinks(await ip.query(handle, ['addr', 'show']));
        for (const port of leading) {
          const link = inside.find((other) => other.index === port.peerIndex);
          if (link !== undefined) found.push({ known, port, link });
          unknown.delete(port);
        }
      });
    }
    return found.sort((a, b) => a.port.index - b.port.index);
  }

  /** A workload may end at any moment; that is no error of a listing. */
  async #inside(known: KnownNetns, work: (handle: NetnsHandle) => Promise<void>): Promise<void> {
    const { netns, log } = this.#modules;
    let handle: NetnsHandle | null = null;
    try {
      handle = netns.open(known.path);
      if (handle.inode === known.inode) await work(handle);
    } catch (error) {
      log.debug('workload not reachable', { target: known.target, error: errorText(error) });
    } finally {
      handle?.close();
    }
  }
}
