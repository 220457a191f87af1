/**
 * The upper half of the counters of a lane: how a datagram tells which thread of its sender sealed
 * it. Lane 0 counts from 0, which is all that routers with one thread send; the others begin with
 * "WNL" and their number, so that a receiving socket can be chosen by four bytes.
 */
import { MAX_LANES } from '../core/limits.js';

/** "WNL" and a zero byte. */
export const LANE_MARK = 0x574e_4c00;

/** @param lane 0 to MAX_LANES − 1. */
export function laneMark(lane: number): number {
  return lane === 0 ? 0 : LANE_MARK + lane;
}

/** Whether it is the mark of any lane, those beyond our limit included. */
export function hasMark(counterHigh: number): boolean {
  return counterHigh - (counterHigh & 0xff) === LANE_MARK;
}

/** @returns the lane, or −1 if the upper half of a counter is no mark of one that we take. */
export function laneOfMark(counterHigh: number): number {
  if (counterHigh === 0) return 0;
  const lane = counterHigh - LANE_MARK;
  return lane > 0 && lane < MAX_LANES ? lane : -1;
}
