/** Which links lead to which plan for the bridge. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  type BridgeFacts,
  type BridgePlan,
  planBridge,
} from '../../../../router/host/bridge-plan.js';
import { type LinkState, parseLinks } from '../../../../router/host/link-state.js';

const PEER_MAC = '82:00:00:00:00:01';

function link(fields: Record<string, unknown>): LinkState {
  return parseLinks([{ ifindex: 2, mtu: 1500, flags: ['UP'], ...fields }])[0] as LinkState;
}

const bridgeLink = (fields: Record<string, unknown> = {}): LinkState =>
  link({
    ifname: 'weave',
    address: PEER_MAC,
    linkinfo: { info_kind: 'bridge', info_data: { stp_state: 0, mcast_snooping: 0 } },
    ...fields,
  });

function plan(
  links: LinkState[],
  mtu: number | null = null,
  facts: Partial<BridgeFacts> = {},
): BridgePlan {
  return planBridge(
    { bridge: 'weave', tapName: 'vethwe-tap', mtu, peerMac: PEER_MAC },
    { links, ownsTap: false, isCaptured: () => false, ...facts },
  );
}

test('a bare host gets a new bridge with the default MTU', () => {
  const { commands, adopted, mtuBytes } = plan([]);
  assert.equal(adopted, false);
  assert.equal(mtuBytes, 1376);
  assert.equal(
    commands[0],
    `link add name weave address ${PEER_MAC} mtu 1376 type bridge stp_state 0`,
  );
  // The kernel only counts a change as the user's wish.
  assert.deepEqual(commands.slice(-2), [
    'link set dev weave mtu 1377',
    'link set dev weave mtu 1376',
  ]);
});

test('an existing bridge keeps its MTU unless another one is wanted or no TAP could carry it', () => {
  assert.equal(plan([bridgeLink()]).mtuBytes, 1500);
  assert.equal(plan([bridgeLink()], 1400).mtuBytes, 1400);
  const huge = plan([bridgeLink({ mtu: 65535 })]);
  assert.equal(huge.mtuBytes, 65521);
  assert.equal(huge.commands.at(-1), 'link set dev weave mtu 65521');
  assert.equal(huge.adopted, true);
  assert.deepEqual(huge.warnings, []);
});

test('settings and MAC of an existing bridge', () => {
  const data = { info_kind: 'bridge', info_data: { stp_state: 1, mcast_snooping: 1 } };
  const { commands, warnings } = plan([
    bridgeLink({ linkinfo: data, address: '82:00:00:00:00:02' }),
  ]);
  assert.ok(commands.includes('link set dev weave type bridge stp_state 0'));
  assert.ok(commands.includes('link set dev weave type bridge mcast_snooping 0'));
  assert.equal(warnings.length, 1);
});

test('workloads that lost their bridge are put on the new one', () => {
  const veth = { linkinfo: { info_kind: 'veth' } };
  const { commands } = plan([
    link({ ifname: 'vethwepl0000001', ...veth }),
    link({ ifname: 'vethwepl0000002', master: 'other', ...veth }),
    link({ ifname: 'veth1', ...veth }),
  ]);
  assert.deepEqual(
    commands.filter((command) => command.includes('master')),
    ['link set dev vethwepl0000001 master weave up'],
  );
});

test("the original's port goes, unless it belongs to another bridge", () => {
  const port = (master: string | undefined, other: string): LinkState =>
    link({
      ifname: 'vethwe-bridge',
      link: other,
      ...(master === undefined ? {} : { master }),
      linkinfo: { info_kind: 'veth' },
    });
  const removal = 'link del dev vethwe-bridge';
  const capture = plan([bridgeLink(), port('weave', 'vethwe-pcap')]);
  assert.ok(capture.commands.includes(removal));
  assert.deepEqual(capture.warnings, []);
  const datapath = plan([bridgeLink(), port('weave', 'vethwe-datapath')]);
  assert.ok(datapath.commands.includes(removal));
  assert.equal(datapath.warnings.length, 1);
  assert.ok(plan([port(undefined, 'vethwe-pcap')]).commands.includes(removal));
  assert.ok(!plan([port('other', 'vethwe-pcap')]).commands.includes(removal));
});

test('foreign devices under our name and running routers are refused', () => {
  const code = (wanted: string) => (error: { code: string }) => error.code === wanted;
  const kind = (info_kind: string) => [bridgeLink({ linkinfo: { info_kind } })];
  assert.throws(() => plan(kind('openvswitch')), code('bridge-type-differs'));
  assert.throws(() => plan(kind('openvswitch')), /weave reset/);
  assert.throws(() => plan(kind('dummy')), code('bridge-name-taken'));
  const tap = link({ ifname: 'vethwe-tap', flags: ['UP', 'LOWER_UP'] });
  assert.throws(() => plan([tap]), code('router-running'));
  plan([tap], null, { ownsTap: true });
  // A persistent device that nobody holds open has no carrier.
  plan([link({ ifname: 'vethwe-tap', flags: ['UP', 'NO-CARRIER'] })]);
  const capture = link({ ifname: 'vethwe-pcap' });
  assert.throws(() => plan([capture], null, { isCaptured: () => true }), code('router-running'));
  plan([capture]);
});
