/**
 * The overlay uses what the underlay can carry, and follows when that shrinks.
 *
 *   w1 ── [h1] ── switch ── [h2] ── w2          the switch drops what does not fit, silently
 *   w1 ── [h1] ── gateway ── [h2] ── w2         the gateway sends ICMP "fragmentation needed"
 */
import assert from 'node:assert/strict';
import { attachOneEach, e2e, PASSWORD, startMesh } from '../support/e2e.js';
import type { Lab } from '../support/lab.js';
import type { Host } from '../support/lab-host.js';
import { routedHosts, switchedHosts } from '../support/lab-topologies.js';
import type { Workload } from '../support/lab-workload.js';
import { holdFor, waitFor } from '../support/wait.js';

/** A TCP stream over a path that has changed must move again within this time. */
const RECOVERY_MS = 30_000;
const SMALL_MTU = 1300;

function overlayMtu(host: Host): () => Promise<number> {
  return async () => Number((await host.connections())[0]?.Attrs?.mtu ?? 0);
}

e2e('a 9000-byte underlay is used', [], async (lab) => {
  const { hosts } = switchedHosts(lab, 2, { mtu: 9000 });
  await startMesh(hosts, { password: PASSWORD, args: ['--mtu', '8900'] });
  const [w1, w2] = (await attachOneEach(hosts)) as [Workload, Workload];
  const mtu = overlayMtu(w1.host);
  await waitFor('overlay MTU above 8900', 20_000, async () => (await mtu()) >= 8900);
  assert.ok((await mtu()) <= 9000);
  await waitFor('first answer', 5_000, () => w1.reaches(w2.address));
  // 28 bytes of IPv4 and ICMP header fill the workload's MTU of 8900.
  const large = await w1.ping(w2.address, { payloadBytes: 8900 - 28, df: true });
  assert.equal(large.received, 3, large.output);
  const status = await w1.host.weaveOk('status', 'connections');
  assert.match(status, /mtu=89\d\d/);
});

e2e('TCP survives an underlay that shrinks, with ICMP', ['iperf3'], async (lab) => {
  const { hosts, gatewayNetns } = routedHosts(lab);
  await shrinkUnderLoad(lab, hosts, () =>
    lab.ip(gatewayNetns, [`link set right mtu ${SMALL_MTU}`]),
  );
});

e2e('TCP survives an underlay that shrinks, without ICMP', ['iperf3'], async (lab) => {
  const { hosts, switchNetns } = switchedHosts(lab, 2);
  await shrinkUnderLoad(lab, hosts, () =>
    lab.ip(switchNetns, [`link set h1 mtu ${SMALL_MTU}`, `link set h2 mtu ${SMALL_MTU}`]),
  );
});

async function shrinkUnderLoad(lab: Lab, hosts: Host[], shrink: () => void): Promise<void> {
  await startMesh(hosts, { password: PASSWORD });
  const [w1, w2] = (await attachOneEach(hosts)) as [Workload, Workload];
  await waitFor('first answer', 5_000, () => w1.reaches(w2.address));
  const mtu = overlayMtu(w1.host);
  await waitFor('overlay MTU of the wide path', 20_000, async () => {
    const now = await mtu();
    return now > SMALL_MTU && now < 1500;
  });
  for (const host of hosts) {
    // Grouped datagrams (GSO) would cross virtual cables uncut, and so whatever the MTU there.
    lab.ip(host.netns, ['link set eth0 gso_max_segs 1']);
  }
  const client = startStream(lab, w1, w2);
  await waitFor('stream under way', 10_000, () => bytesSeen(w2).then((bytes) => bytes > 1e6));
  shrink();
  await holdFor(1_000);
  const before = await bytesSeen(w2);
  // More than what queues on the way could still have delivered.
  const wanted = before + 10e6;
  await waitFor('stream moving again', RECOVERY_MS, async () => (await bytesSeen(w2)) > wanted);
  await waitFor('smaller overlay MTU', RECOVERY_MS, async () => (await mtu()) < SMALL_MTU);
  client.kill('SIGKILL');
  // The way back carried small packets only so far; its size is found by the first large ones.
  await waitFor('answers larger than the path', RECOVERY_MS, async () => {
    return (await w1.ping(w2.address, { payloadBytes: 1348 })).received === 3;
  });
}

function startStream(lab: Lab, from: Workload, to: Workload) {
  lab.start(to.netns, ['iperf3', '-s'], { label: 'iperf3-server' });
  const retry = `until iperf3 -c ${to.address} -t 120; do sleep 0.2; done`;
  return lab.start(from.netns, ['sh', '-c', `exec 2>&1; ${retry}`], { label: 'iperf3-client' });
}

async function bytesSeen(workload: Workload): Promise<number> {
  const result = await workload.exec(['cat', '/sys/class/net/ethwe/statistics/rx_bytes']);
  return Number(result.stdout);
}

e2e('workloads whose MTU exceeds the path speak TCP without any ICMP', [], async (lab) => {
  const { hosts } = switchedHosts(lab, 2);
  await startMesh(hosts, { password: PASSWORD, args: ['--mtu', '8900'] });
  const [w1, w2] = (await attachOneEach(hosts)) as [Workload, Workload];
  await waitFor('first answer', 5_000, () => w1.reaches(w2.address));
  await waitFor('known MTU', 20_000, async () => (await overlayMtu(w1.host)()) > 0);
  for (const { netns } of [w1, w2]) {
    const quiet = 'type filter hook input priority 0; meta l4proto icmp drop;';
    lab.nft(netns, `table inet quiet { chain in { ${quiet} }; }`);
  }
  const receiving = w2.agentResult<{ sha256: string }>(60_000, 'receive', '5002');
  const args = [w2.address, '5002', `${8 * 1024 ** 2}`];
  const sent = await w1.agentResult<{ sha256: string }>(60_000, 'send', ...args);
  assert.equal((await receiving).sha256, sent.sha256);
  for (const host of hosts) {
    const { body } = await host.api('GET', '/metrics');
    assert.match(body, /^weave_mss_clamped_total [1-9]/m);
    assert.match(body, /^weave_drops_total\{reason="too-big-answered"\} 0$/m);
  }
});
