/**
 * An authenticated peer that means harm, one abuse after another, while an honest mesh works.
 *
 *   w1 ── [h1] ── switch ── [h2] ── w2
 *                   └── hostile 198.51.100.66
 */
import assert from 'node:assert/strict';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { attachOneEach, e2e, PASSWORD, startMesh } from '../support/e2e.js';
import type { Host } from '../support/lab-host.js';
import { switchedHosts } from '../support/lab-topologies.js';
import type { Workload } from '../support/lab-workload.js';
import { run } from '../support/shell.js';
import { waitFor } from '../support/wait.js';

const AGENT = join(dirname(fileURLToPath(import.meta.url)), '../support/hostile-agent.js');
const ATTACK_MS = 6_000;
/** What is left of an attack in socket buffers is worked off first, on two cores or fewer. */
const API_DEADLINE_MS = 30_000;
const VERBS = ['strangers', 'partial', 'topology', 'surrogates', 'control', 'deaf', 'churn'];
/** Everything that the limits in mesh/README.md allow at one time, and the engine's slack. */
const MAX_RESIDENT_BYTES = 1536 * 1024 * 1024;

e2e('a hostile peer with the password costs honest ones little', [], async (lab, t) => {
  const { hosts, switchNetns } = switchedHosts(lab, 2);
  const [h1, h2] = hosts as [Host, Host];
  await startMesh(hosts, { password: PASSWORD, args: ['--no-discovery'] });
  const [w1, w2] = (await attachOneEach(hosts)) as [Workload, Workload];
  await waitFor('first answer', 5_000, () => w1.reaches(w2.address));
  const netns = lab.addNetns('hostile');
  lab.cable({ netns: switchNetns, device: 'hostile' }, { netns, device: 'eth0' }, 1500);
  lab.ip(switchNetns, ['link set hostile master br0']);
  lab.ip(netns, ['addr add 198.51.100.66/24 dev eth0']);
  const pid = h1.router?.pid;
  for (const verb of VERBS) {
    const argv = ['ip', 'netns', 'exec', netns, process.execPath, AGENT, verb, h1.address, '6783'];
    const attack = run([...argv, PASSWORD, `${ATTACK_MS}`], { timeoutMs: 60_000 });
    const during = await w1.ping(w2.address, { count: 30 });
    const { code, stdout, stderr } = await attack;
    assert.equal(code, 0, stderr);
    const attackEndMs = performance.now();
    const body = await waitFor(
      'metrics',
      API_DEADLINE_MS,
      async () => (await h1.api('GET', '/metrics')).body,
    );
    const delay = /weave_event_loop_delay_seconds\{quantile="1"\} (\S+)/.exec(body)?.[1];
    const resident = h1.residentBytes();
    const answerMs = Math.round(performance.now() - attackEndMs);
    const facts =
      `${Math.round(resident / 1e6)} MB, longest turn ${delay} s, ` + `API after ${answerMs} ms`;
    t.diagnostic(`${verb} ${stdout.trim()}: ${facts}, ${during.received} of 30 pings`);
    assert.ok(h1.router?.running() && h1.router.pid === pid, `${verb}: the router lives`);
    assert.ok(resident < MAX_RESIDENT_BYTES, `${verb}: ${resident} bytes in use`);
    assert.ok(during.received >= 27, `${verb}: traffic goes on meanwhile: ${during.output}`);
    await h1.waitEstablished(h2, API_DEADLINE_MS);
  }
});
