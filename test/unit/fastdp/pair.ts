/** Two routers with a connection, and frames of their workloads. */
import type { KeyLimits } from '../../../fastdp/key-schedule.js';
import type { DataCipher } from '../../../mesh/overlay.js';
import { ethernet, ipv4Packet, MAC_A, MAC_ALL, MAC_B } from './frames.js';
import { Network, type Node, setRoutes } from './network.js';

export const ALL_CIPHERS: readonly DataCipher[] = ['none', 'nacl', 'aes-256-gcm'];
export const KEY = new Uint8Array(32).fill(7);
export const NAME_A = 0x8200_0000_0001;
export const NAME_B = 0x8200_0000_0002;
export const NAME_C = 0x8200_0000_0003;

export interface Pair {
  readonly network: Network;
  readonly a: Node;
  readonly b: Node;
  readonly aId: number;
  readonly bId: number;
}

/** a ─── b, running long enough to know everything. */
export function pair(
  cipher: DataCipher,
  change: (network: Network) => void = () => {},
  keyLimits?: KeyLimits,
): Pair {
  const network = new Network();
  change(network);
  const a = network.addNode(NAME_A, keyLimits);
  const b = network.addNode(NAME_B, keyLimits);
  setRoutes(network, [[a, b]]);
  const [aId, bId] = network.connect(a, b, cipher === 'none' ? null : KEY, cipher);
  network.run(400);
  return { network, a, b, aId, bId };
}

export const arp = (source: number) =>
  ethernet(0x0806, new Uint8Array(28).fill(1), source, MAC_ALL);
export const udp = (bytes: number, df: boolean, source = MAC_A, destination = MAC_B) =>
  ethernet(0x0800, ipv4Packet({ payloadBytes: bytes - 20, df }), source, destination);

/** Both MACs known at both ends. */
export function greet({ network, a, b }: Pair): void {
  network.capture(a, arp(MAC_A));
  network.run(5);
  network.capture(b, arp(MAC_B));
  network.run(5);
  a.tap.frames.length = 0;
  b.tap.frames.length = 0;
}
