/** One neighbour and what the stages need around it, over ports that lead nowhere. */
import type { PeerName } from '../../core/peer-name.js';
import { Counters } from '../../fastdp/counters.js';
import { Link } from '../../fastdp/link.js';
import { MacTable } from '../../fastdp/mac-table.js';
import { FrameForwarding } from '../../fastdp/outbound/forward.js';
import { Sealer } from '../../fastdp/outbound/seal.js';
import type { Secretbox } from '../../fastdp/ports.js';
import { Routes } from '../../fastdp/routes.js';
import { writeU16, writeU48 } from '../../fastdp/wire.js';
import type { DataCipher, OverlayPeering } from '../../mesh/overlay.js';
import { loadAead } from '../../sys/libcrypto.js';
import { loadSecretbox } from '../../sys/secretbox.js';
import { SinkDatagrams, SinkTap } from './ports.js';

export const LOCAL = 0x8200_0000_0001 as PeerName;
export const REMOTE = 0x8200_0000_0002 as PeerName;
export const LOCAL_MAC = 0x0200_0000_0001;
export const REMOTE_MAC = 0x0200_0000_0002;
/** Ethernet frame of a full packet at the default workload MTU. */
export const FRAME_BYTES = 1376 + 14;
const UNDERLAY_MTU = 1500;
const UID = 0x0123_4567_89ab_cdefn;
const KEY = new Uint8Array(32).fill(9);
const ACK = 1;
const MTU_VERIFIED = 3;

export const CIPHERS: readonly DataCipher[] = ['aes-256-gcm', 'nacl', 'none'];
export const secretbox: Secretbox = await loadSecretbox();
export const aead = loadAead();

/** @param outbound which of the two ends this is; one end's datagrams open at the other only. */
export function peeringOf(cipher: DataCipher, outbound: boolean): OverlayPeering {
  return {
    connId: 1,
    localPeer: outbound ? LOCAL : REMOTE,
    remotePeer: outbound ? REMOTE : LOCAL,
    connectionUid: UID,
    outbound,
    localIp: outbound ? '192.0.2.1' : '192.0.2.2',
    remoteIp: outbound ? '192.0.2.2' : '192.0.2.1',
    remotePort: 6783,
    cipher,
    sessionKey: cipher === 'none' ? null : KEY,
  };
}

export interface Rig {
  readonly link: Link;
  readonly counters: Counters;
  readonly datagrams: SinkDatagrams;
  readonly tap: SinkTap;
  readonly sealer: Sealer;
  readonly routes: Routes;
  readonly macs: MacTable;
  readonly forwarding: FrameForwarding;
}

/** An end whose link is established and knows its path MTU. */
export function makeRig(cipher: DataCipher, outbound = true): Rig {
  const counters = new Counters();
  const datagrams = new SinkDatagrams();
  const peering = peeringOf(cipher, outbound);
  const { localPeer, remotePeer } = peering;
  const link = new Link(peering, { traffic: counters.trafficOf(remotePeer), aead });
  link.confirm(0);
  settleMtu(link);
  const sealer = new Sealer({ localPeer }, { datagrams, secretbox, counters });
  const routes = new Routes(localPeer);
  routes.addLink(link);
  routes.setTables({
    peers: new Set([LOCAL, REMOTE]),
    unicast: new Map([[remotePeer, remotePeer]]),
    broadcast: new Map([[localPeer, [remotePeer]]]),
  });
  const macs = new MacTable({ localPeer });
  macs.learnLocal(LOCAL_MAC, 0);
  macs.learnRemote(REMOTE_MAC, remotePeer, 0);
  const forwarding = new FrameForwarding({ routes, sealer, counters });
  return { link, counters, datagrams, tap: new SinkTap(), sealer, routes, macs, forwarding };
}

/** Answers what the forwarder waits for, as a neighbour behind an ordinary Ethernet would. */
function settleMtu(link: Link): void {
  const { forwarder } = link;
  forwarder.handleControl(ACK, new Uint8Array(0), 0);
  forwarder.handleTooBig(UNDERLAY_MTU, 0);
  const { mtu } = forwarder;
  forwarder.handleControl(MTU_VERIFIED, new Uint8Array([mtu >>> 8, mtu & 255]), 0);
  if (!forwarder.mtuKnown) throw new Error('the path MTU search has not ended');
  while (forwarder.pollAction() !== null);
}

/** An IPv4 frame of a TCP segment from the local workload to the remote one. */
export function makeFrame(frameBytes = FRAME_BYTES, df = true): Uint8Array {
  const frame = new Uint8Array(frameBytes);
  writeU48(frame, 0, REMOTE_MAC);
  writeU48(frame, 6, LOCAL_MAC);
  writeU16(frame, 12, 0x0800);
  frame[14] = 0x45;
  writeU16(frame, 16, frameBytes - 14);
  writeU16(frame, 20, df ? 0x4000 : 0);
  frame[22] = 64;
  frame[23] = 6;
  frame.set([10, 77, 0, 1, 10, 77, 0, 2], 26);
  return frame;
}
