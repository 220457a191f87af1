/**
 * `weave reset --force` on a host whose router is gone: rules, interfaces and stored state go, what
 * belongs to others stays.
 */
import assert from 'node:assert/strict';
import { attachOneEach, e2e } from '../support/e2e.js';
import { type Host, WEAVE } from '../support/lab-host.js';
import { switchedHosts } from '../support/lab-topologies.js';
import type { Workload } from '../support/lab-workload.js';

/** In a folder of its own in place of the machine's, so that a router of this machine is safe. */
const RESET = `
  mount -t tmpfs none /var/lib && mkdir /var/lib/weave && cd /var/lib/weave || exit 70
  touch weavestate.json weavestate.json.damaged-7 weavedata.db other.txt
  "$0" "$1" reset --force && ls`;

e2e('reset --force after a crash', ['unshare', 'mount'], async (lab) => {
  const [host] = switchedHosts(lab, 1).hosts as [Host];
  lab.nft(
    host.netns,
    'table ip filter {\n' +
      'chain FORWARD { type filter hook forward priority 0; policy drop; }\n' +
      '}',
  );
  const ruleset = async (): Promise<string> =>
    (await lab.exec(host.netns, ['nft', 'list', 'ruleset'])).stdout;
  const before = await ruleset();
  await host.startRouter();
  const [w1] = (await attachOneEach([host])) as [Workload];
  await host.weaveOk('expose', '10.40.1.1/16');
  assert.match(await ruleset(), /10\.40\.0\.0\/16 accept comment "weave-net weave"/);
  await host.stopRouter('SIGKILL');
  assert.equal((await host.weave('reset')).code, 1);
  const argv = ['unshare', '-m', 'sh', '-c', RESET, process.execPath, WEAVE];
  const env = { WEAVE_SOCKET: host.socketPath };
  const result = await lab.exec(host.netns, argv, { env });
  assert.deepEqual([result.code, result.stdout, result.stderr], [0, 'other.txt\n', '']);
  assert.equal(await ruleset(), before);
  const links = (await lab.exec(host.netns, ['ip', '-o', 'link', 'show'])).stdout;
  assert.doesNotMatch(links, /weave|vethwe/);
  assert.doesNotMatch((await w1.exec(['ip', '-o', 'link', 'show'])).stdout, /ethwe/);
});
