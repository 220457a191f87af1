/** What attach and detach decide from the links of both namespaces. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseCidr } from '../../../../core/ip.js';
import { type LinkState, parseLinks } from '../../../../router/host/link-state.js';
import { workloadPortName } from '../../../../router/host/names.js';
import {
  addAddressCommand,
  createCommands,
  findWorkloadInterface,
  MAX_WORKLOAD_ADDRESSES,
  missingAddresses,
  multicastRoute,
  removableAddresses,
  type WorkloadFacts,
} from '../../../../router/host/workload-plan.js';

const INODE = 4026532177;
const veth = (fields: Record<string, unknown>): LinkState =>
  parseLinks([{ linkinfo: { info_kind: 'veth' }, flags: [], ...fields }])[0] as LinkState;

function facts(hostLinks: LinkState[], netnsLinks: LinkState[], target = 'c1'): WorkloadFacts {
  const bridge = parseLinks([{ ifname: 'weave', linkinfo: { info_kind: 'bridge' } }])[0];
  return {
    target,
    interfaceName: 'ethwe',
    bridge: bridge as LinkState,
    hostLinks,
    netnsInode: INODE,
    leadsThere: ({ peerNetns }) => peerNetns !== null && 'id' in peerNetns && peerNetns.id === 1,
    netnsLinks,
  };
}

const inside = veth({ ifname: 'ethwe', ifindex: 2, link_index: 9, link_netnsid: 0 });
const port = (fields: Record<string, unknown> = {}): LinkState =>
  veth({ ifname: workloadPortName(INODE), ifindex: 9, link_index: 2, link_netnsid: 1, ...fields });

test('an interface is ours by its bridge or by the name of its port', () => {
  assert.equal(findWorkloadInterface(facts([port()], [])), null);
  assert.equal(findWorkloadInterface(facts([port()], [inside]))?.port.index, 9);
  const original = port({ ifname: 'vethwepl4711', master: 'weave' });
  assert.equal(findWorkloadInterface(facts([original], [inside]))?.port.name, 'vethwepl4711');
});

test('look-alikes are foreign', () => {
  const foreign = (links: LinkState[], netnsLinks = [inside]): void => {
    assert.throws(
      () => findWorkloadInterface(facts(links, netnsLinks)),
      (error: { code: string }) => error.code === 'interface-foreign',
    );
  };
  foreign([]);
  foreign([port({ ifname: 'veth7' })]);
  foreign([port({ master: 'docker0' })]);
  foreign([port({ link_index: 3 })]);
  // The same two numbers, but another namespace.
  foreign([port({ link_netnsid: 2, master: 'weave' })]);
  foreign([port({ link_netnsid: undefined, link: 'here' })]);
  foreign([port()], [{ ...inside, kind: 'dummy' }]);
});

test('a pair is born with its other end inside; odd targets leave no alias', () => {
  const name = workloadPortName(INODE);
  assert.deepEqual(createCommands(facts([], []), '/proc/1/fd/9', 1376), [
    `link add name ${name} mtu 1376 type veth peer name ethwe mtu 1376 netns /proc/1/fd/9`,
    `link set dev ${name} alias c1`,
    `link set dev ${name} master weave`,
  ]);
  const odd = createCommands(facts([port()], [], '/x/a b\nlink del dev lo'), '/proc/1/fd/9', 1376);
  assert.equal(odd[0], `link del dev ${name}`);
  assert.ok(odd.every((command) => !command.includes('\n') && !command.includes('alias')));
});

test('addresses to add and to remove', () => {
  const present = ['10.2.1.1/24', '10.3.1.1/16'].map(parseCidr);
  const wanted = ['10.2.1.1/16', '10.4.1.1/24', '10.4.1.1/24'].map(parseCidr);
  assert.deepEqual(missingAddresses(present, wanted), [parseCidr('10.4.1.1/24')]);
  assert.deepEqual(removableAddresses('c1', present, []), present);
  assert.deepEqual(removableAddresses('c1', present, [parseCidr('10.3.1.1/16')]), [present[1]]);
  assert.throws(
    () => removableAddresses('c1', present, [parseCidr('10.2.1.1/16')]),
    /cannot assign requested address: 10\.2\.1\.1\/16 is not attached to "c1"/,
  );
  const many = Array.from({ length: MAX_WORKLOAD_ADDRESSES + 1 }, (_, n) =>
    parseCidr(`10.9.${n >> 8}.${n & 255}/32`),
  );
  assert.throws(() => missingAddresses([], many), /at most 256/);
});

test('networks of 31 and 32 bits have no broadcast address', () => {
  assert.equal(
    addAddressCommand(parseCidr('10.2.1.1/24'), 'ethwe'),
    'addr add 10.2.1.1/24 brd + dev ethwe',
  );
  assert.equal(
    addAddressCommand(parseCidr('10.2.1.1/32'), 'ethwe'),
    'addr add 10.2.1.1/32 dev ethwe',
  );
});

test('a multicast route over another interface is noticed', () => {
  const route = (device: string) => ({ destination: '224.0.0.0/4', device });
  assert.equal(multicastRoute([], 'ethwe'), 'missing');
  assert.equal(multicastRoute([route('eth0')], 'ethwe'), 'elsewhere');
  assert.equal(multicastRoute([route('eth0'), route('ethwe')], 'ethwe'), 'present');
});
