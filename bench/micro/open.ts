/** Sender look-up, replay window and cipher of received datagrams, each of them fresh. */
import { linkOfDatagram } from '../../fastdp/inbound/ingest.js';
import { openDatagram } from '../../fastdp/inbound/open.js';
import type { DataCipher } from '../../mesh/overlay.js';
import { CIPHERS, FRAME_BYTES, LOCAL, makeFrame, makeRig, REMOTE, secretbox } from './rig.js';
import type { Stage } from './timing.js';

const PACKETS = 64;
const SLOT_BYTES = 2048;

function openStage(cipher: DataCipher): Stage {
  const sender = makeRig(cipher);
  const receiver = makeRig(cipher, false);
  const frame = makeFrame();
  const received = new Uint8Array(PACKETS * SLOT_BYTES);
  const sizes = new Int32Array(PACKETS);
  // A datagram opens only once, so new ones are sealed before each timed run.
  const prepare = (): void => {
    const { sealer, datagrams } = sender;
    for (let i = 0; i < PACKETS; i++) {
      sealer.append(sender.link, true, LOCAL, REMOTE, frame, 0, FRAME_BYTES);
      sealer.sealAll();
      const { lastOffset, lastBytes } = datagrams;
      received.set(datagrams.arena.subarray(lastOffset, lastOffset + lastBytes), i * SLOT_BYTES);
      sizes[i] = lastBytes;
    }
    datagrams.flush();
  };
  const run = (): void => {
    for (let i = 0; i < PACKETS; i++) {
      const offset = i * SLOT_BYTES;
      const bytes = sizes[i] as number;
      const link = linkOfDatagram(receiver.routes, received, offset, bytes);
      if (link == null) throw new Error('the sender is not known');
      const reason = openDatagram(link, secretbox, received, offset, bytes, 1);
      if (reason !== 0) throw new Error(`a datagram did not open: ${reason}`);
    }
  };
  return { name: `open ${cipher}, ${FRAME_BYTES} bytes`, packets: PACKETS, prepare, run };
}

export function openStages(): Stage[] {
  return CIPHERS.map(openStage);
}
