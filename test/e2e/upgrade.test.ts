/**
 * A new router takes the place of the running one: bridge, TAP device and workloads stay, traffic
 * between workloads of one host does not notice, and traffic between hosts pauses for a moment.
 *
 *   near, w1 ── [h1 replaced] 198.51.100.1 ── switch ── 198.51.100.2 [h2] ── w2
 */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { HANDED_OVER_EXIT_CODE } from '../../router/api-types.js';
import { attachOneEach, e2e, PASSWORD, startMesh } from '../support/e2e.js';
import type { Host } from '../support/lab-host.js';
import { switchedHosts } from '../support/lab-topologies.js';
import { Workload } from '../support/lab-workload.js';
import { waitFor } from '../support/wait.js';

const PING_INTERVAL_MS = 20;
const RESUME_LIMIT_MS = 60_000;

/** What was seen of an endless ping. */
interface Stream {
  /** Sequence numbers that were answered, in order. */
  answered(): number[];
  stop(): void;
}

function stream(from: Workload, to: string, label: string): Stream {
  const argv = ['ping', '-n', '-i', `${PING_INTERVAL_MS / 1000}`, to];
  const ping = from.host.lab.start(from.netns, argv, { label });
  return {
    answered: () => {
      const text = readFileSync(ping.logPath, 'utf8');
      return [...text.matchAll(/icmp_seq=(\d+) ttl/g)].map((match) => Number(match[1]));
    },
    stop: () => ping.kill('SIGKILL'),
  };
}

/** The longest run of requests without an answer, as time. */
function longestPauseMs(answered: readonly number[]): number {
  const gaps = answered.map((seq, i) => seq - (answered[i - 1] ?? seq - 1) - 1);
  return Math.max(0, ...gaps) * PING_INTERVAL_MS;
}

/** Kernel's numbers of bridge and TAP device: a device made anew has another one. */
async function deviceNumbers(host: Host): Promise<string[]> {
  const links = await host.lab.exec(host.netns, ['ip', '-o', 'link', 'show']);
  return links.stdout.match(/^\d+: (?:weave|vethwe-tap):/gm) ?? [];
}

e2e('--take-over replaces a router; workloads of its host do not notice', [], async (lab, t) => {
  const hosts = switchedHosts(lab, 2).hosts as [Host, Host];
  const [h1, h2] = hosts;
  await startMesh(hosts, { password: PASSWORD });
  const [w1, w2] = (await attachOneEach(hosts)) as [Workload, Workload];
  const near = await Workload.attach(h1, 'near', '10.40.0.9/16');
  await waitFor('first answer', RESUME_LIMIT_MS, () => w1.reaches(w2.address));
  const before = await deviceNumbers(h1);
  assert.equal(before.length, 2);
  const far = stream(w1, w2.address, 'ping-far');
  const local = stream(near, w1.address, 'ping-local');
  await waitFor('pings', RESUME_LIMIT_MS, () => far.answered().length > 10);

  const old = h1.router;
  assert.ok(old !== null);
  h1.spawnRouter({ password: PASSWORD, peers: [h2.address], args: ['--take-over'] });
  assert.equal(await old.ended, HANDED_OVER_EXIT_CODE);
  const atEnd = far.answered().at(-1) ?? 0;
  await waitFor('answers after the hand-over', RESUME_LIMIT_MS, () => {
    return (far.answered().at(-1) ?? 0) > atEnd + 10;
  });
  const readiness = await waitFor('readiness', RESUME_LIMIT_MS, async () => {
    const answer = await h1.api('GET', '/readyz');
    return answer.status === 200 ? answer.body : null;
  });
  assert.equal(readiness, 'ok: heartbeats come over 1 connections\n');
  far.stop();
  local.stop();
  t.diagnostic(`between hosts: no answer for ${longestPauseMs(far.answered())} ms`);
  assert.deepEqual(await deviceNumbers(h1), before, 'bridge and TAP device are the same');
  const seen = local.answered();
  assert.equal(longestPauseMs(seen), 0, 'traffic on the host lost nothing');
  assert.equal((await h1.report()).Router.Name, h1.name);
});

e2e('a second router without --take-over is refused and disturbs nothing', [], async (lab) => {
  const [h1] = switchedHosts(lab, 1).hosts as [Host];
  await h1.startRouter({ password: PASSWORD });
  const first = h1.router;
  // Alone, a frame through its own device makes it ready.
  await waitFor('readiness', RESUME_LIMIT_MS, async () => {
    return (await h1.api('GET', '/readyz')).status === 200;
  });
  assert.equal((await h1.api('GET', '/livez')).body, 'ok\n');
  const second = h1.spawnRouter({ password: PASSWORD });
  assert.equal(await second.ended, 1);
  assert.match(readFileSync(second.logPath, 'utf8'), /code=state-in-use/);
  assert.equal((await h1.api('GET', '/status')).status, 200);
  h1.router = first;
  // The router sets the device up again every few seconds, so one look may come too late.
  const refusal = await waitFor('a refusal', RESUME_LIMIT_MS, async () => {
    lab.ip(h1.netns, ['link set vethwe-tap down']);
    const answer = await h1.api('GET', '/readyz');
    return answer.status === 503 ? answer.body : null;
  });
  assert.equal(refusal, 'alone, and no frame comes through the TAP device\n');
  assert.equal(await h1.stopRouter(), 0);
  // With nobody to take over from, it is an ordinary start.
  await h1.startRouter({ password: PASSWORD, args: ['--take-over'] });
});
