/** An echo with a VLAN tag between two workloads, by devices or by hand. */
import assert from 'node:assert/strict';
import type { TestContext } from 'node:test';
import type { Workload } from './lab-workload.js';
import { type VlanEcho, vlanEchoFrame } from './vlan-echo.js';
import { waitFor } from './wait.js';

const VLAN = 10;

async function macOf(workload: Workload): Promise<string> {
  const result = await workload.exec(['cat', '/sys/class/net/ethwe/address']);
  return result.stdout.trim();
}

/** With VLAN devices if the kernel has them, else with frames made by hand. */
export async function vlanPing(t: TestContext, w1: Workload, w2: Workload): Promise<void> {
  const device = [
    'link',
    'add',
    'link',
    'ethwe',
    'name',
    'tagged',
    'type',
    'vlan',
    'id',
    `${VLAN}`,
  ];
  if ((await w1.exec(['ip', ...device])).code === 0) {
    await w2.exec(['ip', ...device]);
    for (const [index, workload] of [w1, w2].entries()) {
      const address = `addr add 10.50.0.${index + 1}/24 dev tagged`;
      workload.host.lab.ip(workload.netns, [address, 'link set tagged up']);
    }
    await waitFor('tagged answer', 5_000, () => w1.reaches('10.50.0.2'));
    return;
  }
  t.diagnostic('this kernel has no VLAN devices: frames made by hand');
  const request: VlanEcho = {
    sourceMac: await macOf(w1),
    destMac: await macOf(w2),
    vlan: VLAN,
    sourceIp: '10.50.0.1',
    destIp: '10.50.0.2',
    reply: false,
    id: 77,
    payload: 'tagged by hand',
  };
  await frameArrives(w1, w2, request);
  await frameArrives(w2, w1, {
    ...request,
    sourceMac: request.destMac,
    destMac: request.sourceMac,
    sourceIp: '10.50.0.2',
    destIp: '10.50.0.1',
    reply: true,
  });
}

async function frameArrives(from: Workload, to: Workload, echo: VlanEcho): Promise<void> {
  const filter = `vlan ${VLAN} and icmp and src host ${echo.sourceIp}`;
  const seen = to.exec(['tcpdump', '-n', '-e', '-p', '-c', '1', '-i', 'ethwe', filter], {
    timeoutMs: 10_000,
  });
  // tcpdump has no sign of readiness that a pipe would pass on at once; so send until it ends.
  let ended = false;
  void seen.then(() => {
    ended = true;
  });
  // POSIX printf knows octal escapes only.
  const octal = [...vlanEchoFrame(echo)].map((byte) => `\\${byte.toString(8).padStart(3, '0')}`);
  await waitFor('tagged frame', 10_000, async () => {
    await from.exec(['sh', '-c', `printf '${octal.join('')}' | socat -u - INTERFACE:ethwe`]);
    return ended;
  });
  const result = await seen;
  assert.equal(result.code, 0, result.stderr);
  assert.match(result.stdout, new RegExp(`vlan ${VLAN}\\b`));
  assert.match(result.stdout, echo.reply ? /ICMP echo reply/ : /ICMP echo request/);
}
