/** One status out of those of all threads: what each counts is added up. */
import type { PeerName } from '../../core/peer-name.js';
import type { PeerTraffic } from '../status.js';
import type { IoCounters, SleeveStatus } from './messages.js';

/** @param statuses by thread. The primary knows all MAC addresses, and has seen each move once. */
export function mergeStatus(statuses: readonly [SleeveStatus, ...SleeveStatus[]]): SleeveStatus {
  const [primary, ...followers] = statuses;
  if (followers.length === 0) return primary;
  const sum = (value: (status: SleeveStatus) => number): number =>
    statuses.reduce((total, status) => total + value(status), 0);
  const ioKeys = Object.keys(primary.io) as (keyof IoCounters)[];
  return {
    ...primary,
    queues: statuses.flatMap(({ queues }) => queues),
    traffic: mergeTraffic(statuses.flatMap(({ traffic }) => traffic)),
    drops: Object.fromEntries(
      Object.keys(primary.drops).map((reason) => [reason, sum(({ drops }) => drops[reason] ?? 0)]),
    ),
    framesCaptured: sum(({ framesCaptured }) => framesCaptured),
    framesInjected: sum(({ framesInjected }) => framesInjected),
    datagramsSealed: sum(({ datagramsSealed }) => datagramsSealed),
    datagramsOpened: sum(({ datagramsOpened }) => datagramsOpened),
    keyChanges: sum(({ keyChanges }) => keyChanges),
    mssClamped: sum(({ mssClamped }) => mssClamped),
    io: Object.fromEntries(ioKeys.map((key) => [key, sum(({ io }) => io[key])])) as Record<
      keyof IoCounters,
      number
    >,
  };
}

function mergeTraffic(all: readonly PeerTraffic[]): PeerTraffic[] {
  const merged = new Map<PeerName, PeerTraffic>();
  for (const one of all) {
    const other = merged.get(one.peer);
    if (other === undefined) {
      merged.set(one.peer, one);
      continue;
    }
    merged.set(one.peer, {
      peer: one.peer,
      framesSent: one.framesSent + other.framesSent,
      bytesSent: one.bytesSent + other.bytesSent,
      framesReceived: one.framesReceived + other.framesReceived,
      bytesReceived: one.bytesReceived + other.bytesReceived,
      datagramsSent: one.datagramsSent + other.datagramsSent,
      datagramsReceived: one.datagramsReceived + other.datagramsReceived,
    });
  }
  return [...merged.values()];
}
