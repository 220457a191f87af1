/** Learning the sender and handing a frame to the device, without the device. */
import { FrameInfo, parseFrame } from '../../fastdp/frame.js';
import { writeFrame } from '../../fastdp/inbound/write.js';
import { LOCAL, makeFrame, makeRig, REMOTE } from './rig.js';
import type { Stage } from './timing.js';

const PACKETS = 1000;

export function writeStages(): Stage[] {
  const rig = makeRig('none', false);
  const frame = makeFrame();
  const info = parseFrame(new FrameInfo(), frame, 0, frame.length);
  // Where the frame's destination lives decides whether it is flooded on: here.
  rig.macs.learnLocal(info.destinationMac, 0);
  const run = (): void => {
    for (let i = 0; i < PACKETS; i++) {
      writeFrame(rig, REMOTE, info, frame, 0, frame.length, LOCAL, rig.link, 1);
    }
  };
  return [{ name: 'write', packets: PACKETS, run }];
}
