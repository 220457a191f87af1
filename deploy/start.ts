/**
 * `npm start [-- PEER…]`: a router on this host with encryption on. A password is made and kept in
 * a root-only file when none is given. Ends by showing the status and what to do on the next host.
 */
import { spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { networkInterfaces } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const cli = join(dirname(dirname(fileURLToPath(import.meta.url))), 'cli/weave.js');
const PASSWORD_FILE = '/etc/weave/password';
/** `weave launch` says with this code that a router is running already. */
const ALREADY_RUNNING = 3;

function weave(args: readonly string[]): number {
  const result = spawnSync(process.execPath, [cli, '--local', ...args], { stdio: 'inherit' });
  return result.status ?? 1;
}

/** @returns options that tell the router its password, making one if nobody gave any. */
function passwordOptions(args: readonly string[]): string[] {
  const given = args.some((arg) => /^--password(-file)?(=|$)/.test(arg));
  if (given || (process.env['WEAVE_PASSWORD'] ?? '') !== '') return [];
  if (!existsSync(PASSWORD_FILE)) {
    mkdirSync(dirname(PASSWORD_FILE), { recursive: true, mode: 0o755 });
    const password = randomBytes(24).toString('base64url');
    writeFileSync(PASSWORD_FILE, `${password}\n`, { mode: 0o600, flag: 'wx' });
    console.log(`Made a password for this mesh: ${PASSWORD_FILE}, readable by root only.`);
  }
  return [`--password-file=${PASSWORD_FILE}`];
}

/** The address other hosts most likely reach this one at. */
function ownAddress(): string {
  for (const [name, addresses] of Object.entries(networkInterfaces())) {
    if (/^(weave|docker|veth|br-|cni)/.test(name)) continue;
    for (const { family, internal, address } of addresses ?? []) {
      if (family === 'IPv4' && !internal) return address;
    }
  }
  return 'THIS_HOST';
}

if (process.getuid?.() !== 0) {
  console.error(
    'npm start launches a router, which makes a bridge and a TAP device: run it as root.',
  );
  process.exit(1);
}
const args = process.argv.slice(2);
const options = passwordOptions(args);
const launched = weave(['launch', ...options, ...args]);
if (launched === ALREADY_RUNNING) {
  const peers = args.filter((arg) => !arg.startsWith('-'));
  if (peers.length > 0 && weave(['connect', ...peers]) !== 0) process.exit(1);
} else if (launched !== 0) {
  process.exit(launched);
}
weave(['status']);
const secret = options.length > 0 ? `copy ${PASSWORD_FILE} there (root only), then ` : '';
console.log(`On the second host: ${secret}run\n\n    npm start -- ${ownAddress()}\n`);
console.log('Give this host or a workload an address on the overlay:\n');
console.log('    npx weave expose');
console.log('    npx weave attach NETNS\n');
