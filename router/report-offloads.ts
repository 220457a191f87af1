/** How the report tells which engine and which offloads the data plane works with, and why. */
import type { OffloadState } from '../fastdp/io/offloads.js';
import type { ReportExtras } from './api-types.js';

type DataPlane = NonNullable<ReportExtras['DataPlane']>;

/** @param offloads of the data plane's status; empty if it has not said yet. */
export function reportOffloads(
  offloads: readonly OffloadState[],
): Pick<DataPlane, 'Engine' | 'EngineReason' | 'Offloads'> {
  const ring = offloads.find(({ name }) => name === 'io-uring');
  return {
    Engine: ring?.enabled === true ? 'io_uring' : 'syscalls',
    EngineReason: ring?.reason ?? '',
    Offloads: offloads.map(({ name, enabled, reason }) => ({
      Name: name,
      Enabled: enabled,
      Reason: reason,
    })),
  };
}

/** A sentence for each offload that failed; those that the user took away need none. */
export function offloadWarnings(offloads: readonly OffloadState[]): string[] {
  return offloads
    .filter(({ failed }) => failed)
    .map(({ name, reason }) => `the data plane works without ${name}: ${reason}`);
}
