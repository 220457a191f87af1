/**
 * Five hosts, all connected to all: a broadcast reaches each workload exactly once.
 *
 *   w1 ── [h1] ─┐
 *   …           ├── switch
 *   w5 ── [h5] ─┘
 */
import assert from 'node:assert/strict';
import { attachOneEach, e2e, PASSWORD, startMesh } from '../support/e2e.js';
import { switchedHosts } from '../support/lab-topologies.js';
import { holdFor, waitFor } from '../support/wait.js';

const COUNT = 50;

e2e('a broadcast reaches each of five hosts exactly once', [], async (lab) => {
  const { hosts } = switchedHosts(lab, 5);
  await startMesh(hosts, { password: PASSWORD });
  const workloads = await attachOneEach(hosts);
  const [first, ...others] = workloads;
  for (const other of others) {
    await waitFor(`answer of ${other.label}`, 20_000, async () => first?.reaches(other.address));
  }
  type Collected = { payloads: Record<string, number> };
  const listening = workloads.map((w) =>
    w.agentResult<Collected>(30_000, 'collect', '5001', '-', '6000'),
  );
  // Five node processes start at once; broadcasts sent before they listen would look like losses.
  await holdFor(2_000);
  const sending = workloads.map((w) =>
    w.agentResult(20_000, 'scatter', '10.40.255.255', '5001', `${COUNT}`, w.label),
  );
  await Promise.all(sending);
  const collected = await Promise.all(listening);
  for (const [index, { payloads }] of collected.entries()) {
    const receiver = workloads[index]?.label;
    for (const sender of workloads) {
      if (sender.label === receiver) continue;
      const times = Array.from({ length: COUNT }, (_, n) => payloads[`${sender.label}-${n}`] ?? 0);
      assert.deepEqual(times, Array(COUNT).fill(1), `${sender.label} to ${receiver}`);
    }
  }
});
