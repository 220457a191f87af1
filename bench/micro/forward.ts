/** From the MAC table over routes and fit to a datagram in the clear, which includes one copy. */
import { FrameInfo, parseFrame } from '../../fastdp/frame.js';
import { LOCAL, makeFrame, makeRig, REMOTE, REMOTE_MAC } from './rig.js';
import type { Stage } from './timing.js';

const PACKETS = 64;

export function forwardStages(): Stage[] {
  const { macs, forwarding, sealer, datagrams } = makeRig('none');
  const frame = makeFrame();
  const info = parseFrame(new FrameInfo(), frame, 0, frame.length);
  const run = (): void => {
    for (let i = 0; i < PACKETS; i++) {
      if (macs.lookup(REMOTE_MAC) !== REMOTE) throw new Error('the MAC is not known');
      forwarding.unicast(info, frame, 0, frame.length, LOCAL, REMOTE, null);
    }
    sealer.sealAll();
    datagrams.flush();
  };
  return [{ name: 'forward, one copy', packets: PACKETS, run }];
}
