/**
 * The CNI plugin as a runtime calls it, with the router up, down and killed.
 *
 *   pods ── [h1] ──── [h2] ── pods
 */
import assert from 'node:assert/strict';
import { existsSync, mkdirSync, readdirSync, readFileSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { e2e, startMesh } from '../support/e2e.js';
import { addressOf, CniRuntime, type Pod, WEAVE_NET } from '../support/lab-cni.js';
import type { Host } from '../support/lab-host.js';
import { ownedOn } from '../support/lab-ipam.js';
import { switchedHosts } from '../support/lab-topologies.js';
import { waitFor } from '../support/wait.js';

const ARGS = ['--ipalloc-range', '10.36.0.0/16', '--ipalloc-default-subnet', '10.36.0.0/16'];
/** As processes of Node, each of which takes a tenth of a second of a processor. */
const TOGETHER = 100;
const DEADLINE_MS = 60_000;

const heldOn = async (host: Host): Promise<string[]> => [...(await ownedOn(host)).keys()].sort();

async function inPod(host: Host, pod: Pod, ...argv: string[]): Promise<string> {
  const result = await host.lab.exec(pod.netns, argv);
  return result.stdout + result.stderr;
}

const reaches = async (host: Host, pod: Pod, address: string): Promise<boolean> =>
  (await host.lab.exec(pod.netns, ['ping', '-n', '-c', '1', '-W', '1', address])).code === 0;

const portsOf = async (host: Host): Promise<string> =>
  (await host.lab.exec(host.netns, ['ip', '-d', 'link', 'show', 'type', 'veth'])).stdout;

e2e('ADD, CHECK and DEL of pods on two hosts', [], async (lab) => {
  const [h1, h2] = switchedHosts(lab, 2).hosts as [Host, Host];
  await startMesh([h1, h2], { args: ARGS });
  const [one, two] = [new CniRuntime(h1), new CniRuntime(h2)];
  const [p1, p2] = [one.pod('p1'), two.pod('p2')];
  await one.ok('STATUS', null);
  const added = await one.ok('ADD', p1);
  const gateway = added.ips?.[0]?.gateway as string;
  assert.equal(added.cniVersion, '1.1.0');
  assert.equal(added.ips?.[0]?.interface, 1);
  assert.equal(added.interfaces?.[1]?.name, 'eth0');
  assert.deepEqual(added.routes, [{ dst: '0.0.0.0/0', gw: gateway }]);
  assert.match(await inPod(h1, p1, 'ip', 'route'), new RegExp(`^default via ${gateway} dev eth0`));
  // The bridge was exposed as gateway, and answers.
  await waitFor('answer of the gateway', DEADLINE_MS, () => reaches(h1, p1, gateway));
  assert.deepEqual(await one.ok('ADD', p1), added, 'the same again');
  const other = addressOf(await two.ok('ADD', p2));
  await waitFor('answer of the other host', DEADLINE_MS, () => reaches(h1, p1, other));
  assert.match(await portsOf(h1), /hairpin on/);

  await one.ok('CHECK', p1, { prevResult: added });
  const wrong = { ...added, ips: [{ address: '10.36.9.9/16', interface: 1 }] };
  assert.equal((await one.call('CHECK', p1, { prevResult: wrong })).result?.code, 101);
  // What is in use is given to nobody else.
  const again = one.pod('p3');
  assert.notEqual(addressOf(await one.ok('ADD', again)), addressOf(added));
  await one.ok('DEL', again);
  await one.ok('DEL', p1);
  await one.ok('DEL', p1);
  assert.doesNotMatch(await inPod(h1, p1, 'ip', 'link'), /eth0/);
  assert.equal((await one.call('CHECK', p1, { prevResult: added })).result?.code, 101);
  assert.deepEqual(await heldOn(h1), [gateway]);
  assert.doesNotMatch(await portsOf(h1), /alias cni:/);
});

e2e('configuration: subnet, gateway, routes, hairpin, versions, refusals', [], async (lab) => {
  const [h1] = switchedHosts(lab, 1).hosts as [Host];
  await h1.startRouter({ args: ARGS });
  await h1.weaveOk('expose');
  const runtime = new CniRuntime(h1);
  const p1 = runtime.pod('p1');
  const ipam = { subnet: '10.36.7.0/24', gateway: '10.36.8.1', routes: [{ dst: '10.99.0.0/16' }] };
  const old = await runtime.ok('ADD', p1, { cniVersion: '0.2.0', ipam, hairpinMode: false });
  assert.deepEqual(old, {
    cniVersion: '0.2.0',
    ip4: { ip: '10.36.7.1/24', gateway: '10.36.8.1', routes: [{ dst: '10.99.0.0/16' }] },
    dns: {},
  });
  // The gateway lies outside: it has a route of its own.
  const routes = await inPod(h1, p1, 'ip', 'route');
  assert.match(routes, /^10\.36\.8\.1 dev eth0 scope link/m);
  assert.match(routes, /^10\.99\.0\.0\/16 via 10\.36\.8\.1/m);
  assert.doesNotMatch(routes, /default/);
  assert.doesNotMatch(await portsOf(h1), /hairpin on[^\n]*\n[^\n]*alias cni:/);
  const p2 = runtime.pod('p2');
  const none = await runtime.ok('ADD', p2, { cniVersion: '0.4.0', ipam: { routes: [] } });
  assert.doesNotMatch(await inPod(h1, p2, 'ip', 'route'), /default/);
  assert.equal(none.routes, undefined);
  const held = await heldOn(h1);

  const p3 = runtime.pod('p3');
  const refusals: readonly (readonly [number, object, Record<string, string>])[] = [
    [1, { cniVersion: '9.0.0' }, {}],
    [2, { isGateway: true }, {}],
    [2, { ipMasq: true }, {}],
    [7, { bridge: 'other' }, {}],
    [7, { ipam: { subnet: 'x' } }, {}],
    [7, { ipam: { type: 'no-such-plugin' } }, {}],
    [4, {}, { CNI_NETNS: '/run/netns/no-such-one' }],
    [4, {}, { CNI_NETNS: `/run/netns/${h1.netns}` }],
    [4, {}, { CNI_IFNAME: 'name/of/a/path' }],
    [4, {}, { CNI_CONTAINERID: '' }],
    [4, {}, { CNI_COMMAND: 'NONSENSE' }],
    [100, { ipam: { subnet: '192.168.77.0/24' } }, {}],
  ];
  for (const [code, config, env] of refusals) {
    const { exitCode, result } = await runtime.call('ADD', p3, { ...config }, env);
    assert.deepEqual([exitCode, result?.code], [1, code], JSON.stringify([config, env, result]));
  }
  // An interface of somebody else is neither taken nor removed.
  lab.ip(p3.netns, ['link add eth0 type veth peer name other']);
  assert.equal((await runtime.call('ADD', p3)).result?.code, 100);
  await runtime.ok('DEL', p3);
  assert.match(await inPod(h1, p3, 'ip', 'link'), /eth0/);
  assert.deepEqual(await heldOn(h1), held, 'nothing leaked');
});

e2e('DEL without a router is done by the next one; ADD says try again', [], async (lab) => {
  const [h1] = switchedHosts(lab, 1).hosts as [Host];
  await h1.startRouter({ args: ARGS });
  const runtime = new CniRuntime(h1);
  const [p1, p2, p3] = [runtime.pod('p1'), runtime.pod('p2'), runtime.pod('p3')];
  const kept = await runtime.ok('ADD', p1);
  await runtime.ok('ADD', p2);
  const added = await runtime.ok('ADD', p3);
  await h1.stopRouter('SIGKILL');
  await runtime.ok('DEL', p2);
  await runtime.ok('DEL', p2);
  await runtime.ok('DEL', p3);
  lab.ip(h1.netns, [`netns del ${p3.netns}`]);
  assert.equal((await runtime.call('ADD', p2)).result?.code, 11);
  assert.equal((await runtime.call('STATUS', null)).result?.code, 50);
  const folder = join(h1.folder, 'cni');
  assert.equal(readdirSync(folder).length, 2);
  await h1.startRouter({ args: ARGS });
  assert.equal(readdirSync(folder).length, 0);
  assert.doesNotMatch(await inPod(h1, p2, 'ip', 'link'), /eth0/);
  const gateway = kept.ips?.[0]?.gateway as string;
  assert.deepEqual(await heldOn(h1), [addressOf(kept), gateway].sort());
  await runtime.ok('CHECK', p1, { prevResult: kept });
  assert.notEqual(added.ips, undefined);
});

e2e('many at once, and what a crashed runtime leaves is collected', [], async (lab) => {
  const [h1] = switchedHosts(lab, 1).hosts as [Host];
  await h1.startRouter({ args: ARGS });
  const runtime = new CniRuntime(h1);
  const pods = Array.from({ length: TOGETHER }, (_, index) => runtime.pod(`p${index}`));
  const results = await Promise.all(pods.map((pod) => runtime.ok('ADD', pod)));
  const addresses = results.map(addressOf);
  assert.equal(new Set(addresses).size, TOGETHER);
  const first = pods[0] as Pod;
  const last = addresses.at(-1) as string;
  await waitFor('answer between pods', DEADLINE_MS, () => reaches(h1, first, last));
  // The runtime remembers the first ten only.
  const valid = pods.slice(0, 10).map(({ id }) => ({ containerID: id, ifname: 'eth0' }));
  await runtime.ok('GC', null, { 'cni.dev/valid-attachments': valid });
  const gateway = results[0]?.ips?.[0]?.gateway as string;
  assert.deepEqual(await heldOn(h1), [...addresses.slice(0, 10), gateway].sort());
  assert.equal((await portsOf(h1)).match(/alias cni:/g)?.length, 10);
  // Those that were collected may be deleted as well; not all, which would take long.
  await Promise.all(pods.slice(0, 20).map((pod) => runtime.ok('DEL', pod)));
  assert.deepEqual(await heldOn(h1), [gateway]);
  assert.doesNotMatch(await portsOf(h1), /alias cni:/);
});

e2e('weave-ipam alone, and host-local in the place of the allocator', [], async (lab, t) => {
  const [h1] = switchedHosts(lab, 1).hosts as [Host];
  await h1.startRouter({ args: ARGS });
  const runtime = new CniRuntime(h1);
  if (!existsSync('/usr/lib/cni/host-local')) {
    t.skip('needs the reference plugins in /usr/lib/cni');
    return;
  }
  const program = join(h1.folder, 'weave-ipam');
  symlinkSync(WEAVE_NET, program);
  const addresses = new CniRuntime(h1, [process.execPath, program]);
  const p0 = runtime.pod('p0');
  const granted = await addresses.ok('ADD', p0, { ipam: { subnet: '10.36.9.0/24' } });
  assert.deepEqual(granted.ips, [{ address: '10.36.9.1/24' }]);
  assert.deepEqual(await heldOn(h1), ['10.36.9.1']);
  await addresses.ok('CHECK', p0);
  await addresses.ok('DEL', p0);
  await addresses.ok('DEL', p0);
  assert.deepEqual(await heldOn(h1), []);

  const dataDir = join(h1.folder, 'host-local');
  mkdirSync(dataDir);
  const ipam = { type: 'host-local', subnet: '10.77.0.0/24', dataDir };
  const config = { cniVersion: '1.0.0', ipam };
  const p1 = runtime.pod('p1');
  await h1.weaveOk('expose', '10.77.0.1/24');
  const added = await runtime.ok('ADD', p1, config);
  assert.match(addressOf(added), /^10\.77\.0\.\d+$/);
  await waitFor('answer', DEADLINE_MS, () => reaches(h1, p1, '10.77.0.1'));
  const files = (): string[] => readdirSync(join(dataDir, 'weave')).filter((n) => /^10\./.test(n));
  assert.equal(files().length, 1);
  // What fails after the other plugin has given an address gives it back.
  const taken = runtime.pod('taken');
  lab.ip(taken.netns, ['link add eth0 type veth peer name other']);
  assert.equal((await runtime.call('ADD', taken, config)).exitCode, 1);
  assert.equal(files().length, 1);
  await h1.stopRouter('SIGTERM');
  await runtime.ok('DEL', p1, config);
  assert.equal(files().length, 0);
  await h1.startRouter({ args: ARGS });
  assert.doesNotMatch(await inPod(h1, p1, 'ip', 'link'), /eth0/);
  assert.doesNotMatch(readFileSync(h1.router?.logPath as string, 'utf8'), /could not be done/);
});
