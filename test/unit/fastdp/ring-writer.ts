/** The writing thread of frame-ring.test.ts: numbered messages of changing sizes. */
import { workerData } from 'node:worker_threads';
import { FrameRing } from '../../../fastdp/frame-ring.js';

const { buffer, count } = workerData as { buffer: SharedArrayBuffer; count: number };
const ring = new FrameRing(buffer);
for (let number = 0; number < count; ) {
  const bytes = 4 + (number % 300);
  const at = ring.reserve(bytes);
  if (at < 0) continue;
  ring.view.setUint32(at, number, true);
  if (bytes > 4) ring.bytes[at + bytes - 1] = number & 0xff;
  ring.commit();
  number += 1;
}
