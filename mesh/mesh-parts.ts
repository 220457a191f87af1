/** The parts that a mesh is made of, as its two halves (mesh.ts, membership.ts) share them. */
import type { Gossip } from './gossip.js';
import type { LimitedLog } from './limited-log.js';
import type { MeshCounters } from './mesh-counters.js';
import type { OverlaySwitch } from './overlay-switch.js';
import type { Dialer } from './peer/dial.js';
import type { RecentRefusals } from './refusals.js';
import type { RouteKeeper } from './route-keeper.js';
import type { SessionTable } from './session.js';
import type { Topology } from './topology.js';
import type { TopologyChannel } from './topology-channel.js';
import type { TopologyUpdates } from './topology-updates.js';

export interface MeshParts {
  readonly topology: Topology;
  readonly topologyChannel: TopologyChannel;
  readonly routes: RouteKeeper;
  readonly updates: TopologyUpdates;
  readonly sessions: SessionTable;
  readonly dialer: Dialer;
  readonly gossip: Gossip;
  readonly overlays: OverlaySwitch;
  readonly refusals: RecentRefusals;
  readonly counters: MeshCounters;
  readonly log: LimitedLog;
}
