/**
 * The two hosts every system is measured between, made anew for each measurement:
 *
 *   w1 ethwe ── bridge weave [h1] eth0 ── veth ── eth0 [h2] bridge weave ── ethwe w2
 *                         198.51.100.1            198.51.100.2
 *
 * Overlays of frames put the workloads into one network, 10.77.0.0/24. Overlays of packets get a
 * network for each host, 10.77.1.0/24 and 10.77.2.0/24, which the host routes to its tunnel.
 */
import { readFileSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { type BackgroundProcess, Lab } from '../test/support/lab.js';
import { runSync } from '../test/support/shell.js';
import { waitFor } from '../test/support/wait.js';
import type { Endpoint } from './endpoint.js';
import { type BenchOptions, JUMBO_WORKLOAD_MTU, WORKLOAD_MTU } from './options.js';

const BRIDGE = 'weave';
const TUNNEL_DEADLINE_MS = 15_000;
const LOG_TAIL_CHARACTERS = 400;

export interface HostSide {
  /** 1 or 2. */
  readonly index: number;
  readonly netns: string;
  /** Underlay address. */
  readonly address: string;
}

export class Setting {
  readonly lab = new Lab();
  readonly hosts: readonly [HostSide, HostSide];
  readonly workloadMtu: number;
  readonly underlayMtu: number;
  /** Lives as long as the whole run; keys and certificates that take long are kept in it. */
  readonly keepFolder: string;

  constructor(options: BenchOptions, keepFolder: string) {
    this.keepFolder = keepFolder;
    this.workloadMtu = options.jumbo ? JUMBO_WORKLOAD_MTU : WORKLOAD_MTU;
    this.underlayMtu = options.jumbo ? 9000 : 1500;
    const [left, right] = [this.lab.addNetns('h1'), this.lab.addNetns('h2')];
    this.lab.cable(
      { netns: left, device: 'eth0' },
      { netns: right, device: 'eth0' },
      this.underlayMtu,
    );
    this.hosts = [
      { index: 1, netns: left, address: '198.51.100.1' },
      { index: 2, netns: right, address: '198.51.100.2' },
    ];
    for (const host of this.hosts) {
      this.lab.ip(host.netns, [`addr add ${host.address}/24 dev eth0`]);
    }
  }

  /** A workload on a bridge, and the tunnel's device on the same bridge. */
  bridged(host: HostSide, tunnelDevice: string): Endpoint {
    const address = `10.77.0.${host.index}`;
    const netns = this.#plug(host);
    this.lab.ip(netns, [`addr add ${address}/24 dev ethwe`]);
    this.lab.ip(host.netns, [
      `link set ${tunnelDevice} mtu ${this.workloadMtu}`,
      `link set ${tunnelDevice} master ${BRIDGE}`,
      `link set ${tunnelDevice} up`,
    ]);
    return { netns, address };
  }

  /** A workload in its host's own network; what else routes there is the system's business. */
  routed(host: HostSide): Endpoint {
    const address = `10.77.${host.index}.2`;
    const netns = this.#plug(host);
    const gateway = `10.77.${host.index}.1`;
    this.lab.ip(host.netns, [`addr add ${gateway}/24 dev ${BRIDGE}`]);
    this.lab.sysctl(host.netns, 'net/ipv4/ip_forward', '1');
    this.lab.ip(netns, [`addr add ${address}/24 dev ethwe`, `route add default via ${gateway}`]);
    return { netns, address };
  }

  /** The network behind the other host, for routes of packet overlays. */
  networkBehind(host: HostSide): string {
    return `10.77.${host.index}.0/24`;
  }

  otherOf(host: HostSide): HostSide {
    return host.index === 1 ? this.hosts[1] : this.hosts[0];
  }

  start(host: HostSide, argv: readonly string[], cwd?: string): BackgroundProcess {
    const label = `h${host.index}-${argv[0]}`.replaceAll('/', '_');
    return this.lab.start(host.netns, argv, { label, ...(cwd === undefined ? {} : { cwd }) });
  }

  /** Waits until a program has made its network device. */
  async waitDevice(host: HostSide, device: string, program: BackgroundProcess): Promise<void> {
    const there = (): boolean => {
      if (!program.running()) return true;
      return runSync(['ip', '-n', host.netns, '-o', 'link']).includes(` ${device}: `);
    };
    await waitFor(`device ${device}`, TUNNEL_DEADLINE_MS, there);
    // It may still be about to end because of a wrong option.
    await delay(50);
    if (!program.running()) throw new Error(`the program ended: ${this.logTails()}`);
  }

  /** Ends of all logs on one line, for the sentence that says why a system is skipped. */
  logTails(): string {
    const tails = this.lab.logs().map((path) => {
      const text = readFileSync(path, 'utf8').trim().slice(-LOG_TAIL_CHARACTERS);
      return text.replaceAll(/\s+/g, ' ');
    });
    return tails.filter((tail) => tail !== '').join(' | ');
  }

  close(): void {
    this.lab.close();
  }

  #plug(host: HostSide): string {
    const netns = this.lab.addNetns(`w${host.index}`);
    const mtu = this.workloadMtu;
    this.lab.ip(host.netns, [`link add ${BRIDGE} type bridge`, `link set ${BRIDGE} up`]);
    this.lab.cable({ netns: host.netns, device: 'vethwl' }, { netns, device: 'ethwe' }, mtu);
    this.lab.ip(host.netns, [`link set vethwl master ${BRIDGE}`]);
    return netns;
  }
}
