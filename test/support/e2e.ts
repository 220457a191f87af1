/** What end-to-end tests have in common: needs, a lab, logs on failure, a mesh to start from. */
import { type TestContext, test } from 'node:test';
import { Lab } from './lab.js';
import type { Host, RouterOptions } from './lab-host.js';
import { Workload } from './lab-workload.js';
import { requireNetns, requireTool, requireTun } from './requirements.js';

export const PASSWORD = 'a-password-of-the-tests-5e1d';
const ALWAYS_NEEDED = ['nft', 'ping'];

/**
 * A test in namespaces. Skipped, with the reason in the output, where the machine lacks something.
 * @param tools programs it needs besides `ip`, `nft` and `ping`.
 */
export function e2e(
  name: string,
  tools: readonly string[],
  body: (lab: Lab, t: TestContext) => Promise<void>,
): void {
  test(name, async (t) => {
    if (!requireTun(t) || !requireNetns(t)) return;
    if (![...ALWAYS_NEEDED, ...tools].every((tool) => requireTool(t, tool))) return;
    const lab = Lab.forTest(t);
    await lab.explain(t, () => body(lab, t));
  });
}

/** Starts a router on each host, each with all before it as targets, and waits for all pairs. */
export async function startMesh(
  hosts: readonly Host[],
  options: Omit<RouterOptions, 'peers'> = {},
): Promise<void> {
  for (const [index, host] of hosts.entries()) {
    const peers = hosts.slice(0, index).map(({ address }) => address);
    await host.startRouter({ ...options, peers });
  }
  await waitFullMesh(hosts);
}

export async function waitFullMesh(hosts: readonly Host[], deadlineMs?: number): Promise<void> {
  for (const host of hosts) {
    for (const other of hosts) {
      if (other !== host) await host.waitEstablished(other, deadlineMs);
    }
  }
}

/** One workload on each host, 10.40.0.1, 10.40.0.2 … in the order of the hosts. */
export async function attachOneEach(hosts: readonly Host[]): Promise<Workload[]> {
  const workloads: Workload[] = [];
  for (const [index, host] of hosts.entries()) {
    const number = index + 1;
    workloads.push(await Workload.attach(host, `w${number}`, `10.40.0.${number}/16`));
  }
  return workloads;
}
