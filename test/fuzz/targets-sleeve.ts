/**
 * Fuzz targets of the data plane. Seeds are the original's datagrams and frames; the state lives
 * on between inputs, as it does in a router.
 */
import type { PeerName } from '../../core/peer-name.js';
import { DataPlane } from '../../fastdp/data-plane.js';
import type { AeadFactory, DatagramPort, Secretbox, SendFailure } from '../../fastdp/ports.js';
import type { DataCipher, OverlayPeering } from '../../mesh/overlay.js';
import { loadVectors } from '../support/vectors.js';
import type { FuzzTarget } from './target.js';

interface Seeds {
  readonly packets: readonly { readonly encrypted: boolean; readonly packet_hex?: string }[];
  readonly classification: readonly { readonly frame_hex: string }[];
  readonly icmp_frag_needed: readonly { readonly offending_frame_base64: string }[];
  readonly fragmentation: readonly { readonly frame_base64: string }[];
}

const LOCAL = 0x8200_0000_0002 as PeerName;
const REMOTE = 0x8200_0000_0001 as PeerName;
const FAR = 0x8200_0000_0003 as PeerName;
const REMOTE_IP = 0xc633_6401;
const ARENA_BYTES = 1 << 18;

const seeds = loadVectors<Seeds>('sleeve.json');
const hex = (text: string): Uint8Array => new Uint8Array(Buffer.from(text, 'hex'));
const base64 = (text: string): Uint8Array => new Uint8Array(Buffer.from(text, 'base64'));
const packetSeeds = seeds.packets.flatMap(({ encrypted, packet_hex }) =>
  encrypted || packet_hex === undefined ? [] : [hex(packet_hex)],
);
const frameSeeds = [
  ...seeds.classification.map(({ frame_hex }) => hex(frame_hex)),
  ...seeds.icmp_frag_needed.map(({ offending_frame_base64 }) => base64(offending_frame_base64)),
  ...seeds.fragmentation.map(({ frame_base64 }) => base64(frame_base64)),
];

/** Checks what it is given and keeps nothing. */
class SinkPort implements DatagramPort {
  readonly arena = new Uint8Array(ARENA_BYTES);
  onSendFailure: (failure: SendFailure) => void = () => {};
  #reserved = 0;

  reserve(bytes: number): number {
    if (bytes < 6 || bytes > 65_507) throw new Error(`region of ${bytes} bytes`);
    this.#reserved = bytes;
    return 64;
  }

  commit(bytes: number, segmentBytes: number, _ip: number, port: number): void {
    if (bytes > this.#reserved || segmentBytes > bytes || port === 0) throw new Error('bad commit');
  }

  flush(): void {}
}

/** Boxes whose tag is zeros open, so that mutated ones get past it. */
const transparentBox: Secretbox = {
  seal: () => {},
  open: (buffer, offset) => buffer[offset] === 0,
};

/** Likewise for datagrams that end in a zero. */
const transparentAead: AeadFactory = {
  makeSealer: () => ({ seal: () => {}, destroy: () => {} }),
  makeOpener: () => ({
    open: (buffer, offset, bytes) => buffer[offset + bytes - 1] === 0,
    destroy: () => {},
  }),
};

const peering: OverlayPeering = {
  connId: 1,
  localPeer: LOCAL,
  remotePeer: REMOTE,
  connectionUid: 0xfedc_ba98_7654_3210n,
  outbound: true,
  localIp: '198.51.100.2',
  remoteIp: '198.51.100.1',
  remotePort: 6783,
  cipher: 'none',
  sessionKey: null,
};

function makePlane(cipher: DataCipher): DataPlane {
  const tap = {
    write: (buffer: Uint8Array, offset: number, bytes: number) => {
      if (bytes < 14 || offset + bytes > buffer.length) throw new Error('bad injection');
      return true;
    },
  };
  const modules = {
    datagrams: new SinkPort(),
    tap,
    secretbox: transparentBox,
    aead: transparentAead,
  };
  const plane = new DataPlane({ localPeer: LOCAL, maxMacs: 256 }, modules);
  connect(plane, cipher, 0);
  plane.setForwarding({
    peers: new Set([LOCAL, REMOTE, FAR]),
    unicast: new Map([
      [REMOTE, REMOTE],
      [FAR, FAR],
    ]),
    broadcast: new Map([
      [LOCAL, [REMOTE, FAR]],
      [REMOTE, [FAR]],
      [FAR, [REMOTE]],
    ]),
  });
  return plane;
}

/** Both neighbours anew: without heartbeats they would fail after a minute. */
function connect(plane: DataPlane, cipher: DataCipher, nowMs: number): void {
  const sessionKey = cipher === 'none' ? null : new Uint8Array(32);
  for (const connId of [1, 2]) {
    const remotePeer = connId === 1 ? REMOTE : FAR;
    plane.stop(connId);
    plane.prepare({ ...peering, connId, remotePeer, cipher, sessionKey });
    plane.confirm(connId, nowMs);
    plane.handleControl(connId, 1, new Uint8Array(0), nowMs);
  }
}

/** Runs inputs through one plane, with time passing and the outputs taken. */
function driver(
  cipher: DataCipher,
  use: (plane: DataPlane, input: Uint8Array, nowMs: number) => void,
): (input: Uint8Array) => void {
  const plane = makePlane(cipher);
  let nowMs = 0;
  return (input) => {
    nowMs += 1;
    if (nowMs % 10_000 === 0) connect(plane, cipher, nowMs);
    use(plane, input, nowMs);
    plane.flush(nowMs);
    if ((plane.nextTimeout()?.atMs ?? Number.POSITIVE_INFINITY) <= nowMs) {
      plane.handleTimeout(nowMs);
    }
    while (plane.pollEvent() !== null) {
      // Only their number matters: it must not grow.
    }
  };
}

const sealedSeeds = packetSeeds.map((packet) => {
  const sealed = new Uint8Array(packet.length + 24);
  sealed.set(packet.subarray(0, 6));
  sealed.set(packet.subarray(6), 30);
  return sealed;
});

/** The same records under the first two keys, each under a number of its own. */
const gcmSeeds = packetSeeds.map((packet, index) => {
  const sealed = new Uint8Array(packet.length + 26);
  sealed.set(packet.subarray(0, 6));
  sealed[7] = index & 1;
  sealed[15] = index;
  sealed.set(packet.subarray(6), 16);
  return sealed;
});

export const targets: FuzzTarget[] = [
  {
    name: 'sleeve-datagram-plain',
    seeds: packetSeeds,
    run: driver('none', (plane, input, nowMs) => {
      const copy = input.slice();
      plane.handleDatagram(copy, 0, copy.length, REMOTE_IP, 6783, nowMs);
    }),
  },
  {
    name: 'sleeve-datagram-sealed',
    seeds: sealedSeeds,
    run: driver('nacl', (plane, input, nowMs) => {
      const copy = input.slice();
      plane.handleDatagram(copy, 0, copy.length, REMOTE_IP, 6783, nowMs);
    }),
  },
  {
    name: 'aes-256-gcm-datagram',
    seeds: gcmSeeds,
    run: driver('aes-256-gcm', (plane, input, nowMs) => {
      const copy = input.slice();
      plane.handleDatagram(copy, 0, copy.length, REMOTE_IP, 6783, nowMs);
    }),
  },
  {
    name: 'sleeve-captured-frame',
    seeds: frameSeeds,
    run: driver('none', (plane, input, nowMs) => {
      plane.handleFrame(input, 0, input.length, nowMs);
    }),
  },
  {
    name: 'sleeve-control',
    seeds: [new Uint8Array([1]), new Uint8Array([2]), new Uint8Array([3, 0x05, 0x86])],
    run: driver('none', (plane, input, nowMs) => {
      plane.handleControl(1, input[0] ?? 0, input.subarray(1), nowMs);
    }),
  },
];
