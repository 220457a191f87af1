/** Parsing a captured frame and learning its source. */
import { FrameInfo } from '../../fastdp/frame.js';
import { captureFrame } from '../../fastdp/outbound/capture.js';
import { makeFrame, makeRig } from './rig.js';
import type { Stage } from './timing.js';

const PACKETS = 1000;

export function captureStages(): Stage[] {
  const { macs } = makeRig('none');
  const info = new FrameInfo();
  const frame = makeFrame();
  const run = (): void => {
    for (let i = 0; i < PACKETS; i++) captureFrame(info, frame, 0, frame.length, macs, 1);
  };
  return [{ name: 'capture', packets: PACKETS, run }];
}
