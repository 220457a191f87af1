/**
 * OpenVPN point to point over UDP with a TAP device and AES-256-GCM; the ends know each other by
 * the fingerprint of a throw-away certificate. Source: openvpn(8), `--peer-fingerprint`.
 */
import { existsSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { runSync } from '../../test/support/shell.js';
import type { Endpoint } from '../endpoint.js';
import type { HostSide, Setting } from '../setting.js';
import type { System } from '../system.js';

const DEVICE = 'ovpn0';
const fileOf = (setting: Setting, host: HostSide, kind: 'key' | 'crt'): string =>
  join(setting.keepFolder, 'openvpn', `h${host.index}.${kind}`);

function makeCertificates(setting: Setting): void {
  if (existsSync(join(setting.keepFolder, 'openvpn'))) return;
  mkdirSync(join(setting.keepFolder, 'openvpn'), { mode: 0o700 });
  for (const host of setting.hosts) {
    runSync([
      ...['openssl', 'req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256'],
      ...['-nodes', '-days', '2', '-subj', `/CN=h${host.index}`],
      ...['-keyout', fileOf(setting, host, 'key'), '-out', fileOf(setting, host, 'crt')],
    ]);
  }
}

function fingerprintOf(setting: Setting, host: HostSide): string {
  const certificate = fileOf(setting, host, 'crt');
  const argv = ['openssl', 'x509', '-in', certificate, '-noout', '-fingerprint', '-sha256'];
  return runSync(argv).trim().split('=')[1] as string;
}

function argvOf(setting: Setting, host: HostSide): string[] {
  const other = setting.otherOf(host);
  return [
    ...['openvpn', '--dev', DEVICE, '--dev-type', 'tap', '--proto', 'udp4', '--port', '1194'],
    ...['--remote', other.address, '--local', host.address, '--tun-mtu', `${setting.workloadMtu}`],
    ...(host.index === 1 ? ['--tls-server', '--dh', 'none'] : ['--tls-client']),
    ...['--cert', fileOf(setting, host, 'crt'), '--key', fileOf(setting, host, 'key')],
    ...['--peer-fingerprint', fingerprintOf(setting, other)],
    ...['--data-ciphers', 'AES-256-GCM', '--mssfix', '0', '--verb', '3'],
  ];
}

export const openvpn: System = {
  id: 'openvpn',
  label: 'OpenVPN, TAP, AES-256-GCM',
  group: 'field',
  needs: { openvpn: 'openvpn', openssl: 'openssl' },
  start: async (setting) => {
    makeCertificates(setting);
    const ends: Endpoint[] = [];
    const pids: number[] = [];
    for (const host of setting.hosts) {
      const program = setting.start(host, argvOf(setting, host));
      await setting.waitDevice(host, DEVICE, program);
      ends.push(setting.bridged(host, DEVICE));
      pids.push(program.pid);
    }
    const [from, to] = ends as [Endpoint, Endpoint];
    return { from, to, pids };
  },
};
