#!/usr/bin/env node
/**
 * Many peers in one process, each a whole control plane of its own and a data plane without a
 * device, all connected to one router. Runs until it is killed.
 *
 *   peers-child ROUTER_IP NETWORK COUNT    peers have the addresses NETWORK.1 to NETWORK.COUNT
 */
import { systemClock } from '../../core/clock.js';
import { silentLogger } from '../../core/log.js';
import type { PeerName } from '../../core/peer-name.js';
import { resolveTarget } from '../../mesh/io/resolve-target.js';
import { MeshRunner } from '../../mesh/io/runner.js';
import { Tcp } from '../../mesh/io/tcp.js';
import { Mesh } from '../../mesh/mesh.js';
import { loadAead } from '../../sys/libcrypto.js';
import { systemRandom } from '../../sys/random.js';
import { loadSecretbox } from '../../sys/secretbox.js';
import { DgramOverlay } from './dgram-overlay.js';

const PORT = 6783;
/** The router accepts one caller per 50 ms after a burst. */
const START_INTERVAL_MS = 60;
const FIRST_NAME = 0x8200_0001_0000;

const [router = '', network = '', count = '0'] = process.argv.slice(2);
const password = Buffer.from(process.env['WEAVE_PASSWORD'] ?? '');
const ciphers = { secretbox: await loadSecretbox(), aead: loadAead() };

async function startPeer(index: number): Promise<void> {
  const host = `${network}.${index}`;
  const name = (FIRST_NAME + index) as PeerName;
  const mesh = new Mesh(
    {
      name,
      nickname: `peer${index}`,
      uid: systemRandom.uint64() | 1n,
      shortId: index,
      port: PORT,
      password,
      minVersion: 1,
      maxVersion: 2,
      // A star: each of them is connected to the router alone.
      discovery: false,
      connLimit: 10,
      trustedSubnets: [],
      ciphers: ['aes-256-gcm', 'nacl'],
      extraFeatures: {},
    },
    {
      random: systemRandom,
      overlays: [new DgramOverlay({ localPeer: name, host, port: PORT }, ciphers)],
      log: silentLogger,
    },
  );
  const tcp = new Tcp({ host, port: PORT }, { log: silentLogger });
  const runner = new MeshRunner({
    ...{ mesh, tcp, clock: systemClock, log: silentLogger },
    onTargetsChanged: () => {},
  });
  await runner.start();
  runner.connect([await resolveTarget(router)], false);
}

for (let index = 1; index <= Number(count); index++) {
  await startPeer(index);
  await new Promise((resolve) => setTimeout(resolve, START_INTERVAL_MS));
}
