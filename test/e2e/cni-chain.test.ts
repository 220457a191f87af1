/**
 * The CNI plugin in one list with the reference plugins of Debian: ports of the host that lead to
 * a pod, limits of bandwidth, addresses of another plugin.
 *
 *   pods ── [h1] ──── [h2]
 */
import assert from 'node:assert/strict';
import type { TestContext } from 'node:test';
import { e2e } from '../support/e2e.js';
import { addressOf, type ChainedPlugin, CniChain } from '../support/lab-cni.js';
import type { Host } from '../support/lab-host.js';
import { ownedOn } from '../support/lab-ipam.js';
import { switchedHosts } from '../support/lab-topologies.js';
import { AGENT, agentIn } from '../support/lab-workload.js';

const ARGS = ['--ipalloc-range', '10.36.0.0/16', '--ipalloc-default-subnet', '10.36.0.0/16'];
const POD_PORT = 8000;
const HOST_PORT = 18080;
const PORTS = {
  portMappings: [{ hostPort: HOST_PORT, containerPort: POD_PORT, protocol: 'tcp' }],
};
/** Without CHECK: version 1.1.1 looks for its rules of IPv6 even where a pod has no such one. */
const PORTMAP = { type: 'portmap', capabilities: { portMappings: true } };
const STREAM_BYTES = 3_000_000;
const STREAM_TIMEOUT_MS = 60_000;
/** Bits per second, and bits at once. */
const RATE = 8_000_000;
const BURST = 1_000_000;

/** A list on a host whose router runs, or null with the reason as the test's. */
async function listOn(t: TestContext, host: Host, plugins: readonly ChainedPlugin[]) {
  const chain = new CniChain(host, plugins);
  if (chain.missing.length > 0) {
    t.skip(`needs the Debian package containernetworking-plugins: no ${chain.missing.join(', ')}`);
    return null;
  }
  await host.startRouter({ args: ARGS });
  return chain;
}

/** Sends a stream to where a pod listens. @returns milliseconds until all of it has arrived. */
async function stream(host: Host, pod: string, from: string, to: string, port: number) {
  const argv = [process.execPath, AGENT, 'receive', `${POD_PORT}`];
  const receiver = host.lab.start(pod, argv, { label: `receive-${pod}-${port}` });
  const sent = await agentIn<{ bytes: number; ms: number }>(
    ...([from, STREAM_TIMEOUT_MS, 'send', to, `${port}`, `${STREAM_BYTES}`] as const),
  );
  assert.equal(await receiver.ended, 0);
  assert.equal(sent.bytes, STREAM_BYTES);
  return sent.ms;
}

const rulesOf = async ({ lab, netns }: Host): Promise<string> =>
  (await lab.exec(netns, ['nft', 'list', 'ruleset'])).stdout;

e2e('a port of the host leads to a pod by portmap', ['iptables', 'nft'], async (lab, t) => {
  const [h1, h2] = switchedHosts(lab, 2).hosts as [Host, Host];
  const chain = await listOn(t, h1, [{ type: 'weave-net' }, PORTMAP]);
  if (chain === null) return;
  lab.sysctl(h1.netns, 'net/ipv4/ip_forward', '1');
  const pod = { id: 'p1', netns: lab.addNetns('p1') };
  const address = addressOf(await chain.add(pod, PORTS));
  await stream(h1, pod.netns, h2.netns, h1.address, HOST_PORT);
  await stream(h1, pod.netns, h1.netns, h1.address, HOST_PORT);
  // Its own host port leads back to a pod through the bridge's port it came from.
  await stream(h1, pod.netns, pod.netns, h1.address, HOST_PORT);
  assert.match(await rulesOf(h1), new RegExp(`${address}:${POD_PORT}`));
  await chain.del(pod, PORTS);
  assert.doesNotMatch(await rulesOf(h1), new RegExp(`${address}:${POD_PORT}`));
  assert.ok(!(await ownedOn(h1)).has(address));
});

e2e('bandwidth limits what a pod receives and sends', ['tc'], async (lab, t) => {
  const [h1] = switchedHosts(lab, 1).hosts as [Host];
  lab.ip(h1.netns, ['link add probe type veth']);
  const limit = ['tc', 'qdisc', 'add', 'dev', 'probe', 'root', 'tbf'];
  const probed = await lab.exec(h1.netns, [
    ...[...limit, 'rate', '8mbit', 'burst', '100k', 'latency', '25ms'],
  ]);
  if (probed.code !== 0) {
    t.skip(`needs a kernel with the queueing discipline tbf: ${probed.stderr}`);
    return;
  }
  const bandwidth = { type: 'bandwidth', capabilities: { bandwidth: true } };
  const chain = await listOn(t, h1, [{ type: 'weave-net' }, bandwidth]);
  if (chain === null) return;
  const wish = {
    ...{ ingressRate: RATE, ingressBurst: BURST, egressRate: RATE, egressBurst: BURST },
  };
  const [slow, free] = ['slow', 'free'].map((id) => ({ id, netns: lab.addNetns(id) })) as [
    { id: string; netns: string },
    { id: string; netns: string },
  ];
  const slowAddress = addressOf(await chain.add(slow, { bandwidth: wish }));
  const freeAddress = addressOf(await chain.add(free));
  await chain.check(slow, { bandwidth: wish });
  // What the bucket lets through at once is not waited for.
  const leastMs = ((STREAM_BYTES * 8 - 2 * BURST) / RATE) * 1000;
  const inMs = await stream(h1, slow.netns, free.netns, slowAddress, POD_PORT);
  const outMs = await stream(h1, free.netns, slow.netns, freeAddress, POD_PORT);
  assert.ok(inMs > leastMs, `received in ${inMs} ms, expected ${leastMs}`);
  assert.ok(outMs > leastMs, `sent in ${outMs} ms, expected ${leastMs}`);
  await chain.del(slow, { bandwidth: wish });
  await chain.del(free);
  const links = (await lab.exec(h1.netns, ['ip', '-o', 'link', 'show', 'type', 'ifb'])).stdout;
  assert.equal(links, '');
});

e2e('addresses of host-local, with a port of the host', ['iptables'], async (lab, t) => {
  const [h1, h2] = switchedHosts(lab, 2).hosts as [Host, Host];
  const range = {
    ...{ subnet: '10.77.0.0/24', rangeStart: '10.77.0.20', rangeEnd: '10.77.0.29' },
    gateway: '10.77.0.1',
  };
  const ipam = {
    ...{ type: 'host-local', dataDir: `${h1.folder}/host-local`, ranges: [[range]] },
    routes: [{ dst: '0.0.0.0/0' }],
  };
  const chain = await listOn(t, h1, [{ type: 'weave-net', ipam }, PORTMAP]);
  if (chain === null) return;
  lab.sysctl(h1.netns, 'net/ipv4/ip_forward', '1');
  await h1.weaveOk('expose', '10.77.0.1/24');
  const [one, two] = ['p1', 'p2'].map((id) => ({ id, netns: lab.addNetns(id) })) as [
    { id: string; netns: string },
    { id: string; netns: string },
  ];
  const first = addressOf(await chain.add(one, PORTS));
  const second = addressOf(await chain.add(two));
  assert.deepEqual([first, second], ['10.77.0.20', '10.77.0.21']);
  await stream(h1, one.netns, two.netns, first, POD_PORT);
  await stream(h1, one.netns, h2.netns, h1.address, HOST_PORT);
  assert.deepEqual([...(await ownedOn(h1)).keys()], ['10.77.0.1'], 'the bridge, no pod');
  await chain.del(one, PORTS);
  // It gives an address again only when its range has come round.
  assert.equal(addressOf(await chain.add(one)), '10.77.0.22');
});
