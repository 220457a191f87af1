/** tinc 1.0 in switch mode with its default cipher and digest. Source: tinc.conf(5), tincd(8). */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { runSync } from '../../test/support/shell.js';
import type { Endpoint } from '../endpoint.js';
import type { HostSide, Setting } from '../setting.js';
import type { System } from '../system.js';

const DEVICE = 'tinc0';
const nameOf = (host: HostSide): string => `bench${host.index}`;
const folderOf = (setting: Setting, host: HostSide): string =>
  join(setting.keepFolder, 'tinc', nameOf(host));

/** Key pairs take seconds, so they are made once per run. */
function makeFolders(setting: Setting): void {
  if (existsSync(join(setting.keepFolder, 'tinc'))) return;
  for (const host of setting.hosts) {
    const folder = folderOf(setting, host);
    mkdirSync(join(folder, 'hosts'), { recursive: true, mode: 0o700 });
    const conf = [`Name = ${nameOf(host)}`, 'Mode = switch', `Interface = ${DEVICE}`];
    conf.push('DeviceType = tap', 'AddressFamily = ipv4');
    if (host.index === 2) conf.push(`ConnectTo = ${nameOf(setting.otherOf(host))}`);
    writeFileSync(join(folder, 'tinc.conf'), `${conf.join('\n')}\n`);
    // The public key is appended to this file.
    writeFileSync(join(folder, 'hosts', nameOf(host)), `Address = ${host.address}\n`);
    runSync(['tincd', '-c', folder, '-K', '2048']);
  }
  for (const host of setting.hosts) {
    const own = readFileSync(join(folderOf(setting, host), 'hosts', nameOf(host)));
    const other = folderOf(setting, setting.otherOf(host));
    writeFileSync(join(other, 'hosts', nameOf(host)), own);
  }
}

export const tinc: System = {
  id: 'tinc',
  label: 'tinc 1.0, switch mode',
  group: 'field',
  needs: { tincd: 'tinc' },
  start: async (setting) => {
    makeFolders(setting);
    const ends: Endpoint[] = [];
    const pids: number[] = [];
    for (const host of setting.hosts) {
      const pidFile = join(setting.lab.folder, `tinc${host.index}.pid`);
      const folder = folderOf(setting, host);
      const program = setting.start(host, ['tincd', '-c', folder, '-D', `--pidfile=${pidFile}`]);
      await setting.waitDevice(host, DEVICE, program);
      ends.push(setting.bridged(host, DEVICE));
      pids.push(program.pid);
    }
    const [from, to] = ends as [Endpoint, Endpoint];
    return { from, to, pids };
  },
};
