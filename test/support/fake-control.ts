/** A router without mesh and host: answers the API from plain values and records what was asked. */
import { formatCidr } from '../../core/ip.js';
import { parseAddressArguments } from '../../router/address-arguments.js';
import type { AttachmentView, ExposureView, Report } from '../../router/api-types.js';
import type {
  AttachOptions,
  CallOptions,
  CniControl,
  Control,
  NamesControl,
} from '../../router/control.js';
import type { Health } from '../../router/readiness.js';
import type { FakeIpam } from './fake-ipam.js';

export function emptyReport(): Report {
  return {
    Ready: true,
    Version: 'unreleased',
    VersionCheck: {
      Enabled: false,
      Success: false,
      NewVersion: '',
      NextCheckAt: '0001-01-01T00:00:00Z',
    },
    Router: {
      Protocol: 'weave',
      ProtocolMinVersion: 1,
      ProtocolMaxVersion: 2,
      Encryption: false,
      PeerDiscovery: true,
      Name: '82:00:00:00:00:01',
      NickName: 'host1',
      Port: 6783,
      Peers: [
        {
          Name: '82:00:00:00:00:01',
          NickName: 'host1',
          UID: 9856658877133865692n,
          ShortID: 524,
          Version: 0n,
          Connections: [],
        },
      ],
      UnicastRoutes: [],
      BroadcastRoutes: [],
      Connections: [],
      TerminationCount: 0,
      Targets: [],
      OverlayDiagnostics: {},
      TrustedSubnets: [],
      Interface: 'vethwe-tap (via TAP)',
      CaptureStats: {},
      MACs: [],
    },
    IPAM: undefined,
    DNS: undefined,
  };
}

/** @returns the line for a bad target, null for a good one. */
function parseTarget(text: string): string | null {
  if (/^[^:\s]+(:\d+)?$/.test(text)) return null;
  return `invalid peer name "${text}", should be host[:port]`;
}

/** Checked as the router does; what it would choose is always the same. */
function addressesOf(words: readonly string[], chosen: string): readonly string[] {
  return parseAddressArguments(words).map((argument) =>
    argument.kind === 'exact' ? formatCidr(argument.cidr) : chosen,
  );
}

const CONTAINER_ID = /^[0-9a-f]{64}$/;

export class FakeControl implements Control {
  isReady = true;
  base: Report = emptyReport();
  targets: string[] = [];
  exposed = new Map<string, ExposureView>();
  attached: AttachmentView[] = [];
  /** Calls without an effect of their own here, and options worth a look. */
  calls: string[] = [];
  /** null: the allocator is off. */
  ipam: FakeIpam | null = null;
  /** What `attach` waits for before it answers. */
  hold: Promise<void> = Promise.resolve();
  /** Thrown by the next attach, detach or expose. */
  failure: Error | null = null;

  names: NamesControl | null = null;

  healthy: Health = { ok: true, text: 'ok' };
  readonly health = {
    ready: async (): Promise<Health> => this.healthy,
    live: (): Health => this.healthy,
  };

  readonly cni: CniControl = {
    run: async (request) => {
      this.calls.push(`cni ${request.command} ${request.containerId}`);
      return { result: null };
    },
  };

  ready(): boolean {
    return this.isReady;
  }

  async report(): Promise<Report> {
    return { ...this.base, Router: { ...this.base.Router, Targets: this.targets } };
  }

  async metrics(): Promise<string> {
    return 'weave_ready 1\n';
  }

  async connect(peers: readonly string[], replace: boolean): Promise<readonly string[]> {
    const faults = peers.flatMap((peer) => parseTarget(peer) ?? []);
    const good = peers.filter((peer) => parseTarget(peer) === null);
    this.targets = [...new Set([...(replace ? [] : this.targets), ...good])];
    return faults;
  }

  async forget(peers: readonly string[]): Promise<void> {
    this.targets = this.targets.filter((target) => !peers.includes(target));
  }

  async attach(target: string, addresses: readonly string[], options: AttachOptions & CallOptions) {
    this.#fail();
    const cidrs = addressesOf(addresses, '10.32.0.1/12');
    const { multicastRoute, names = [] } = options;
    const named = names.length === 0 ? '' : ` names=${names.join()}`;
    this.calls.push(`attach ${target} ${addresses} multicast=${multicastRoute}${named}`);
    const container = CONTAINER_ID.test(target) ? { id: target, name: 'shop' } : null;
    this.attached.push({ target, container, mac: '1e:d2:e0:e3:0c:b6', cidrs });
    await this.hold;
    return cidrs;
  }

  async detach(target: string, addresses: readonly string[]) {
    this.#fail();
    this.attached = this.attached.filter((one) => one.target !== target);
    return addresses.length === 0 ? ['10.32.0.1/12'] : addresses;
  }

  async attachments() {
    return this.attached;
  }

  async expose(addresses: readonly string[], { masquerade }: { readonly masquerade: boolean }) {
    this.#fail();
    const cidrs = addressesOf(addresses, '10.32.0.2/12');
    for (const cidr of cidrs) this.exposed.set(cidr, { cidr, masquerade });
    return cidrs;
  }

  async hide(addresses: readonly string[]) {
    const cidrs = addresses.length === 0 ? [...this.exposed.keys()] : addresses;
    for (const cidr of cidrs) this.exposed.delete(cidr);
    return cidrs;
  }

  async exposures() {
    return [...this.exposed.values()];
  }

  async reset() {
    this.calls.push('reset');
  }

  stop() {
    this.calls.push('stop');
  }

  handOver() {
    this.calls.push('hand-over');
  }

  #fail(): void {
    const failure = this.failure;
    this.failure = null;
    if (failure !== null) throw failure;
  }
}
