/**
 * What a router refuses, in words that say what to do.
 *
 *   [h1] 198.51.100.1 ── switch ── 198.51.100.2 [h2]
 */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { e2e, PASSWORD } from '../support/e2e.js';
import { type Host, WEAVER } from '../support/lab-host.js';
import { switchedHosts } from '../support/lab-topologies.js';
import { waitFor } from '../support/wait.js';

e2e('a second router on the same host is refused', [], async (lab) => {
  const [h1] = switchedHosts(lab, 1).hosts as [Host];
  await h1.startRouter({ password: PASSWORD });
  const same = [process.execPath, WEAVER, '--name', h1.name, '--nickname', 'again'];
  const own = ['--db-prefix', join(h1.folder, 'db'), '--socket', h1.socketPath];
  const first = await lab.exec(h1.netns, [...same, ...own], { timeoutMs: 15_000 });
  assert.notEqual(first.code, 0);
  assert.notEqual(first.code, null, 'it ends by itself');
  assert.match(first.stderr, /already (running|in use)|another router/i);

  // Other files do not help: port and bridge are the host's.
  const other = ['--db-prefix', join(h1.folder, 'other'), '--socket', join(h1.folder, 'o.sock')];
  const away = ['--http-addr', '127.0.0.1:7784', '--status-addr', ''];
  const second = await lab.exec(h1.netns, [...same, ...other, ...away], { timeoutMs: 15_000 });
  assert.notEqual(second.code, 0);
  assert.notEqual(second.code, null, 'it ends by itself');
  assert.match(second.stderr, /already (running|in use)|another router/i);
  assert.equal((await h1.api('GET', '/status')).status, 200, 'the first one goes on');
});

e2e('several routers share a file system when their files differ', [], async (lab) => {
  const [h1, h2] = switchedHosts(lab, 2).hosts as [Host, Host];
  await h1.startRouter();
  await h2.startRouter({ peers: [h1.address] });
  await h2.waitEstablished(h1);
  assert.match(await h1.weaveOk('status'), new RegExp(`Name: ${h1.name}`));
  assert.match(await h2.weaveOk('status'), new RegExp(`Name: ${h2.name}`));
});

e2e('a name that a live peer has is refused, naming both hosts', [], async (lab) => {
  const [h1, h2] = switchedHosts(lab, 2).hosts as [Host, Host];
  // Two peers that know each other, and a third host that claims the name of one.
  await h1.startRouter({ password: PASSWORD });
  await h2.startRouter({
    password: PASSWORD,
    peers: [h1.address],
    args: ['--name', h1.name, '--nickname', 'impostor'],
  });
  const sentence = await waitFor('name collision in the status', 20_000, async () => {
    const lines = (await h2.weaveOk('status', 'connections')).split('\n');
    return lines.find((line) => line.includes('peer names collision'));
  });
  assert.match(sentence, /retry: never/);
  for (const said of [h1.nickname, 'impostor']) assert.ok(sentence.includes(said), sentence);
  const log = readFileSync(h2.router?.logPath ?? '', 'utf8');
  const collision = log.split('\n').filter((line) => /collision|same (peer )?name/i.test(line));
  assert.ok(
    collision.some((line) => line.includes(h1.address) && line.includes(h2.address)),
    `a line names both addresses: ${collision.join('\n')}`,
  );
});

e2e('--check-config tells what is wrong and starts nothing', [], async (lab) => {
  const [h1] = switchedHosts(lab, 1).hosts as [Host];
  const check = (...args: string[]) =>
    lab.exec(h1.netns, [process.execPath, WEAVER, '--check-config', ...args]);
  const good = await check('--port', '6783', '198.51.100.9');
  assert.equal(good.code, 0, good.stderr);
  const bad = await check('--port', 'many', '--mtu', '3', '--trusted-subnets', '1.2.3.4/99');
  assert.equal(bad.code, 2);
  for (const field of ['--port', '--mtu', '--trusted-subnets']) {
    assert.ok(bad.stderr.includes(field), `${field} is named: ${bad.stderr}`);
  }
  const links = await lab.exec(h1.netns, ['ip', '-o', 'link']);
  assert.doesNotMatch(links.stdout, /weave/);
});

e2e('bad requests end with code 2 or HTTP 400 and say what is expected', [], async (lab) => {
  const [h1] = switchedHosts(lab, 1).hosts as [Host];
  await h1.startRouter();
  const target = await h1.weave('attach', '10.40.0.1/16', 'no-such-namespace');
  assert.notEqual(target.code, 0);
  assert.match(target.stderr, /no-such-namespace/);
  const address = await h1.weave('attach', '999.1.1.1/24', h1.netns);
  assert.notEqual(address.code, 0);
  assert.match(address.stderr, /999\.1\.1\.1\/24/);
  const itself = await h1.weave('attach', '10.40.0.1/16', `${h1.router?.pid}`);
  assert.notEqual(itself.code, 0, 'the namespace of the host itself is no workload');
  const api = await h1.api('POST', '/attach', '{"target":5}', {
    'Content-Type': 'application/json',
  });
  assert.equal(api.status, 400);
  assert.match(api.body, /target/);
  const unknown = await h1.api('GET', '/nothing-here');
  assert.equal(unknown.status, 404);
});
