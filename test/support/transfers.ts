/** Streams over the overlay by cipher and by the way the data plane talks to the kernel. */
import type { Host } from './lab-host.js';
import type { Workload } from './lab-workload.js';

/** Options of the router by cipher; `plain` is without a password. */
export const CIPHERS: Readonly<
  Record<string, { readonly sealed: boolean; readonly args: readonly string[] }>
> = {
  nacl: { sealed: true, args: ['--cipher', 'nacl'] },
  'aes-256-gcm': { sealed: true, args: ['--cipher', 'aes-256-gcm'] },
  plain: { sealed: false, args: [] },
};

/** Options of the router by engine. */
export const ENGINES: Readonly<Record<string, readonly string[]>> = {
  io_uring: [],
  syscalls: ['--no-uring'],
  'two threads': ['--fastdp-queues', '2'],
  'no offloads': ['--no-uring', '--no-gso', '--no-gro', '--no-vnet-hdr'],
};

/** What a bad cable does, by the test of each engine. */
export const BAD_CABLE = { lossPercent: 1, reorderPercent: 2 } as const;

/** The part of the report that says how frames went. */
export interface DataPlaneReport {
  readonly Engine: string;
  readonly EngineReason: string;
  readonly KeyChanges: number;
  readonly DatagramsSealed: number;
  readonly DatagramsOpened: number;
  readonly Queues: readonly unknown[];
  readonly Offloads: readonly { readonly Name: string; readonly Enabled: boolean }[];
  readonly Drops: Readonly<Record<string, number>>;
}

export async function dataPlaneOf(host: Host): Promise<DataPlaneReport> {
  const report = (await host.report()) as unknown as { WeaveNet: { DataPlane: DataPlaneReport } };
  return report.WeaveNet.DataPlane;
}

/** Of one TCP stream: what was sent, and what arrived. */
export interface Transfer {
  readonly sent: { readonly bytes: number; readonly sha256: string; readonly ms: number };
  readonly received: { readonly bytes: number; readonly sha256: string };
}

/** @throws Error if the stream breaks or takes longer than the limit. */
export async function transfer(
  from: Workload,
  to: Workload,
  options: { readonly port: string; readonly bytes: number; readonly limitMs: number },
): Promise<Transfer> {
  const { port, bytes, limitMs } = options;
  const [received, sent] = await Promise.all([
    to.agentResult<Transfer['received']>(limitMs, 'receive', port),
    from.agentResult<Transfer['sent']>(limitMs, 'send', to.address, port, `${bytes}`),
  ]);
  return { sent, received };
}

/** A megabyte a second is little on any machine, however many share it. */
export const transferLimitMs = (bytes: number): number => 60_000 + Math.ceil(bytes / 1000);
