/**
 * WireGuard in user space, as Debian packages it. It carries packets, so the workloads' networks
 * are its allowed addresses. Source: wg(8), README of wireguard-go.
 */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { runSync } from '../../test/support/shell.js';
import { waitFor } from '../../test/support/wait.js';
import type { Endpoint } from '../endpoint.js';
import type { HostSide } from '../setting.js';
import type { System } from '../system.js';

const PORT = 51820;
const CONTROL_DEADLINE_MS = 5_000;

/** Control sockets lie in one folder for all namespaces, so the names differ between runs too. */
const deviceOf = (host: HostSide): string => `wgb${process.pid % 1_000_000}-${host.index}`;

export const wireguardGo: System = {
  id: 'wireguard-go',
  label: 'wireguard-go, user space',
  group: 'field',
  needs: { 'wireguard-go': 'wireguard-go', wg: 'wireguard-tools' },
  start: async (setting) => {
    const privateKeys = setting.hosts.map(() => runSync(['wg', 'genkey']).trim());
    const publicKeys = privateKeys.map((key) => runSync(['wg', 'pubkey'], `${key}\n`).trim());
    const ends: Endpoint[] = [];
    const pids: number[] = [];
    for (const [index, host] of setting.hosts.entries()) {
      const device = deviceOf(host);
      const other = setting.otherOf(host);
      const program = setting.start(host, ['wireguard-go', '-f', device]);
      await setting.waitDevice(host, device, program);
      const keyFile = join(setting.lab.folder, `wg${host.index}.key`);
      writeFileSync(keyFile, `${privateKeys[index]}\n`, { mode: 0o600 });
      const configure = (): boolean => {
        runSync([
          ...['ip', 'netns', 'exec', host.netns, 'wg', 'set', device],
          ...['listen-port', `${PORT}`, 'private-key', keyFile],
          ...['peer', publicKeys[1 - index] as string, 'endpoint', `${other.address}:${PORT}`],
          ...['allowed-ips', setting.networkBehind(other)],
        ]);
        return true;
      };
      // The control socket appears a moment after the device.
      await waitFor('control socket of wireguard-go', CONTROL_DEADLINE_MS, configure);
      ends.push(setting.routed(host));
      setting.lab.ip(host.netns, [
        `link set ${device} mtu ${setting.workloadMtu}`,
        `link set ${device} up`,
        `route add ${setting.networkBehind(other)} dev ${device}`,
      ]);
      pids.push(program.pid);
    }
    const [from, to] = ends as [Endpoint, Endpoint];
    return { from, to, pids };
  },
};
