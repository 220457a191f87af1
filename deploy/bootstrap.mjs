#!/usr/bin/env node
/**
 * What `npm start`, `npm test` and `npm run bench`, `soak` and `package` run. Plain JavaScript, since
 * nothing is installed or built yet: installs what the machine lacks, builds, and goes on in the
 * compiled program.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const [verb, ...rest] = process.argv.slice(2);

/** Program → Debian package. Tests need peers and measuring tools besides. */
const RUN_TOOLS = { ip: 'iproute2', nft: 'nftables', nsenter: 'util-linux' };
const DEMO_TOOLS = { iperf3: 'iperf3', ping: 'iputils-ping' };
const TEST_TOOLS = {
  ...{ ...DEMO_TOOLS, tcpdump: 'tcpdump', socat: 'socat', bridge: 'iproute2' },
  ...{ dig: 'bind9-dnsutils', busybox: 'busybox', dnsmasq: 'dnsmasq-base' },
};
/** Other overlays, which `npm run bench` measures beside ours. */
const BENCH_PEERS = {
  tincd: 'tinc',
  openvpn: 'openvpn',
  nebula: 'nebula',
  'nebula-cert': 'nebula',
  'wireguard-go': 'wireguard-go',
  wg: 'wireguard-tools',
  openssl: 'openssl',
  ethtool: 'ethtool',
};

function fail(text) {
  console.error(text);
  process.exit(1);
}

function runOrFail(command, args, options = {}) {
  const result = spawnSync(command, args, { cwd: root, stdio: 'inherit', ...options });
  if (result.error) fail(`cannot run ${command}: ${result.error.message}`);
  if (result.status !== 0) fail(`${command} ${args.join(' ')} failed (${result.status})`);
}

function onPath(program) {
  const places = `${process.env.PATH ?? ''}:/usr/sbin:/sbin`.split(':');
  return places.some((place) => place !== '' && existsSync(join(place, program)));
}

function installTools(tools) {
  const missing = [
    ...new Set(
      Object.keys(tools)
        .filter((tool) => !onPath(tool))
        .map((tool) => tools[tool]),
    ),
  ];
  if (missing.length === 0) return;
  if (!onPath('apt-get')) {
    console.error(
      `Missing: ${missing.join(', ')}. Install them with this system's package manager.`,
    );
    return;
  }
  if (process.getuid?.() !== 0) {
    console.error(
      `Missing: ${missing.join(', ')}. Run as root, or: apt-get install ${missing.join(' ')}`,
    );
    return;
  }
  console.error(`Installing ${missing.join(', ')} …`);
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' };
  const quiet = ['ignore', 'ignore', 'inherit'];
  spawnSync('apt-get', ['update', '-qq'], { env, stdio: quiet });
  const args = ['install', '-y', '-qq', '--no-install-recommends', ...missing];
  if (spawnSync('apt-get', args, { env, stdio: quiet }).status !== 0) {
    console.error(`apt-get could not install ${missing.join(', ')}; going on without.`);
  }
}

/** npm writes this file last, so it tells whether the installed tree is that of the lock file. */
function packagesAreCurrent() {
  const installed = join(root, 'node_modules/.package-lock.json');
  if (!existsSync(installed)) return false;
  return statSync(installed).mtimeMs >= statSync(join(root, 'package-lock.json')).mtimeMs;
}

function installAndBuild() {
  const [major, minor] = process.versions.node.split('.').map(Number);
  if (major < 20 || (major === 20 && minor < 19)) {
    const { engines } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
    fail(`Node ${process.versions.node} is too old: ${engines.node} is needed.`);
  }
  if (!packagesAreCurrent()) {
    console.error('Installing npm packages …');
    // Not `npm ci`: it refuses where a registry lacks the packages of foreign platforms. This
    // installs what the lock file says too, and leaves the lock file alone.
    const quiet = ['--no-save', '--no-audit', '--no-fund', '--loglevel=error'];
    runOrFail('npm', ['install', ...quiet], { stdio: ['ignore', 'ignore', 'inherit'] });
  }
  console.error('Building …');
  runOrFail(join(root, 'node_modules/.bin/tsc'), ['-p', 'tsconfig.json']);
  runOrFail(process.execPath, [join(root, 'dist/deploy/join-workers.js')]);
}

function goOn(script, args) {
  const result = spawnSync(process.execPath, [join(root, 'dist', script), ...args], {
    cwd: root,
    stdio: 'inherit',
  });
  process.exit(result.status ?? 1);
}

if (verb === 'start') {
  installTools(rest.includes('--demo') ? { ...RUN_TOOLS, ...DEMO_TOOLS } : RUN_TOOLS);
  installAndBuild();
  goOn(rest.includes('--demo') ? 'deploy/demo.js' : 'deploy/start.js', rest);
} else if (verb === 'test') {
  installTools({ ...RUN_TOOLS, ...TEST_TOOLS });
  installAndBuild();
  goOn('test/run.js', rest);
} else if (verb === 'bench') {
  installTools({ ...RUN_TOOLS, ...TEST_TOOLS });
  // `npm run bench -- dns`: names beside dnsmasq.
  if (rest[0] === 'dns') {
    installTools({ dnsperf: 'dnsperf' });
    installAndBuild();
    goOn('bench/dns.js', rest.slice(1));
  }
  // `npm run bench -- cni`: pods beside the reference plugins, which live outside of PATH.
  if (rest[0] === 'cni') {
    const plugins = '/usr/lib/cni/bridge';
    if (!existsSync(plugins)) installTools({ [plugins]: 'containernetworking-plugins' });
    installAndBuild();
    goOn('bench/cni/attach.js', rest.slice(1));
  }
  // `npm run bench -- npc`: the policy controller with many pods and policies.
  if (rest[0] === 'npc') {
    installAndBuild();
    goOn('bench/npc/enforcement.js', rest.slice(1));
  }
  // apt-get installs all or nothing, and a system without Nebula can still measure the others.
  for (const [program, name] of Object.entries(BENCH_PEERS)) installTools({ [program]: name });
  installAndBuild();
  // `npm run bench -- mesh`: start, handshake and memory, optionally beside the original.
  if (rest[0] === 'mesh') goOn('bench/mesh.js', rest.slice(1));
  // `npm run bench -- ipam`: allocations per second and time to the first address, likewise.
  if (rest[0] === 'ipam') goOn('bench/ipam/hosts.js', rest.slice(1));
  // `npm run bench -- rekey`: a change of keys under full load.
  if (rest[0] === 'rekey') goOn('bench/rekey.js', rest.slice(1));
  goOn('bench/run.js', rest);
} else if (verb === 'soak') {
  installTools({ ...RUN_TOOLS, ...TEST_TOOLS });
  installAndBuild();
  // `npm run soak -- transfers`: long streams over a bad cable, by cipher and engine.
  if (rest[0] === 'transfers') goOn('bench/soak/transfers.js', rest.slice(1));
  // `npm run soak -- npc`: network policies that change without rest.
  if (rest[0] === 'npc') goOn('bench/soak/npc.js', rest.slice(1));
  // `npm run soak -- dns`: bad packets for the name server.
  if (rest[0] === 'dns') goOn('bench/soak/dns.js', rest.slice(1));
  goOn('bench/soak.js', rest);
} else if (verb === 'package') {
  installAndBuild();
  goOn('deploy/package/build.js', rest);
} else {
  fail('usage: bootstrap.mjs start|test|bench|soak|package [arguments]');
}
