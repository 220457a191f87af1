/**
 * Names that containers of an engine get by themselves; the engine is a stand-in with Docker's API.
 *
 *   containers, a namespace with a process each ── [h1]        asked on 127.0.0.1
 */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { digShort } from '../support/dns-client.js';
import { e2e } from '../support/e2e.js';
import { type FakeContainer, FakeEngine } from '../support/fake-engine.js';
import type { Lab } from '../support/lab.js';
import type { Host } from '../support/lab-host.js';
import { switchedHosts } from '../support/lab-topologies.js';
import { waitFor } from '../support/wait.js';

const TOOLS = ['dig'];
const DEADLINE_MS = 5_000;

async function start(lab: Lab, args: readonly string[]) {
  const { hosts } = switchedHosts(lab, 1);
  const [host] = hosts as [Host];
  const socket = join(lab.folder, 'engine.sock');
  const engine = await FakeEngine.start(socket);
  lab.onClose(() => engine.close());
  const options = { args: ['--resolv-conf=', '--docker-api', `unix://${socket}`, ...args] };
  await host.startRouter(options);
  let count = 0;
  const run = (facts: Omit<FakeContainer, 'id' | 'pid'>): FakeContainer => {
    count++;
    const netns = lab.addNetns(`c${count}`);
    const { pid } = lab.start(netns, ['sleep', '600'], { label: `container-${count}` });
    const container = { ...facts, pid, id: `${count}`.repeat(64) };
    engine.containers.push(container);
    return container;
  };
  const ask = (name: string) => digShort(lab, host.netns, '127.0.0.1', name);
  const becomes = (name: string, addresses: readonly string[]) =>
    waitFor(`${name} as "${addresses}"`, DEADLINE_MS, async () => {
      return `${await ask(name)}` === `${addresses}`;
    });
  return { host, engine, options, run, ask, becomes };
}

e2e('containers are named by host name, container name or label', TOOLS, async (lab) => {
  const naming = ['--hostname-from-label', 'app', '--hostname-match', '^aws-[0-9]+-(.*)$'];
  const { host, run, becomes, ask } = await start(lab, [...naming, '--hostname-replacement', '$1']);
  const byName = run({ name: 'aws-12798186823-foo' });
  const full = run({ name: 'x', hostname: 'own', domainname: 'weave.local' });
  const labelled = run({ name: 'y', labels: { app: 'shop' } });
  const foreign = run({ name: 'z', hostname: 'www', domainname: 'example.com' });
  for (const [index, { id }] of [byName, full, labelled, foreign].entries()) {
    await host.weaveOk('attach', `10.40.0.${index + 1}/16`, id);
  }
  await becomes('foo.weave.local', ['10.40.0.1']);
  assert.deepEqual(await ask('own.weave.local'), ['10.40.0.2']);
  assert.deepEqual(await ask('shop.weave.local'), ['10.40.0.3']);
  assert.deepEqual(await ask('z.weave.local'), []);
  const page = await host.weaveOk('status', 'dns');
  assert.match(page, new RegExp(`^foo +10\\.40\\.0\\.1 +${byName.id.slice(0, 12)} `));
  // By the name of the container and without addresses: all that it has.
  await host.weaveOk('dns-add', '10.40.0.1', 'aws-12798186823-foo', '-h', 'more.weave.local');
  assert.deepEqual(await ask('more.weave.local'), ['10.40.0.1']);
  await host.weaveOk('dns-remove', '10.40.0.1', 'aws-12798186823-foo');
  assert.deepEqual(await ask('foo.weave.local'), []);
});

e2e('names of dead containers go, also of those that died unseen', TOOLS, async (lab) => {
  const { host, engine, options, run, becomes, ask } = await start(lab, []);
  const [one, two, three] = [run({ name: 'one' }), run({ name: 'two' }), run({ name: 'three' })];
  for (const [index, { id }] of [one, two, three].entries()) {
    await host.weaveOk('attach', `10.40.0.${index + 1}/16`, id);
  }
  await becomes('three.weave.local', ['10.40.0.3']);
  // The namespace lives on, as that of a container does which others share.
  engine.die(one);
  await becomes('one.weave.local', []);
  engine.dropStreams();
  engine.die(two);
  await becomes('two.weave.local', []);
  // A dead container gets no name by hand.
  await host.weaveOk('dns-add', '10.40.0.2', 'two', '-h', 'two.weave.local');
  assert.deepEqual(await ask('two.weave.local'), []);
  // smoke 255: names of running containers return with the router
  await host.stopRouter('SIGKILL');
  await host.startRouter(options);
  await becomes('three.weave.local', ['10.40.0.3']);
  assert.deepEqual(await ask('one.weave.local'), []);
});
