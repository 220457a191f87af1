/**
 * The router confined like by deploy/weave.service: exactly its capabilities, no new privileges, a
 * read-only file system but for state and runtime folders. What systemd's filter of system calls
 * does is not repeated here.
 *
 *   w1 ── [h1 confined] ── switch ── [h2] ── w2
 */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { getPriority } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { attachOneEach, e2e, PASSWORD, startMesh } from '../support/e2e.js';
import { type Host, ownRouter, type RouterKind } from '../support/lab-host.js';
import { switchedHosts } from '../support/lab-topologies.js';
import type { Workload } from '../support/lab-workload.js';
import { waitFor } from '../support/wait.js';

const TOOLS = ['setpriv', 'unshare', 'mount'];
const root = join(dirname(fileURLToPath(import.meta.url)), '../../..');

/** Bits of linux/capability.h. */
const CAPABILITY_BITS: Readonly<Record<string, number>> = {
  CAP_NET_BIND_SERVICE: 10,
  CAP_NET_ADMIN: 12,
  CAP_NET_RAW: 13,
  CAP_SYS_PTRACE: 19,
  CAP_SYS_ADMIN: 21,
  CAP_SYS_NICE: 23,
};

function unitCapabilities(): string[] {
  const unit = readFileSync(join(root, 'deploy/weave.service'), 'utf8');
  const list = /^CapabilityBoundingSet=(.+)$/m.exec(unit)?.[1];
  assert.ok(list !== undefined);
  return list.split(' ');
}

/**
 * Every mount becomes read-only, as with ProtectSystem=strict, but those of the kernel and the
 * folder given. New namespaces of the host go on showing up.
 */
const READ_ONLY_MOUNTS = `
  mount --bind "$0" "$0" || exit 70
  while read -r _ place type _; do
    case "$type:$place" in
      proc:*|sysfs:*|devtmpfs:*|devpts:*|cgroup*|nsfs:*|*:/proc/*|*:/sys/*|*:/dev|*:/dev/*) ;;
      *:"$0") ;;
      *) mount -o remount,bind,ro "$place" || exit 71 ;;
    esac
  done < /proc/self/mounts
  cd / && exec "$@"`;

const confinedRouter: RouterKind = {
  argv: (host, options) => {
    const bounding = unitCapabilities().map((name) => `+${name.slice(4).toLowerCase()}`);
    const confine = ['setpriv', '--no-new-privs', '--inh-caps=-all'];
    confine.push(`--bounding-set=-all,${bounding.join(',')}`);
    const argv = [...confine, ...ownRouter.argv(host, options)];
    return [
      'unshare',
      '-m',
      '--propagation=slave',
      'sh',
      '-c',
      READ_ONLY_MOUNTS,
      host.folder,
      ...argv,
    ];
  },
  env: ownRouter.env,
};

function statusField(pid: number, name: string): string {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8');
  return new RegExp(`^${name}:\\s+(\\S+)`, 'm').exec(status)?.[1] ?? '';
}

e2e('with the rights of the unit all works: mesh, attach, expose, reset', TOOLS, async (lab) => {
  const kinds = [confinedRouter, ownRouter];
  const hosts = switchedHosts(lab, 2, { kinds }).hosts as [Host, Host];
  const [h1, h2] = hosts;
  await startMesh(hosts, { password: PASSWORD });
  const pid = h1.router?.pid ?? 0;
  const mask = unitCapabilities().reduce((sum, name) => {
    const bit = CAPABILITY_BITS[name];
    assert.ok(bit !== undefined, name);
    return sum + 2 ** bit;
  }, 0);
  assert.equal(statusField(pid, 'CapEff'), mask.toString(16).padStart(16, '0'));
  assert.equal(statusField(pid, 'NoNewPrivs'), '1');

  // Port 53 and the priority of the control thread are had as well.
  await h1.weaveOk('dns-add', '10.1.0.1', '-h', 'one.weave.local');
  assert.equal(await h1.weaveOk('dns-lookup', 'one'), '10.1.0.1\n');
  assert.equal(getPriority(pid), -15);

  const [w1, w2] = (await attachOneEach(hosts)) as [Workload, Workload];
  await waitFor('first answer', 10_000, () => w1.reaches(w2.address));
  // By the process id of another user's process, whose namespace the unit may look into.
  const sleeper = spawn('ip', [
    ...['netns', 'exec', w1.netns, 'setpriv', '--reuid=65534', '--clear-groups'],
    ...['sleep', '60'],
  ]);
  try {
    await waitFor('the other user', 5_000, () => statusField(sleeper.pid ?? 0, 'Uid') === '65534');
    assert.equal(await h1.weaveOk('attach', '10.41.0.1/24', `${sleeper.pid}`), '10.41.0.1\n');
    assert.equal(await h1.weaveOk('detach', '10.41.0.1/24', `${sleeper.pid}`), '10.41.0.1\n');
  } finally {
    sleeper.kill('SIGKILL');
  }
  assert.equal(await h1.weaveOk('expose', '10.40.1.1/16'), '10.40.1.1\n');
  await waitFor('answer of the exposed host', 5_000, () => w2.reaches('10.40.1.1'));
  assert.match(readFileSync(`/proc/${pid}/mounts`, 'utf8'), /^\S+ \/ \S+ ro\b/m);

  // A restart finds its state again, so state was written.
  await h1.stopRouter();
  await h1.startRouter({ password: PASSWORD, peers: [h2.address] });
  await h1.waitEstablished(h2);
  await waitFor('answer after the restart', 10_000, () => w1.reaches(w2.address));
  assert.doesNotMatch(readFileSync(h1.router?.logPath ?? '', 'utf8'), /^ERRO|EPERM|EACCES|EROFS/m);
  await h1.weaveOk('reset');
  const links = await lab.exec(h1.netns, ['ip', '-o', 'link', 'show']);
  assert.doesNotMatch(links.stdout, /weave|vethwe/);
});
