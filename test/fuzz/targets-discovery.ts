/** What finds peers: announcements on the local network, and the record of a cluster. */
import { concatBytes } from '../../core/bytes.js';
import type { PeerName } from '../../core/peer-name.js';
import { writeRecord } from '../../k8s/node/cluster-record.js';
import { Membership } from '../../k8s/node/membership.js';
import { announcementKey, encodeAnnouncement } from '../../mesh/lan-announcement.js';
import { LanNeighbours } from '../../mesh/lan-neighbours.js';
import { SeededRandom } from '../sim/seeded-random.js';
import type { FuzzTarget } from './target.js';

const KEY = announcementKey(null);
const SELF = 1 as PeerName;
const announcement = (name: number): Uint8Array =>
  encodeAnnouncement({ name: name as PeerName, port: 6783, atMs: 1_790_000_000_000 }, KEY);

/** As it came, and with a seal that fits whatever it says. */
function hear(input: Uint8Array): void {
  const neighbours = new LanNeighbours(
    { name: SELF, port: 6783, key: KEY },
    { random: new SeededRandom(1), isKnown: (peer) => peer === 3 },
    0,
  );
  neighbours.handleDatagram(input, '198.51.100.2', 0);
  const sealed = announcement(input[13] ?? 0);
  neighbours.handleDatagram(concatBytes(input.subarray(0, 22), sealed.subarray(22)), '', 1);
  neighbours.handleDatagram(sealed, '198.51.100.3', 2);
  neighbours.handleTimeout(60_000, 1_790_000_060_000);
  while (neighbours.pollAction() !== null);
}

const PEERS = 'kube-peers.weave.works/peers';
const self = { peer: '7a:00:00:00:00:0a', node: 'node-a' };
const record = writeRecord(
  {},
  {
    peers: [self, { peer: '7a:00:00:00:00:0b', node: 'node-b' }],
    takers: new Map([['7a:00:00:00:00:0b', self.peer]]),
  },
);

/** Each action is answered as well as can be, until the machine rests. */
function keep(input: Uint8Array): void {
  const annotations = { ...record, [PEERS]: Buffer.from(input).toString('utf8'), other: 'kept' };
  const membership = new Membership(self, { random: () => 0.5 }, 0);
  membership.handleNodes(new Set(['node-a']), 0);
  let stored: Readonly<Record<string, string>> = annotations;
  membership.handleTimeout(60_000);
  for (let version = 1; version < 10_000; version++) {
    const action = membership.pollAction();
    if (action === null) return;
    if (action.kind === 'write') {
      if (action.annotations['other'] !== 'kept') throw new Error("another's annotation is gone");
      stored = action.annotations;
    }
    if (action.kind === 'look-up') membership.handleNode(false, 60_000);
    else if (action.kind === 'remove') membership.handleRemoved();
    else {
      membership.handleRecord({ annotations: stored, resourceVersion: `${version}` }, 60_000);
    }
  }
  throw new Error('it does not come to rest');
}

export const targets: readonly FuzzTarget[] = [
  { name: 'lan-announcement', seeds: [announcement(2), announcement(3)], run: hear },
  { name: 'cluster-record', seeds: [Buffer.from(record[PEERS] ?? '')], run: keep },
];
