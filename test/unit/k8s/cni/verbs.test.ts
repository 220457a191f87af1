/** The verbs over plain values: results, gateways, what is undone, order of calls. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Cidr, formatCidr, formatIpv4, parseCidr } from '../../../../core/ip.js';
import type { PodNetwork, PodPlan } from '../../../../k8s/cni/ports.js';
import type { CniReply, CniRequest } from '../../../../k8s/cni/protocol.js';
import { CniVerbs } from '../../../../k8s/cni/verbs.js';

class FakeHost implements PodNetwork {
  readonly bridge = 'weave';
  readonly pods = new Map<string, PodPlan>();
  readonly held = new Map<string, Cidr>();
  bridgeCidrs = ['10.32.0.1/12'];
  exposed: (Cidr | null)[] = [];
  failure: Error | null = null;
  /** How many attaches run at once for one attachment, at most. */
  overlap = 0;
  #running = 0;

  bridgeAddresses = (): Cidr[] => this.bridgeCidrs.map(parseCidr);
  addresses = (ident: string): string[] | null => {
    const plan = this.pods.get(ident);
    return plan === undefined ? null : [formatCidr(plan.address)];
  };
  detach = async (ident: string): Promise<void> => void this.pods.delete(ident);
  remove = async (ident: string): Promise<void> => void this.pods.delete(ident);
  idents = (prefix: string): string[] =>
    [...this.pods.keys(), ...this.held.keys()].filter((ident) => ident.startsWith(prefix));

  async attach(plan: PodPlan) {
    this.#running += 1;
    this.overlap = Math.max(this.overlap, this.#running);
    await Promise.resolve();
    this.#running -= 1;
    if (this.failure !== null) throw this.failure;
    this.pods.set(plan.ident, plan);
    return [
      { name: 'port', mac: '02:00:00:00:00:01' },
      { name: plan.ifName, mac: '02:00:00:00:00:02', sandbox: plan.netns },
    ];
  }

  verbs = new CniVerbs({
    network: this,
    addresses: {
      allocate: async (ident, subnet) => {
        const known = this.held.get(ident);
        const base = subnet === null ? '10.32.0' : formatIpv4(subnet.address).replace(/\.\d+$/, '');
        const cidr =
          known ?? parseCidr(`${base}.${this.held.size + 9}/${subnet?.prefixLength ?? 12}`);
        this.held.set(ident, cidr);
        return { cidr, fresh: known === undefined };
      },
      held: (ident) => [...(this.held.has(ident) ? [this.held.get(ident) as Cidr] : [])],
      release: async (ident) => void this.held.delete(ident),
      idents: this.idents,
    },
    expose: async (subnet) => {
      this.exposed.push(subnet);
      await Promise.resolve();
      this.bridgeCidrs.push('10.32.0.77/12');
    },
    ready: () => true,
  });

  call(command: CniRequest['command'], config: object = {}, extra: Partial<CniRequest> = {}) {
    const request: CniRequest = {
      plugin: 'weave-net',
      command,
      containerId: 'c1',
      netns: '/run/netns/c1',
      ifName: 'eth0',
      config: { cniVersion: '1.0.0', name: 'net', ...config },
      ...extra,
    };
    return this.verbs.run(request, new AbortController().signal);
  }
}

const codeOf = (reply: CniReply): number => ('error' in reply ? reply.error.code : 0);

test('ADD in the form of each version', async () => {
  const host = new FakeHost();
  const ip = { address: '10.32.0.9/12', gateway: '10.32.0.1' };
  const routes = [{ dst: '0.0.0.0/0', gw: '10.32.0.1' }];
  const expected: Record<string, object> = {
    '0.2.0': { ip4: { ip: ip.address, gateway: ip.gateway, routes } },
    '0.3.1': { ips: [{ version: '4', interface: 1, ...ip }], routes },
    '1.1.0': { ips: [{ interface: 1, ...ip }], routes },
  };
  for (const [cniVersion, shape] of Object.entries(expected)) {
    const reply = await host.call('ADD', { cniVersion });
    assert.ok('result' in reply);
    const { interfaces, dns, ...rest } = reply.result ?? {};
    assert.deepEqual(rest, { cniVersion, ...shape });
    assert.deepEqual(dns, {});
    assert.equal(interfaces === undefined, cniVersion === '0.2.0');
  }
  assert.equal(host.held.size, 1, 'the same address each time');
});

test('the bridge is exposed for the first pod, in its subnet', async () => {
  const host = new FakeHost();
  host.bridgeCidrs = [];
  await host.call('ADD', { ipam: { subnet: '10.40.0.0/24' } });
  assert.deepEqual(
    host.exposed.map((cidr) => cidr && formatCidr(cidr)),
    ['10.40.0.0/24'],
  );
  // The gateway lies outside, so that a route leads to it first.
  const routes = host.pods.get('cni:net:c1:eth0')?.routes ?? [];
  assert.deepEqual(
    routes.map(({ destination, gateway }) => [
      formatCidr(destination),
      gateway === null ? null : formatIpv4(gateway as Cidr['address']),
    ]),
    [
      ['10.32.0.77/32', null],
      ['0.0.0.0/0', '10.32.0.77'],
    ],
  );
});

test('pods that come together expose the bridge once', async () => {
  const host = new FakeHost();
  host.bridgeCidrs = [];
  const ids = ['a', 'b', 'c'];
  await Promise.all(ids.map((containerId) => host.call('ADD', {}, { containerId })));
  assert.equal(host.exposed.length, 1);
  assert.equal(host.pods.size, ids.length);
});

test('a failed ADD gives back a fresh address only', async () => {
  const host = new FakeHost();
  host.failure = new Error('no');
  assert.equal(codeOf(await host.call('ADD')), 100);
  assert.equal(host.held.size, 0);
  host.failure = null;
  await host.call('ADD');
  host.failure = new Error('no');
  assert.equal(codeOf(await host.call('ADD')), 100);
  assert.equal(host.held.size, 1);
});

test('verbs of one attachment follow each other', async () => {
  const host = new FakeHost();
  await Promise.all([host.call('ADD'), host.call('ADD'), host.call('DEL'), host.call('ADD')]);
  assert.equal(host.overlap, 1);
  assert.equal(host.held.size, 1);
  await host.call('DEL', {}, { netns: '' });
  assert.deepEqual([host.held.size, host.pods.size], [0, 0]);
  assert.equal(codeOf(await host.call('DEL')), 0);
});

test('DEL releases what Weave Net 2 filed under the id of the container', async () => {
  const host = new FakeHost();
  host.held.set('c1', parseCidr('10.32.0.4/12'));
  await host.call('DEL');
  assert.equal(host.held.size, 0);
});

test('GC takes what is not valid, of its own network only', async () => {
  const host = new FakeHost();
  for (const containerId of ['a', 'b']) await host.call('ADD', {}, { containerId });
  await host.call('ADD', { name: 'other' });
  const valid = [{ containerID: 'a', ifname: 'eth0' }];
  assert.equal(codeOf(await host.call('GC', { 'cni.dev/valid-attachments': valid })), 0);
  assert.deepEqual([...host.pods.keys()], ['cni:net:a:eth0', 'cni:other:c1:eth0']);
  assert.deepEqual([...host.held.keys()], ['cni:net:a:eth0', 'cni:other:c1:eth0']);
  assert.equal(codeOf(await host.call('GC')), 7);
});

test('another plugin says address, gateway and routes', async () => {
  const host = new FakeHost();
  const ipamResult = {
    ips: [{ address: 'fd00::1/64' }, { address: '10.77.0.2/24', gateway: '10.77.0.1' }],
  };
  const reply = await host.call('ADD', { ipam: { type: 'host-local' } }, { ipamResult });
  assert.equal(codeOf(reply), 0);
  assert.equal(host.held.size, 0);
  const plan = host.pods.get('cni:net:c1:eth0') as PodPlan;
  assert.equal(formatCidr(plan.address), '10.77.0.2/24');
  assert.equal(plan.routes[0]?.gateway, parseCidr('10.77.0.1/32').address);
  assert.equal(codeOf(await host.call('ADD', { ipam: { type: 'x' } }, { ipamResult: {} })), 100);
});
