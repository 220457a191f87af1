/**
 * How many threads of a sender a router keeps apart when it opens datagrams sealed with
 * AES-256-GCM: each seals under keys of its own. Every router of ours announces what it takes by a
 * feature, whatever it sends with itself; who announces nothing takes one. See fastdp/README.md.
 */
import { MAX_LANES } from '../../core/limits.js';

/** Key in the feature map; the value is a decimal number. */
export const LANES_FEATURE = 'Lanes';

export function announceLanes(): string {
  return String(MAX_LANES);
}

/** @returns 1 to MAX_LANES; 1 also for what is no number, as one lane always works. */
export function parseLanes(feature: string | undefined): number {
  if (feature === undefined || !/^\d{1,6}$/.test(feature)) return 1;
  return Math.min(Math.max(1, Number(feature)), MAX_LANES);
}
