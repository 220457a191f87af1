/** Processor time and memory of the machine and of the overlay's processes, from /proc. */
import { readFileSync } from 'node:fs';
import { parseBusySeconds, parseProcessSeconds, parseResidentBytes } from '../parse.js';

export interface ProcessorTime {
  /** Of the whole machine, iperf3 and other work included. */
  readonly machineSeconds: number;
  /** Of the given processes; 0 without any. */
  readonly overlaySeconds: number;
}

export function readProcessorTime(pids: readonly number[]): ProcessorTime {
  const machineSeconds = parseBusySeconds(readFileSync('/proc/stat', 'utf8'));
  let overlaySeconds = 0;
  for (const pid of pids) {
    overlaySeconds += parseProcessSeconds(readFileSync(`/proc/${pid}/stat`, 'utf8'));
  }
  return { machineSeconds, overlaySeconds };
}

/** Resident set per process in units of 2^20 bytes, or null without processes. */
export function readResidentMb(pids: readonly number[]): number | null {
  if (pids.length === 0) return null;
  let bytes = 0;
  for (const pid of pids) bytes += parseResidentBytes(readFileSync(`/proc/${pid}/status`, 'utf8'));
  return bytes / pids.length / 1024 / 1024;
}
