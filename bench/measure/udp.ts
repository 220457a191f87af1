/** Frames per second that arrive when a workload sends all it can, and loss at a lower rate. */
import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Lab } from '../../test/support/lab.js';
import { waitFor } from '../../test/support/wait.js';
import type { RunningSystem } from '../system.js';
import type { CountReport, SendReport } from './udp-agent.js';

const AGENT = join(dirname(fileURLToPath(import.meta.url)), 'udp-agent.js');
const READY_DEADLINE_MS = 10_000;
const END_LIMIT_MS = 20_000;
/** Ethernet, IPv4 and UDP headers of a frame, without its checksum. */
export const FRAME_HEADER_BYTES = 14 + 20 + 8;
const ETHERNET_HEADER_BYTES = 14;
const SMALL_FRAME_BYTES = 64;
const LARGE_FRAME_BYTES = 1400;

export interface UdpMeasure {
  /** Delivered per second from the first frame to the last. */
  readonly framesPerSecond: number;
  readonly lossPercent: number;
}

export const smallPayloadBytes = SMALL_FRAME_BYTES - FRAME_HEADER_BYTES;

/** Frames of 1400 bytes, or the largest that the workloads' MTU leaves unfragmented. */
export function largePayloadBytes(workloadMtu: number): number {
  const frameBytes = Math.min(LARGE_FRAME_BYTES, workloadMtu + ETHERNET_HEADER_BYTES);
  return frameBytes - FRAME_HEADER_BYTES;
}

let nextPort = 7000;

/** @param rate datagrams per second, 0 = as many as the sender can. */
export async function measureUdp(
  lab: Lab,
  { from, to }: RunningSystem,
  payloadBytes: number,
  seconds: number,
  rate: number,
): Promise<UdpMeasure> {
  // A port of its own, so that late datagrams of the run before are not counted.
  const port = nextPort++;
  const counter = lab.start(to.netns, [process.execPath, AGENT, 'count', `${port}`], {
    label: `udp-${port}`,
  });
  const printed = (): string => readFileSync(counter.logPath, 'utf8');
  await waitFor('UDP counter', READY_DEADLINE_MS, () => printed().startsWith('ready'));
  const target = [to.address, `${port}`, `${payloadBytes}`, `${seconds}`, `${Math.floor(rate)}`];
  const argv = [process.execPath, AGENT, 'send', ...target];
  const timeoutMs = seconds * 1000 + END_LIMIT_MS;
  const result = await lab.exec(from.netns, argv, { timeoutMs });
  if (result.code !== 0) throw new Error(`UDP sender: ${result.stderr.slice(-200)}`);
  const code = await counter.ended;
  if (code !== 0) throw new Error(`UDP counter: ${printed().slice(-200)}`);
  const { sent } = JSON.parse(result.stdout) as SendReport;
  const lines = printed().trim().split('\n');
  const { received, seconds: counted } = JSON.parse(lines.at(-1) ?? '') as CountReport;
  if (received === 0 || counted === 0) throw new Error('no datagram arrived');
  return {
    framesPerSecond: received / counted,
    lossPercent: Math.max(0, 100 * (1 - received / sent)),
  };
}
