/**
 * A frame through the TAP device, from the kernel's side to the data plane, that concerns nobody:
 * an ARP announcement of no address. It enters at the device itself, so no workload sees it.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { SleeveOverlay } from '../../fastdp/io/sleeve-overlay.js';
import { sendGratuitousArp } from '../../sys/arp.js';

const ATTEMPTS = 50;
const POLL_MS = 20;
const NO_ADDRESS = 0;

/** @returns whether the data plane took a frame within a second. */
export async function probeDevice(overlay: SleeveOverlay): Promise<boolean> {
  try {
    const before = (await overlay.status()).framesCaptured;
    sendGratuitousArp(overlay.tapName, NO_ADDRESS);
    for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
      if ((await overlay.status()).framesCaptured > before) return true;
      await sleep(POLL_MS);
    }
  } catch {
    // The device is down or gone, or the data plane hangs: not ready, whichever it is.
  }
  return false;
}
