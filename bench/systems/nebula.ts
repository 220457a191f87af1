/**
 * Nebula with AES. It carries packets, so the workloads' networks are routed through the hosts as
 * its "unsafe routes". Source: the example configuration of Nebula, nebula-cert(1).
 */
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { runSync } from '../../test/support/shell.js';
import type { Endpoint } from '../endpoint.js';
import type { HostSide, Setting } from '../setting.js';
import type { System } from '../system.js';

const DEVICE = 'nebula0';
const PORT = 4242;
const tunnelAddress = (host: HostSide): string => `10.78.0.${host.index}`;
const at = (setting: Setting, name: string): string => join(setting.keepFolder, 'nebula', name);

function makeCertificates(setting: Setting): void {
  if (existsSync(join(setting.keepFolder, 'nebula'))) return;
  mkdirSync(join(setting.keepFolder, 'nebula'), { mode: 0o700 });
  const [crt, key] = [at(setting, 'ca.crt'), at(setting, 'ca.key')];
  runSync(['nebula-cert', 'ca', '-name', 'bench', '-out-crt', crt, '-out-key', key]);
  for (const host of setting.hosts) {
    const name = `h${host.index}`;
    runSync([
      ...['nebula-cert', 'sign', '-ca-crt', crt, '-ca-key', key, '-name', name],
      ...['-ip', `${tunnelAddress(host)}/24`, '-subnets', setting.networkBehind(host)],
      ...['-out-crt', at(setting, `${name}.crt`), '-out-key', at(setting, `${name}.key`)],
    ]);
  }
}

function configurationOf(setting: Setting, host: HostSide): string {
  const other = setting.otherOf(host);
  const any = [{ port: 'any', proto: 'any', host: 'any' }];
  // JSON is YAML.
  return JSON.stringify({
    pki: {
      ca: at(setting, 'ca.crt'),
      cert: at(setting, `h${host.index}.crt`),
      key: at(setting, `h${host.index}.key`),
    },
    static_host_map: { [tunnelAddress(other)]: [`${other.address}:${PORT}`] },
    lighthouse: { am_lighthouse: false, hosts: [] },
    listen: { host: '0.0.0.0', port: PORT },
    cipher: 'aes',
    tun: {
      dev: DEVICE,
      mtu: setting.workloadMtu,
      unsafe_routes: [
        {
          route: setting.networkBehind(other),
          via: tunnelAddress(other),
          mtu: setting.workloadMtu,
        },
      ],
    },
    firewall: { outbound: any, inbound: any },
    logging: { level: 'warning' },
  });
}

export const nebula: System = {
  id: 'nebula',
  label: 'Nebula, AES',
  group: 'field',
  needs: { nebula: 'nebula', 'nebula-cert': 'nebula' },
  start: async (setting) => {
    makeCertificates(setting);
    const ends: Endpoint[] = [];
    const pids: number[] = [];
    for (const host of setting.hosts) {
      const path = join(setting.lab.folder, `nebula${host.index}.yml`);
      writeFileSync(path, configurationOf(setting, host));
      ends.push(setting.routed(host));
      const program = setting.start(host, ['nebula', '-config', path]);
      await setting.waitDevice(host, DEVICE, program);
      pids.push(program.pid);
    }
    const [from, to] = ends as [Endpoint, Endpoint];
    return { from, to, pids };
  },
};
