/**
 * The daemon as its environment, its options and signals shape it.
 *
 *   w1, w2 ── [h1] ── switch
 */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { e2e } from '../support/e2e.js';
import type { Host } from '../support/lab-host.js';
import { switchedHosts } from '../support/lab-topologies.js';
import { Workload } from '../support/lab-workload.js';
import { waitFor } from '../support/wait.js';

const logOf = (host: Host): string => readFileSync(host.router?.logPath ?? '', 'utf8');

e2e('variables and --host move the listeners and set the MTU', ['ss'], async (lab) => {
  const [host] = switchedHosts(lab, 1).hosts as [Host];
  await host.startRouter({
    args: ['--host', host.address],
    env: { WEAVE_PORT: '9000', WEAVE_MTU: '1300', WEAVE_METRICS_ADDR: '127.0.0.1:9009' },
  });
  const { stdout } = await lab.exec(host.netns, ['ss', '-Hlntu']);
  const listeners = stdout.split('\n').filter((line) => /:(9000|6783)\b/.test(line));
  assert.ok(listeners.length >= 2, stdout);
  for (const line of listeners) assert.ok(line.includes(`${host.address}:9000`), line);
  assert.match(stdout, /127\.0\.0\.1:9009/);
  const links = await lab.exec(host.netns, ['ip', 'link', 'show', 'weave']);
  assert.match(links.stdout, /mtu 1300/);
});

e2e('without --mtu a bridge that is there keeps its MTU', [], async (lab) => {
  const [host] = switchedHosts(lab, 1).hosts as [Host];
  await host.startRouter({ args: ['--mtu', '1234'] });
  await host.stopRouter();
  await host.startRouter();
  const links = await lab.exec(host.netns, ['ip', 'link', 'show', 'weave']);
  assert.match(links.stdout, /mtu 1234/);
});

e2e('the first line of the log has the options, and SIGQUIT adds the state', [], async (lab) => {
  const [host] = switchedHosts(lab, 1).hosts as [Host];
  await host.startRouter({
    args: ['--log-level=debug', '--password=a-secret-4711', '--pkt-debug'],
  });
  const [first = ''] = logOf(host).split('\n');
  assert.match(first, /options=".*log-level=debug password=<redacted>/);
  assert.doesNotMatch(logOf(host), /a-secret-4711/);
  assert.match(logOf(host), /^WARN.* --pkt-debug: frames are counted by reason/m);
  host.router?.kill('SIGQUIT');
  await waitFor('the dump', 5_000, async () => /state on request .*stack=/.test(logOf(host)));
  assert.match(await host.weaveOk('status'), /Service: router/);
});

e2e('networks on one bridge are apart from each other', [], async (lab) => {
  const [host] = switchedHosts(lab, 1).hosts as [Host];
  await host.startRouter();
  const w1 = await Workload.attach(host, 'w1', '10.40.0.1/24');
  const w2 = await Workload.attach(host, 'w2', '10.40.1.1/24');
  await host.weaveOk('attach', '10.40.0.2/24', w2.netns);
  assert.ok(await w1.reaches('10.40.0.2'));
  assert.equal(await w1.reaches(w2.address), false);
});
