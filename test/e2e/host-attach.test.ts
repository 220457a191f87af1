/** Workloads attached to a real bridge: traffic, repetition, roll-back, refusals, listing. */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { requireNetns, requireTool } from '../support/requirements.js';
import { HostRig, hasCode, run } from './host-rig.js';

const PLAIN = { multicastRoute: true };

const ready = (t: TestContext): boolean => requireNetns(t) && requireTool(t, 'nft');

/** A process whose network namespace is the given one. */
async function processIn(t: TestContext, netns: string): Promise<ChildProcess> {
  const child = spawn('ip', ['netns', 'exec', netns, 'sh', '-c', 'echo; exec sleep 60'], {
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  t.after(() => child.kill('SIGKILL'));
  await new Promise((resolve) => child.stdout?.once('data', resolve));
  return child;
}

test('two attached workloads reach each other, and look as documented', async (t) => {
  if (!ready(t)) return;
  const rig = await HostRig.create(t);
  const [a, b] = [await rig.addNetns('a'), await rig.addNetns('b')];
  const network = await rig.up();
  assert.deepEqual(await network.attach(a, ['10.2.1.1/24'], PLAIN), ['10.2.1.1/24']);
  await network.attach(b, ['10.2.1.2/24'], PLAIN);
  assert.equal(await rig.pings(a, '10.2.1.2'), true);
  assert.match(await run('ip', '-n', a, 'link', 'show', 'ethwe'), /mtu 1376 .*state UP/);
  assert.match(await run('ip', '-n', a, 'route'), /224\.0\.0\.0\/4 dev ethwe scope link/);
  assert.match(await rig.rules(a), /ip daddr 224\.0\.0\.0\/4 ip saddr 10\.2\.1\.0\/24 accept/);
  const sysctl = (key: string): Promise<string> => rig.inside(a, 'cat', `/proc/sys/net/${key}`);
  assert.equal((await sysctl('ipv4/neigh/ethwe/base_reachable_time')).trim(), '5');
  assert.equal((await sysctl('ipv4/neigh/ethwe/delay_first_probe_time')).trim(), '2');
  assert.equal((await sysctl('ipv4/neigh/ethwe/ucast_solicit')).trim(), '1');
  assert.equal((await sysctl('ipv6/conf/ethwe/accept_ra')).trim(), '0');
  assert.match(await rig.ip('-d', 'link', 'show', 'master', 'weave'), /hairpin on/);
});

test('a new address is announced to the neighbours', async (t) => {
  if (!ready(t)) return;
  const rig = await HostRig.create(t);
  const [a, b] = [await rig.addNetns('a'), await rig.addNetns('b')];
  const network = await rig.up();
  await network.attach(a, ['10.2.1.1/24'], PLAIN);
  await rig.inside(a, 'nft', 'add table arp seen');
  const chain = 'add chain arp seen in { type filter hook input priority 0; }';
  await rig.inside(a, 'nft', chain);
  await rig.inside(a, 'nft', 'add rule arp seen in arp saddr ip 10.2.1.2 counter');
  await network.attach(b, ['10.2.1.2/24'], PLAIN);
  assert.match(await rig.rules(a), /arp saddr ip 10\.2\.1\.2 counter packets [1-9]/);
});

test('attach is repeatable, and adds addresses and networks later', async (t) => {
  if (!ready(t)) return;
  const rig = await HostRig.create(t);
  const a = await rig.addNetns('a');
  const network = await rig.up();
  const none = { multicastRoute: false };
  await network.attach(a, ['10.2.1.1/24'], none);
  const before = await run('ip', '-n', a, 'link', 'show', 'ethwe');
  await network.attach(a, ['10.2.1.1/24'], none);
  await network.attach(a, ['10.3.1.1/24', '10.2.1.1/24', '10.4.1.1/32'], none);
  assert.deepEqual(await rig.addresses(a, 'ethwe'), ['10.2.1.1/24', '10.3.1.1/24', '10.4.1.1/32']);
  assert.equal(await run('ip', '-n', a, 'link', 'show', 'ethwe'), before);
  assert.doesNotMatch(await run('ip', '-n', a, 'route'), /224\.0\.0\.0/);
  // Addresses are compared without their prefix, and what is there is reported.
  assert.deepEqual(await network.attach(a, ['10.2.1.1/16'], none), ['10.2.1.1/24']);
});

test('bad addresses and targets change nothing', async (t) => {
  if (!ready(t)) return;
  const rig = await HostRig.create(t);
  const a = await rig.addNetns('a');
  const network = await rig.up();
  const ports = await rig.ip('link', 'show');
  const refuse = (target: string, cidrs: string[], code: string): Promise<void> =>
    assert.rejects(network.attach(target, cidrs, PLAIN), hasCode(code), `${target} ${cidrs}`);
  for (const cidr of ['999.1.1.1/24', '10.2.1.1', '10.2.1.1/33', '', '10.2.1.1/24 dev lo']) {
    await refuse(a, [cidr], 'cidr-invalid');
  }
  for (const cidr of ['224.0.0.1/24', '127.0.0.1/8', '10.2.1.0/24', '10.2.1.255/24', '9.9.9.9/0']) {
    await refuse(a, [cidr], 'address-unusable');
  }
  await refuse(a, [], 'address-missing');
  const good = ['10.2.1.1/24'];
  const named = (interfaceName: string) =>
    network.attach(a, ['10.2.1.1/24'], { ...PLAIN, interfaceName });
  await assert.rejects(named('eth0 up'), hasCode('interface-name-invalid'));
  await refuse('no-such', good, 'target-not-found');
  await refuse('4194305', good, 'target-not-found');
  await refuse('some/path', good, 'target-invalid');
  await refuse('', good, 'target-invalid');
  await refuse('/run/netns/no-such', good, 'netns-not-found');
  await refuse('/etc/hostname', good, 'netns-invalid');
  await refuse('/proc/self/ns/uts', good, 'netns-invalid');
  await refuse(rig.host, good, 'host-netns');
  assert.equal(await rig.ip('link', 'show'), ports);
  assert.equal(network.counters().attachFailures, 20);
});

test('a failure half-way is rolled back', async (t) => {
  if (!ready(t)) return;
  const rig = await HostRig.create(t);
  const a = await rig.addNetns('a');
  const network = await rig.up();
  // A chain of the same name and another type makes our rules fail after the pair was made.
  await rig.inside(a, 'nft', 'add table ip weave');
  await rig.inside(a, 'nft', 'add map ip weave keep { type ipv4_addr : verdict ; }');
  const hook = 'type filter hook output priority 0 ;';
  await rig.inside(a, 'nft', `add chain ip weave input-ethwe { ${hook} }`);
  const before = await rig.ip('-o', 'link', 'show');
  await assert.rejects(network.attach(a, ['10.2.1.1/24'], PLAIN), hasCode('nft-failed'));
  assert.equal((await rig.ip('-o', 'link', 'show')).split('\n').length, before.split('\n').length);
  await assert.rejects(rig.addresses(a, 'ethwe'), /does not exist/);
  await rig.inside(a, 'nft', 'flush ruleset');
  await network.attach(a, ['10.2.1.1/24'], PLAIN);
  // Now with an interface that exists: the new address goes again, the old one stays.
  await rig.inside(a, 'nft', 'flush ruleset');
  await rig.inside(a, 'nft', 'add table ip weave');
  await rig.inside(a, 'nft', `add chain ip weave input-ethwe { ${hook} }`);
  await assert.rejects(network.attach(a, ['10.3.1.1/24'], PLAIN), hasCode('nft-failed'));
  assert.deepEqual(await rig.addresses(a, 'ethwe'), ['10.2.1.1/24']);
});

test('an interface that is not ours is left alone', async (t) => {
  if (!ready(t)) return;
  const rig = await HostRig.create(t);
  const [a, b] = [await rig.addNetns('a'), await rig.addNetns('b')];
  const network = await rig.up();
  // Once a pair that leads elsewhere, once something that is no pair at all.
  const pair = ['elsewhere', 'type', 'veth', 'peer', 'name', 'ethwe', 'netns', b];
  await rig.ip('link', 'add', ...pair);
  await run('ip', '-n', a, 'tuntap', 'add', 'dev', 'ethwe', 'mode', 'tun');
  await assert.rejects(network.attach(b, ['10.2.1.1/24'], PLAIN), hasCode('interface-foreign'));
  await assert.rejects(network.attach(a, ['10.2.1.1/24'], PLAIN), hasCode('interface-foreign'));
  await assert.rejects(network.detach(a, []), hasCode('interface-foreign'));
  await run('ip', '-n', a, 'link', 'show', 'ethwe');
});

test('a second interface of another name lives beside the first', async (t) => {
  if (!ready(t)) return;
  const rig = await HostRig.create(t);
  const a = await rig.addNetns('a');
  const network = await rig.up();
  const second = { multicastRoute: false, interfaceName: 'eth0', mtu: 1300, hairpin: false };
  await network.attach(a, ['10.2.1.1/24'], PLAIN);
  await network.attach(a, ['10.3.1.1/24'], second);
  assert.match(await run('ip', '-n', a, 'link', 'show', 'eth0'), /mtu 1300/);
  assert.equal((await network.attachments()).length, 2);
  await network.detach(a, []);
  assert.deepEqual(await rig.addresses(a, 'eth0'), ['10.3.1.1/24']);
  assert.match(await rig.rules(a), /chain input-eth0/);
  assert.doesNotMatch(await rig.rules(a), /chain input-ethwe/);
  await network.detach(a, [], 'eth0');
  assert.equal(await rig.rules(a), '');
});

test('detach removes what is named, and the interface with the last address', async (t) => {
  if (!ready(t)) return;
  const rig = await HostRig.create(t);
  const a = await rig.addNetns('a');
  const network = await rig.up();
  await assert.rejects(network.detach(a, []), hasCode('link-not-found'));
  await network.attach(a, ['10.2.1.1/24', '10.2.1.2/24', '10.3.1.1/24'], PLAIN);
  await assert.rejects(network.detach(a, ['10.2.1.1/16']), hasCode('address-not-attached'));
  // The first address of a network goes; the kernel would take the second along.
  assert.deepEqual(await network.detach(a, ['10.2.1.1/24']), ['10.2.1.1/24']);
  assert.deepEqual(await rig.addresses(a, 'ethwe'), ['10.3.1.1/24', '10.2.1.2/24']);
  assert.deepEqual(await network.detach(a, ['10.2.1.2/24']), ['10.2.1.2/24']);
  assert.doesNotMatch(await rig.rules(a), /10\.2\.1\.0/);
  assert.deepEqual(await network.detach(a, ['10.3.1.1/24']), ['10.3.1.1/24']);
  await assert.rejects(rig.addresses(a, 'ethwe'), /does not exist/);
  assert.equal(await rig.rules(a), '');
  assert.doesNotMatch(await rig.ip('link', 'show'), /vethwepl/);
});

test('targets by path, odd names, links and process id mean the same namespace', async (t) => {
  if (!ready(t)) return;
  const rig = await HostRig.create(t);
  const a = await rig.addNetns('a');
  const network = await rig.up();
  const dir = await mkdtemp(join(tmpdir(), 'weave-net-'));
  t.after(() => rm(dir, { recursive: true, force: true }));
  const odd = join(dir, 'a "quoted" name; with $(odd) signs');
  await mkdir(odd);
  await symlink(`/run/netns/${a}`, join(odd, 'ns'));
  const child = await processIn(t, a);
  await network.attach(join(odd, 'ns'), ['10.2.1.1/24'], PLAIN);
  await network.attach(String(child.pid), ['10.2.1.1/24', '10.2.1.2/24'], PLAIN);
  await network.attach(`/proc/${child.pid}/ns/net`, ['10.2.1.3/24'], PLAIN);
  const list = await network.attachments();
  assert.equal(list.length, 1);
  assert.equal(list[0]?.target, a);
  assert.deepEqual(list[0]?.cidrs, ['10.2.1.1/24', '10.2.1.2/24', '10.2.1.3/24']);
  await writeFile(join(odd, 'file'), '');
  const wrong = network.attach(join(odd, 'file'), ['10.2.1.4/24'], PLAIN);
  await assert.rejects(wrong, hasCode('netns-invalid'));
});

test('namespaces whose names start alike do not collide, and parallel calls queue up', async (t) => {
  if (!ready(t)) return;
  const rig = await HostRig.create(t);
  const network = await rig.up();
  const names = await Promise.all(
    [1, 2, 3, 4, 5, 6].map((n) => rig.addNetns(`same-long-name-${n}`)),
  );
  const cidr = (n: number): string => `10.2.1.${n + 1}/24`;
  await Promise.all(
    names.flatMap((name, n) => [
      network.attach(name, [cidr(n)], PLAIN),
      network.attach(name, [cidr(n)], PLAIN),
    ]),
  );
  const list = await network.attachments();
  assert.deepEqual(list.map((entry) => entry.target).sort(), [...names].sort());
  assert.equal(await rig.pings(names[0] as string, '10.2.1.6'), true);
  await Promise.all(names.map((name) => network.detach(name, [])));
  assert.deepEqual(await network.attachments(), []);
});

test('multicast is taken from the own networks only', async (t) => {
  if (!ready(t)) return;
  const rig = await HostRig.create(t);
  const [a, b, c] = await Promise.all(['a', 'b', 'c'].map((label) => rig.addNetns(label)));
  const network = await rig.up();
  await network.attach(a as string, ['10.2.1.1/24'], PLAIN);
  await network.attach(b as string, ['10.2.1.2/24'], PLAIN);
  await network.attach(c as string, ['10.3.1.3/24'], PLAIN);
  for (const netns of [b, c] as string[]) {
    await rig.inside(netns, 'sysctl', '-q', 'net.ipv4.icmp_echo_ignore_broadcasts=0');
  }
  const ping = ['ping', '-n', '-c2', '-i0.2', '-W1', '224.0.0.1'];
  const answer = await rig.inside(a as string, ...ping).catch((error: Error) => String(error));
  assert.match(answer, /from 10\.2\.1\.2/);
  assert.match(await rig.rules(c as string), /224\.0\.0\.0\/4 counter packets [1-9].* drop/);
});

test('a container is found through the engine, and its death is told', async (t) => {
  if (!ready(t)) return;
  const rig = await HostRig.create(t);
  const a = await rig.addNetns('a');
  const child = await processIn(t, a);
  const { createServer } = await import('node:http');
  const dir = await mkdtemp(join(tmpdir(), 'weave-net-'));
  t.after(() => rm(dir, { recursive: true, force: true }));
  const pids: Record<string, number> = { c1: child.pid as number, ended: 0, gone: 4194303 };
  const server = createServer((request, response) => {
    const id = /^\/containers\/([^/]+)\/json$/.exec(request.url ?? '')?.[1] ?? '';
    response.statusCode = id in pids ? 200 : 404;
    response.end(JSON.stringify({ State: { Pid: pids[id] } }));
  });
  await new Promise<void>((resolve) => server.listen(join(dir, 'engine.sock'), resolve));
  t.after(() => server.close());
  const engineSockets = [join(dir, 'absent.sock'), join(dir, 'engine.sock')];
  const network = rig.network({}, { engineSockets });
  await network.setUp();
  await network.attach('c1', ['10.2.1.1/24'], PLAIN);
  assert.equal((await network.attachments())[0]?.target, 'c1');
  const attach = (id: string): Promise<string[]> => network.attach(id, ['10.2.1.2/24'], PLAIN);
  await assert.rejects(attach('ended'), hasCode('container-not-running'));
  await assert.rejects(attach('gone'), /Container gone died/);
  await assert.rejects(attach('other'), hasCode('target-not-found'));
});
