/**
 * Two hosts with an overlay each, in this process, without the mesh: what the mesh would say is
 * said by the test.
 *
 *   workload 1 ═ bridge ─ TAP [overlay 1] ── UDP ── [overlay 2] TAP ─ bridge ═ workload 2
 *   10.32.0.1                  10.8.0.1     cable    10.8.0.2                  10.32.0.2
 */
import type { TestContext } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { MAX_LANES } from '../../../../core/limits.js';
import { silentLogger } from '../../../../core/log.js';
import type { PeerName } from '../../../../core/peer-name.js';
import type { OffloadSwitches } from '../../../../fastdp/io/offloads.js';
import { SleeveOverlay } from '../../../../fastdp/io/sleeve-overlay.js';
import type { KeyLimits } from '../../../../fastdp/key-schedule.js';
import type { DataCipher, OverlayEvent } from '../../../../mesh/overlay.js';
import { addNetns, cable, type TestNetns } from '../../sys/netns-lab.js';

const INNER_MTU = 1376;

/** For both hosts. */
export interface PairOptions {
  readonly keyLimits?: KeyLimits;
  readonly offloads?: OffloadSwitches;
  /** Threads of the first and of the second. */
  readonly queues?: readonly [number, number];
}

export interface LabHost {
  readonly overlay: SleeveOverlay;
  readonly host: TestNetns;
  readonly workload: TestNetns;
  readonly events: OverlayEvent[];
}

async function addHost(
  t: TestContext,
  index: number,
  host: TestNetns,
  { queues = [1, 1], ...options }: PairOptions,
): Promise<LabHost> {
  const workload = addNetns(t, `w${index}`);
  const netnsPath = host.path;
  const localPeer = index as PeerName;
  const overlay = await SleeveOverlay.start(
    {
      localPeer,
      port: 6783,
      tapName: 'wtap',
      netnsPath,
      queues: queues[index - 1] as number,
      ...options,
    },
    { log: silentLogger },
  );
  t.after(() => overlay.close());
  host.ip('link', 'add', 'weave', 'mtu', String(INNER_MTU), 'type', 'bridge');
  cable(host, 'v0', null, workload, 'ethwe', `10.32.0.${index}/16`, INNER_MTU);
  putOnBridge(host, 'wtap');
  putOnBridge(host, 'v0');
  host.ip('link', 'set', 'weave', 'up');
  return { overlay, host, workload, events: [] };
}

export function putOnBridge(host: TestNetns, port: string): void {
  host.ip('link', 'set', port, 'mtu', String(INNER_MTU), 'master', 'weave', 'up');
}

/** Two hosts whose overlays are established with each other. */
export async function addPair(
  t: TestContext,
  sessionKey: Uint8Array | null,
  cipher: DataCipher = 'nacl',
  options: PairOptions = {},
): Promise<readonly [LabHost, LabHost]> {
  const [h1, h2] = [addNetns(t, 'h1'), addNetns(t, 'h2')];
  cable(h1, 'eth0', '10.8.0.1/24', h2, 'eth0', '10.8.0.2/24');
  const pair = [await addHost(t, 1, h1, options), await addHost(t, 2, h2, options)] as const;
  for (const [own, other] of [
    [0, 1],
    [1, 0],
  ] as const) {
    const { overlay, events } = pair[own];
    const [self, peer] = [(own + 1) as PeerName, (other + 1) as PeerName];
    overlay.onEvent = (event) => {
      events.push(event);
      if (event.type === 'control') {
        pair[other].overlay.handleControl(1, event.subTag, event.data);
      }
    };
    overlay.setForwarding({
      peers: new Set([self, peer]),
      unicast: new Map([[peer, peer]]),
      broadcast: new Map([
        [self, [peer]],
        [peer, []],
      ]),
    });
    overlay.prepare({
      connId: 1,
      localPeer: self,
      remotePeer: peer,
      connectionUid: 0x1234_5678_9abcn,
      outbound: own === 0,
      localIp: `10.8.0.${self}`,
      remoteIp: `10.8.0.${peer}`,
      remotePort: own === 0 ? 6783 : null,
      cipher: sessionKey === null ? 'none' : cipher,
      lanes: MAX_LANES,
      sessionKey: sessionKey?.slice() ?? null,
    });
    overlay.confirm(1);
  }
  const isReady = (host: LabHost): boolean =>
    host.events.some((event) => event.type === 'established') &&
    host.events.some((event) => event.type === 'attributes' && 'mtu' in event.attributes);
  await waitFor(() => pair.every(isReady), 'both ends established and the MTU known');
  return pair;
}

/** Polls until the condition holds; fails after ten seconds. */
export async function waitFor(condition: () => boolean, what: string): Promise<void> {
  const deadline = performance.now() + 10_000;
  while (!condition()) {
    if (performance.now() > deadline) throw new Error(`timed out waiting for: ${what}`);
    await delay(10);
  }
}
