/** A router without mesh and host: answers the API from plain values and records what was asked. */
import type { AttachmentView, ExposureView, Report } from '../../router/api-types.js';
import type { AttachOptions, Control, NamesControl } from '../../router/control.js';

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

export class FakeControl implements Control {
  isReady = true;
  base: Report = emptyReport();
  targets: string[] = [];
  exposed = new Map<string, ExposureView>();
  attached: AttachmentView[] = [];
  /** Calls without an effect of their own here, and options worth a look. */
  calls: string[] = [];
  /** Thrown by the next attach, detach or expose. */
  failure: Error | null = null;

  names: NamesControl | null = null;

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

  async attach(target: string, cidrs: readonly string[], options: AttachOptions) {
    this.#fail();
    const { multicastRoute, names = [] } = options;
    const named = names.length === 0 ? '' : ` names=${names.join()}`;
    this.calls.push(`attach ${target} multicast=${multicastRoute}${named}`);
    this.attached.push({ target, mac: '1e:d2:e0:e3:0c:b6', cidrs });
    return cidrs;
  }

  async detach(target: string, cidrs: readonly string[]) {
    this.#fail();
    this.attached = this.attached.filter((one) => one.target !== target);
    return cidrs;
  }

  async attachments() {
    return this.attached;
  }

  async expose(cidr: string, { masquerade }: { readonly masquerade: boolean }) {
    this.#fail();
    this.exposed.set(cidr, { cidr, masquerade });
  }

  async hide(cidr: string) {
    this.exposed.delete(cidr);
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

  #fail(): void {
    const failure = this.failure;
    this.failure = null;
    if (failure !== null) throw failure;
  }
}
