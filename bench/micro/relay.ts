/** One opened record: for this router's bridge, and on to another neighbour. */
import type { PeerName } from '../../core/peer-name.js';
import { RecordRelay } from '../../fastdp/inbound/relay.js';
import { RECORD_HEADER_BYTES, writeRecordHeader } from '../../fastdp/wire.js';
import { LOCAL, makeFrame, makeRig, REMOTE, type Rig } from './rig.js';
import type { Stage } from './timing.js';

const PACKETS = 64;
/** Behind us, seen from the neighbour that sends; reached over another one. */
const FAR = 0x8200_0000_0003 as PeerName;

function makeRecord(frame: Uint8Array, source: PeerName, destination: PeerName): Uint8Array {
  const record = new Uint8Array(RECORD_HEADER_BYTES + frame.length);
  record.set(frame, writeRecordHeader(record, 0, source, destination, frame.length));
  return record;
}

function relayOf({ macs, tap, forwarding, counters, routes }: Rig, localPeer: PeerName) {
  const modules = { macs, tap, forwarding, counters, routes };
  return new RecordRelay({ localPeer, strictSource: false }, modules);
}

export function relayStages(): Stage[] {
  const frame = makeFrame();
  const onwards = makeRecord(frame, FAR, REMOTE);
  const inwards = makeRecord(frame, LOCAL, REMOTE);
  // From our local peer's view, frames go out to REMOTE; they come from FAR over another link.
  const onward = makeRig('none');
  onward.routes.setTables({
    peers: new Set([LOCAL, REMOTE, FAR]),
    unicast: new Map([
      [REMOTE, REMOTE],
      [FAR, FAR],
    ]),
    broadcast: new Map(),
  });
  const passing = relayOf(onward, LOCAL);
  const other = makeRig('none', false).link;
  const relay = (): void => {
    passing.begin(other, 0xc000_0202, 6783, 1);
    for (let i = 0; i < PACKETS; i++)
      passing.handleRecord(onwards, RECORD_HEADER_BYTES, frame.length);
    onward.sealer.sealAll();
    onward.datagrams.flush();
  };
  const arriving = makeRig('none', false);
  const ending = relayOf(arriving, REMOTE);
  const deliver = (): void => {
    ending.begin(arriving.link, 0xc000_0201, 6783, 1);
    for (let i = 0; i < PACKETS; i++)
      ending.handleRecord(inwards, RECORD_HEADER_BYTES, frame.length);
  };
  deliver();
  if (arriving.tap.frames !== PACKETS) throw new Error('frames did not reach the bridge');
  relay();
  if (onward.datagrams.committed !== PACKETS) throw new Error('frames were not passed on');
  return [
    { name: 'relay to a neighbour, one copy', packets: PACKETS, run: relay },
    { name: 'relay to our own bridge', packets: PACKETS, run: deliver },
  ];
}
