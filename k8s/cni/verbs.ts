/**
 * The CNI verbs as the router performs them: what is allocated, which interface is made, and what
 * is undone when a step fails. Verbs of one attachment follow each other; others run side by side.
 * Source: CNI specification 1.1.0 section 2; reference/kubernetes.md 1.
 */
import { errorText } from '../../core/errors.js';
import {
  type Cidr,
  cidrContains,
  formatCidr,
  formatIpv4,
  type Ipv4,
  networkOf,
  parseCidr,
  parseIpv4,
} from '../../core/ip.js';
import { Turns } from '../../core/turns.js';
import { type CniConfig, parseConfig, type Route, subnetOf } from './config.js';
import type { PodAddresses, PodNetwork, PodRoute } from './ports.js';
import {
  attachmentIdent,
  CniCode,
  CniError,
  type CniReply,
  type CniRequest,
  isForeignIpam,
  networkPrefix,
} from './protocol.js';
import {
  type AttachmentResult,
  formatResult,
  parseForeignResult,
  previousAddresses,
} from './result.js';

const DEFAULT_ROUTE = '0.0.0.0/0';
/** No attachment is called like that. */
const EXPOSE_TURN = 'expose';

export interface VerbsModules {
  readonly network: PodNetwork;
  /** null: the allocator is off. */
  readonly addresses: PodAddresses | null;
  /** Gives the bridge an address of a subnet (null: the default one). */
  readonly expose: (subnet: Cidr | null, signal: AbortSignal) => Promise<void>;
  readonly ready: () => boolean;
}

interface Attachment {
  readonly request: CniRequest;
  readonly config: CniConfig;
  readonly ident: string;
}

export class CniVerbs {
  readonly #modules: VerbsModules;
  /**
   * Calls for one attachment must not mix, nor those that expose the bridge. BOUNDED by the
   * connections of the API.
   */
  readonly #turns = new Turns();
  readonly counters = { adds: 0, deletes: 0, checks: 0, collected: 0, failures: 0 };

  constructor(modules: VerbsModules) {
    this.#modules = modules;
  }

  /** Never rejects: what went wrong is in the reply. */
  async run(request: CniRequest, signal: AbortSignal): Promise<CniReply> {
    try {
      const config = parseConfig(request.config, this.#modules.network.bridge);
      const { containerId, ifName, command } = request;
      const ident = attachmentIdent(config.name, containerId, ifName);
      const attachment = { request, config, ident };
      if (command === 'STATUS') return { result: this.#status() };
      if (command === 'GC') return { result: await this.#collect(config) };
      return await this.#turns.run(ident, async () => ({
        result: await this.#perform(attachment, signal),
      }));
    } catch (error) {
      this.counters.failures += 1;
      const isOurs = error instanceof CniError;
      return {
        error: {
          code: isOurs ? error.code : CniCode.failed,
          msg: errorText(error),
          details: isOurs ? error.details : '',
        },
      };
    }
  }

  async #perform(attachment: Attachment, signal: AbortSignal) {
    const { plugin, command } = attachment.request;
    switch (command) {
      case 'ADD':
        this.counters.adds += 1;
        return plugin === 'weave-ipam'
          ? await this.#allocate(attachment, signal)
          : await this.#add(attachment, signal);
      case 'DEL':
        this.counters.deletes += 1;
        await this.#delete(attachment);
        return null;
      default:
        this.counters.checks += 1;
        this.#check(attachment);
        return null;
    }
  }

  async #allocate({ config, ident }: Attachment, signal: AbortSignal) {
    const { cidr } = await this.#builtIn().allocate(ident, subnetOf(config), signal);
    const { gateway = null, routes = [] } = config.ipam;
    const address = formatCidr(cidr);
    const result = { interfaces: [], address, gateway, routes, dns: config.dns };
    return formatResult(config.cniVersion, result);
  }

  async #add({ request, config, ident }: Attachment, signal: AbortSignal) {
    const { network, addresses } = this.#modules;
    if (request.netns === '') {
      throw new CniError(CniCode.invalidEnvironment, 'CNI_NETNS: ADD needs a network namespace');
    }
    const isForeign = isForeignIpam(config.ipam.type);
    const granted = isForeign
      ? null
      : await this.#builtIn().allocate(ident, subnetOf(config), signal);
    try {
      const given = this.#given(request, config, granted?.cidr ?? null);
      const address = parseCidr(given.address);
      const subnet = subnetOf(config);
      const gateway = given.gateway ?? (await this.#gateway(address, subnet, isForeign, signal));
      // Another address plugin says all routes; absent and none are the same there.
      const isDefault = config.ipam.routes === undefined && given.routes.length === 0;
      const routes = isDefault ? [{ dst: DEFAULT_ROUTE, gw: gateway }] : given.routes;
      const interfaces = await network.attach({
        ident,
        netns: request.netns,
        ifName: request.ifName,
        address,
        routes: planRoutes(address, parseIpv4(gateway), routes),
        mtu: config.mtu || null,
        hairpin: config.hairpinMode,
      });
      return formatResult(config.cniVersion, { ...given, interfaces, gateway, routes });
    } catch (error) {
      if (granted?.fresh === true) await addresses?.release(ident);
      throw error;
    }
  }

  #given(request: CniRequest, config: CniConfig, granted: Cidr | null): AttachmentResult {
    if (granted === null) {
      const foreign = parseForeignResult(request.ipamResult);
      return { ...foreign, dns: { ...foreign.dns, ...config.dns } };
    }
    const { gateway = null, routes = [] } = config.ipam;
    return { interfaces: [], address: formatCidr(granted), gateway, routes, dns: config.dns };
  }

  /** Address of the bridge in the pod's subnet, else its first; it gets one if it has none. */
  async #gateway(
    address: Cidr,
    subnet: Cidr | null,
    isForeign: boolean,
    signal: AbortSignal,
  ): Promise<string> {
    const { network } = this.#modules;
    const find = (): Cidr | undefined => {
      const own = network.bridgeAddresses();
      return own.find((one) => cidrContains(networkOf(address), one.address)) ?? own[0];
    };
    let found = find();
    if (found === undefined && (!isForeign || this.#modules.addresses !== null)) {
      // The first pods of a host come together: one of them does it for all.
      found = await this.#turns.run(EXPOSE_TURN, async () => {
        if (find() === undefined) await this.#modules.expose(isForeign ? null : subnet, signal);
        return find();
      });
    }
    if (found !== undefined) return formatIpv4(found.address);
    const text = 'there is no gateway: the bridge has no address';
    throw new CniError(CniCode.failed, text, 'set ipam.gateway or run "weave expose CIDR"');
  }

  /** Succeeds when nothing is there any more, or never was. */
  async #delete({ request, config, ident }: Attachment): Promise<void> {
    const { network, addresses } = this.#modules;
    if (request.plugin === 'weave-net') {
      // First the interface: the address may be somebody else's the moment it is released.
      if (request.netns !== '') await network.detach(ident, request.netns, request.ifName);
      else await network.remove(ident);
    }
    if (addresses === null || isForeignIpam(config.ipam.type)) return;
    await addresses.release(ident);
    // Weave Net 2 filed addresses under the container's id alone.
    await addresses.release(request.containerId);
  }

  #check({ request, config, ident }: Attachment): void {
    const { network, addresses } = this.#modules;
    const isForeign = isForeignIpam(config.ipam.type);
    if (!isForeign && (addresses?.held(ident) ?? []).length === 0) {
      throw checkFailed('its address is not allocated on this host');
    }
    if (request.plugin === 'weave-ipam') return;
    const present = network.addresses(ident, request.netns, request.ifName);
    if (present === null) throw checkFailed(`${request.ifName} is not there, or not on the bridge`);
    if (config.prevResult === undefined) {
      throw new CniError(CniCode.invalidConfig, 'prevResult: CHECK needs the result of the ADD');
    }
    const wanted = previousAddresses(config.prevResult, request.ifName);
    const lost = wanted.find((address) => !present.includes(address));
    if (lost !== undefined) throw checkFailed(`${request.ifName} has lost its address ${lost}`);
  }

  /** What no attachment of the runtime's list needs: after a crash nobody else gives it back. */
  async #collect(config: CniConfig): Promise<null> {
    const { network, addresses } = this.#modules;
    const valid = config['cni.dev/valid-attachments'];
    if (valid === undefined) {
      const text = 'cni.dev/valid-attachments: GC needs the list of valid attachments';
      throw new CniError(CniCode.invalidConfig, text);
    }
    const living = new Set(
      valid.map(({ containerID, ifname }) => attachmentIdent(config.name, containerID, ifname)),
    );
    const prefix = networkPrefix(config.name);
    const present = [...network.idents(prefix), ...(addresses?.idents(prefix) ?? [])];
    const dead = new Set(present.filter((ident) => !living.has(ident)));
    await Promise.all([...dead].map((ident) => this.#turns.run(ident, () => this.#forget(ident))));
    return null;
  }

  async #forget(ident: string): Promise<void> {
    await this.#modules.network.remove(ident);
    await this.#modules.addresses?.release(ident);
    this.counters.collected += 1;
  }

  #status(): null {
    if (!this.#modules.ready()) {
      throw new CniError(CniCode.notAvailable, 'the router is starting', 'try again in a moment');
    }
    // Throws without a bridge: no pod could be attached.
    this.#modules.network.bridgeAddresses();
    return null;
  }

  #builtIn(): PodAddresses {
    const { addresses } = this.#modules;
    if (addresses !== null) return addresses;
    throw new CniError(
      CniCode.invalidConfig,
      'the allocator of the router is off',
      'start it with --ipalloc-range, or name another plugin in ipam.type',
    );
  }
}

/** A gateway outside the pod's subnet needs a route of its own first. */
function planRoutes(address: Cidr, gateway: Ipv4, routes: readonly Route[]): PodRoute[] {
  const planned = routes.map(({ dst, gw }) => ({
    destination: networkOf(parseCidr(dst)),
    gateway: gw === undefined ? gateway : parseIpv4(gw),
  }));
  const reachable = cidrContains(networkOf(address), gateway);
  if (reachable || planned.length === 0) return planned;
  return [{ destination: { address: gateway, prefixLength: 32 }, gateway: null }, ...planned];
}

const checkFailed = (text: string): CniError =>
  new CniError(CniCode.checkFailed, text, 'delete the pod: its runtime makes it anew');
