/** Frame to finished datagram for each cipher: full frames, and small ones that share datagrams. */
import type { DataCipher } from '../../mesh/overlay.js';
import { CIPHERS, FRAME_BYTES, LOCAL, makeFrame, makeRig, REMOTE } from './rig.js';
import type { Stage } from './timing.js';

const PACKETS = 64;

function sealStage(cipher: DataCipher, frameBytes: number): Stage {
  const { link, sealer, datagrams } = makeRig(cipher);
  const frame = makeFrame(frameBytes);
  const run = (): void => {
    for (let i = 0; i < PACKETS; i++) {
      sealer.append(link, true, LOCAL, REMOTE, frame, 0, frameBytes);
    }
    sealer.sealAll();
    datagrams.flush();
  };
  return { name: `seal ${cipher}, ${frameBytes} bytes`, packets: PACKETS, run };
}

export function sealStages(): Stage[] {
  return CIPHERS.flatMap((cipher) => [sealStage(cipher, FRAME_BYTES), sealStage(cipher, 64)]);
}
