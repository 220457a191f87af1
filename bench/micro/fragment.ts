/** Cutting a large IPv4 packet without the don't-fragment bit. */
import { FrameInfo, parseFrame } from '../../fastdp/frame.js';
import { type FragmentSink, fragmentFrame } from '../../fastdp/outbound/fragment.js';
import { makeFrame } from './rig.js';
import type { Stage } from './timing.js';

const PACKET_BYTES = 8900;
const MTU = 1410;
const ROUNDS = 50;

export function fragmentStages(): Stage[] {
  const frame = makeFrame(PACKET_BYTES + 14, false);
  const info = parseFrame(new FrameInfo(), frame, 0, frame.length);
  const scratch = new Uint8Array(MTU + 14);
  let fragments = 0;
  const sink: FragmentSink = {
    handleFragment: () => {
      fragments++;
      return true;
    },
  };
  const run = (): void => {
    for (let i = 0; i < ROUNDS; i++) {
      fragmentFrame(info, frame, 0, frame.length, MTU, scratch, sink);
    }
  };
  run();
  return [{ name: 'fragment, each fragment', packets: fragments, run }];
}
