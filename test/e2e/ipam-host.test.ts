/**
 * Addresses of workloads and of the host itself: chosen, given back, kept over crashes, and
 * released when their holder is gone.
 *
 *   w1, w2, … ── [h1]
 */
import assert from 'node:assert/strict';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer, type ServerResponse } from 'node:http';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { e2e, startMesh } from '../support/e2e.js';
import type { Lab } from '../support/lab.js';
import type { Host } from '../support/lab-host.js';
import { allocate, findings, ipamSummary, ownedOn } from '../support/lab-ipam.js';
import { switchedHosts } from '../support/lab-topologies.js';
import { Workload } from '../support/lab-workload.js';
import { waitFor } from '../support/wait.js';

const ARGS = ['--ipalloc-range', '10.36.0.0/16', '--ipalloc-default-subnet', '10.36.0.0/24'];

const heldOn = async (host: Host): Promise<string[]> => [...(await ownedOn(host)).keys()].sort();

const addressesIn = async (lab: Lab, netns: string): Promise<string> =>
  (await lab.exec(netns, ['ip', '-o', '-4', 'addr', 'show'])).stdout;

e2e('attach, expose, detach and hide without an address', [], async (lab) => {
  const [h1, h2] = switchedHosts(lab, 2).hosts as [Host, Host];
  await startMesh([h1, h2], { args: ARGS });
  const w1 = await Workload.join(h1, 'w1');
  assert.equal(w1.cidr, '10.36.0.1/24');
  // Again, in another spelling: the same workload, the same address.
  assert.equal(await h1.weaveOk('attach', `/run/netns/${w1.netns}`), '10.36.0.1\n');
  assert.equal(await h1.weaveOk('attach', 'net:10.36.9.0/24', w1.netns), '10.36.9.1\n');
  assert.equal(
    await h1.weaveOk('attach', 'ip:10.99.0.7/24', '10.36.0.50/24', w1.netns),
    '10.99.0.7 10.36.0.50\n',
  );
  const w2 = await Workload.join(h2, 'w2');
  await waitFor('answer across hosts', 5_000, () => w1.reaches(w2.address));
  const exposed = (await h1.weaveOk('expose')).trim();
  assert.equal(exposed, '10.36.0.2');
  assert.equal((await h1.weaveOk('expose')).trim(), exposed, 'the same again');
  await waitFor('answer of the host', 5_000, () => w1.reaches(exposed));
  assert.deepEqual(await heldOn(h1), [
    ...['10.36.0.1', '10.36.0.2', '10.36.0.50', '10.36.9.1', '10.99.0.7'],
  ]);
  const listed = await h1.weaveOk('ps', w1.netns);
  assert.match(listed, /10\.36\.0\.1\/24 10\.36\.9\.1\/24 10\.99\.0\.7\/24 10\.36\.0\.50\/24/);

  assert.equal(await h1.weaveOk('detach', 'net:10.36.9.0/24', w1.netns), '10.36.9.1\n');
  assert.equal(await h1.weaveOk('detach', '10.99.0.7/24', w1.netns), '10.99.0.7\n');
  // Without an address: all that lie in the default subnet.
  assert.equal(await h1.weaveOk('detach', w1.netns), '10.36.0.1 10.36.0.50\n');
  assert.doesNotMatch(await addressesIn(lab, w1.netns), /ethwe/);
  assert.equal((await h1.weave('detach', w1.netns)).code, 1);
  assert.equal(await h1.weaveOk('hide'), `${exposed}\n`);
  assert.equal(await h1.weaveOk('hide'), '\n');
  assert.deepEqual(await heldOn(h1), []);
});

e2e('an attach that fails leaves nothing allocated', [], async (lab) => {
  const [h1] = switchedHosts(lab, 1).hosts as [Host];
  await h1.startRouter({ args: ARGS });
  const w1 = await Workload.join(h1, 'w1');
  const taken = lab.addNetns('taken');
  // Its own interface has our name: the attach fails after the address was allocated.
  lab.ip(taken, ['link add ethwe type veth peer name other']);
  for (const words of [[], ['10.36.0.60/24'], ['net:default', '10.36.0.61/24']]) {
    assert.notEqual((await h1.weave('attach', ...words, taken)).code, 0, words.join(' '));
  }
  assert.notEqual((await h1.weave('attach', 'no-such-namespace')).code, 0);
  assert.deepEqual(await heldOn(h1), [w1.address]);
  const clash = await h1.weave('attach', w1.cidr, lab.addNetns('other'));
  assert.equal(clash.code, 2);
  assert.match(clash.stderr, /address 10\.36\.0\.1\/24 .*(in use|owned) by .*w1/);
  assert.deepEqual(await heldOn(h1), [w1.address]);
  // Every address but two of a small subnet, then one too many.
  const small = ['net:10.36.7.0/30'];
  const [a, b] = [await Workload.join(h1, 'a', ...small), await Workload.join(h1, 'b', ...small)];
  assert.deepEqual([a.address, b.address], ['10.36.7.1', '10.36.7.2']);
  const late = lab.exec(h1.netns, [
    ...['timeout', '6', process.execPath, join(import.meta.dirname, '../../cli/weave.js')],
    ...['--socket', h1.socketPath, 'attach', ...small, lab.addNetns('c')],
  ]);
  await waitFor('explanation', 10_000, async () =>
    (await findings(h1)).some((finding) => finding.includes('10.36.7.0/30')),
  );
  assert.equal(await ipamSummary(h1), 'waiting for IP(s) to become available');
  assert.match((await late).stderr, /Waiting for an address[\s\S]*10\.36\.7\.0\/30/);
  // Who waited is gone, so its place is given to the next.
  await h1.weaveOk('detach', ...small, a.netns);
  assert.equal((await Workload.join(h1, 'd', ...small)).address, '10.36.7.1');
});

e2e('kill -9, restart, damage and loss of what is stored', [], async (lab) => {
  const [h1] = switchedHosts(lab, 1).hosts as [Host];
  await h1.startRouter({ args: ARGS });
  const w1 = await Workload.join(h1, 'w1');
  const file = join(h1.folder, 'dbipam.json');
  // Each answer is on disk before it is given, whenever the end comes.
  for (let round = 0; round < 2; round += 1) {
    const given = new Set<string>(await heldOn(h1));
    const asking = Array.from({ length: 24 }, async (_, index) => {
      given.add((await allocate(h1, `r${round}-${index}`)).split('/')[0] as string);
    });
    await Promise.race(asking);
    await h1.stopRouter('SIGKILL');
    await Promise.allSettled(asking);
    await h1.startRouter({ args: ARGS });
    const kept = new Set(await heldOn(h1));
    for (const address of given) assert.ok(kept.has(address), `${address} was given and forgotten`);
    for (let index = 0; index < 24; index += 1) await h1.api('DELETE', `/ip/r${round}-${index}`);
  }
  await h1.weaveOk('expose');
  await h1.stopRouter('SIGKILL');

  const damaged = readFileSync(file, 'utf8').replace('"owned"', '"owmed"');
  writeFileSync(file, damaged);
  await h1.startRouter({ args: ARGS });
  assert.match(
    readFileSync(h1.router?.logPath ?? '', 'utf8'),
    /stored state is damaged.*ipam\.json/,
  );
  assert.equal(readFileSync(`${file}.damaged-1`, 'utf8'), damaged);
  // What is in use is found on the bridge and not given to anybody else.
  await waitFor('claims', 15_000, async () => (await heldOn(h1)).length === 2);
  assert.deepEqual(await heldOn(h1), ['10.36.0.1', '10.36.0.2']);
  assert.equal((await Workload.join(h1, 'w2')).address, '10.36.0.3');
  assert.equal(await h1.weaveOk('attach', w1.netns), '10.36.0.1\n', 'and still its own');
  await h1.weaveOk('reset');
  assert.deepEqual(
    readdirSync(h1.folder).filter((name) => /\.(json|journal)$/.test(name)),
    [],
    'reset leaves no state',
  );
});

/** What the engine's API says; `say` sends an event. */
async function fakeEngine(t: TestContext, lab: Lab, running: Map<string, number>) {
  const path = join(lab.folder, 'engine.sock');
  const streams: ServerResponse[] = [];
  const server = createServer((request, response) => {
    const [, name = ''] = /^\/containers\/([^/]+)\/json$/.exec(request.url ?? '') ?? [];
    if (request.url?.startsWith('/events') === true) {
      response.writeHead(200).flushHeaders();
      streams.push(response);
    } else if (request.url === '/containers/json') {
      response.end(JSON.stringify([...running.keys()].map((Id) => ({ Id }))));
    } else {
      const [id, pid] = [...running].find(([known]) => known.startsWith(name)) ?? [];
      response.statusCode = id === undefined ? 404 : 200;
      response.end(JSON.stringify({ Id: id, State: { Pid: pid } }));
    }
  });
  await new Promise<void>((resolve) => server.listen(path, resolve));
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  const say = (Action: string, ID: string): void => {
    for (const stream of streams) stream.write(`${JSON.stringify({ Action, Actor: { ID } })}\n`);
  };
  return { path, say };
}

e2e('addresses of workloads that are gone come back', [], async (lab, t) => {
  const [h1] = switchedHosts(lab, 1).hosts as [Host];
  const inside = lab.addNetns('c1');
  const main = lab.start(inside, ['sleep', '600'], { label: 'container' });
  const id = 'c'.repeat(64);
  const running = new Map([[id, main.pid]]);
  const engine = await fakeEngine(t, lab, running);
  const args = [...ARGS, '--docker-api', `unix://${engine.path}`];
  await h1.startRouter({ args });
  const gone = await Workload.join(h1, 'gone');
  const stays = await Workload.join(h1, 'stays');
  assert.equal(await h1.weaveOk('attach', id.slice(0, 12)), '10.36.0.3\n');
  assert.equal((await h1.api('POST', `/ip/${id}?check-alive=true`)).body, '10.36.0.3/24');
  const dead = await h1.api('POST', `/ip/${'d'.repeat(64)}?check-alive=true`);
  assert.deepEqual(dead, { status: 200, body: 'cancelled' });
  // By process id: the namespace has a name, so it is the same workload.
  assert.equal(await h1.weaveOk('attach', `${main.pid}`), '10.36.0.3\n');
  assert.equal(await allocate(h1, 'unwatched'), '10.36.0.4/24');

  lab.ip(h1.netns, [`netns del ${gone.netns}`]);
  // A restart within half a minute keeps the address.
  engine.say('die', id);
  engine.say('start', id);
  await waitFor('release after 30 s', 50_000, async () =>
    (await heldOn(h1)).every((address) => address !== gone.address),
  );
  assert.deepEqual(await heldOn(h1), [stays.address, '10.36.0.3', '10.36.0.4']);
  // Destroyed is destroyed.
  running.delete(id);
  main.kill('SIGKILL');
  lab.ip(h1.netns, [`netns del ${inside}`]);
  engine.say('destroy', id);
  await waitFor('release at once', 3_000, async () => (await heldOn(h1)).length === 2);
  assert.equal(await allocate(h1, 'next'), '10.36.0.1/24');

  // While nobody looks: found out at the next start.
  await h1.stopRouter('SIGKILL');
  lab.ip(h1.netns, [`netns del ${stays.netns}`]);
  await h1.startRouter({ args });
  assert.deepEqual(await heldOn(h1), ['10.36.0.1', '10.36.0.4']);
});

e2e('with the allocator off, exact addresses work and others say why not', [], async (lab) => {
  const [h1] = switchedHosts(lab, 1).hosts as [Host];
  await h1.startRouter();
  const w1 = await Workload.attach(h1, 'w1', '10.36.0.9/24');
  for (const words of [['attach', w1.netns], ['expose'], ['detach', 'net:default', w1.netns]]) {
    const { code, stderr } = await h1.weave(...words);
    assert.equal(code, 1);
    assert.match(stderr, /IP address allocation must be enabled to use 'net:'/);
  }
  assert.equal((await h1.weave('prime')).code, 4);
  assert.equal((await h1.weave('ipam', 'check')).code, 4);
  assert.equal(await ipamSummary(h1), 'off');
  assert.doesNotMatch((await h1.api('GET', '/metrics')).body, /ipam/);
  assert.equal(await h1.weaveOk('detach', w1.cidr, w1.netns), '10.36.0.9\n');
});

e2e('garbage at the API is refused and changes nothing', [], async (lab) => {
  const [h1] = switchedHosts(lab, 1).hosts as [Host];
  await h1.startRouter({ args: ARGS });
  await allocate(h1, 'c1');
  const json = { 'Content-Type': 'application/json' };
  const calls: readonly (readonly [string, string, string, RegExp])[] = [
    [
      'POST',
      '/ip/c2/10.50.0.0/24',
      '',
      /^range 10\.50\.0\.0\/24 out of bounds: 10\.36\.0\.0\/16\n/,
    ],
    ['POST', '/ip/c2/10.36.0.1/24', '', /^invalid subnet/],
    ['POST', '/ip/c2/x/24', '', /^invalid CIDR address/],
    ['PUT', '/ip/c2/10.36.0.1/24', '', /^Unable to claim: address 10\.36\.0\.1\/24 is already own/],
    ['PUT', '/ip/c2/::1/24', '', /^invalid Non-IPv4 address/],
    ['DELETE', '/ip/c2', '', /^Delete: no addresses for c2\n/],
    ['DELETE', '/ip/c1/10.36.0.9', '', /^Unable to free: Free: address 10\.36\.0\.9 not found/],
    ['POST', '/attach', '{"target":"x","addresses":["net:x"]}', /^addresses\.0: expected/],
    ['POST', '/expose', '{"addresses":["10.36.0.0/24"]}', /the address of the network itself/],
    ['POST', '/expose', '{"addresses":"all"}', /^addresses: expected a list/],
    ['POST', '/hide', '{}', /^addresses: expected a list/],
  ];
  for (const [method, path, body, expected] of calls) {
    const answer = await h1.api(method, path, body, body === '' ? {} : json);
    assert.equal(answer.status, 400, `${method} ${path} ${answer.body}`);
    assert.match(answer.body, expected);
  }
  assert.deepEqual(await heldOn(h1), ['10.36.0.1']);
  assert.equal(await ipamSummary(h1), 'ready');
});
