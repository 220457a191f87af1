#!/usr/bin/env node
/**
 * Resident memory of a real router with 100 established peers and no traffic. The peers share one
 * other process in a namespace next to the router's; see peers-child.ts.
 */
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Lab } from '../../test/support/lab.js';
import { Host } from '../../test/support/lab-host.js';
import { holdFor, waitFor } from '../../test/support/wait.js';

const CHILD = join(dirname(fileURLToPath(import.meta.url)), 'peers-child.js');
const PEERS = 100;
const NETWORK = '198.51.100';
const ROUTER_IP = '198.51.100.254';
const PASSWORD = 'a-password-of-the-benchmark';
const ESTABLISH_LIMIT_MS = 90_000;
/** Path MTU searches end, and garbage of the handshakes is collected. */
const SETTLE_MS = 10_000;

const lab = new Lab();
try {
  const [left, right] = [lab.addNetns('h1'), lab.addNetns('peers')];
  lab.cable({ netns: left, device: 'eth0' }, { netns: right, device: 'eth0' }, 1500);
  lab.ip(left, [`addr add ${ROUTER_IP}/24 dev eth0`]);
  const addresses = Array.from({ length: PEERS }, (_, index) => `${NETWORK}.${index + 1}`);
  lab.ip(
    right,
    addresses.map((address) => `addr add ${address}/24 dev eth0`),
  );
  const host = new Host(lab, 254, left, ROUTER_IP);
  await host.startRouter({ password: PASSWORD });
  const child = lab.start(right, [process.execPath, CHILD, ROUTER_IP, NETWORK, `${PEERS}`], {
    label: 'peers',
    env: { WEAVE_PASSWORD: PASSWORD },
  });
  const established = async (): Promise<number> =>
    (await host.connections()).filter(({ State }) => State === 'established').length;
  await waitFor(`${PEERS} established peers`, ESTABLISH_LIMIT_MS, async () => {
    if (!child.running()) return true;
    return (await established()) === PEERS;
  });
  await holdFor(SETTLE_MS);
  const count = await established();
  if (count !== PEERS) throw new Error(`${count} of ${PEERS} peers are established`);
  const residentMb = host.residentBytes() / 1024 / 1024;
  console.log(JSON.stringify({ residentMb, established: count }));
} finally {
  lab.close();
}
