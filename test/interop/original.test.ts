/**
 * Meshes of our routers and the original's. Needs a binary of the original's `weaver`:
 *
 *   WEAVE_REAL_ROUTER=/path/to/weaver npm test -- interop
 *
 *   w1 ── [h1] ─┐
 *   w2 ── [h2] ─┼── switch            which host runs which router, and who sees whom, varies
 *   w3 ── [h3] ─┘
 */
import assert from 'node:assert/strict';
import { e2e, PASSWORD, waitFullMesh } from '../support/e2e.js';
import type { Lab } from '../support/lab.js';
import { type Host, ownRouter, type RouterKind, type RouterOptions } from '../support/lab-host.js';
import { switchedHosts } from '../support/lab-topologies.js';
import { Workload } from '../support/lab-workload.js';
import { REAL_ROUTER_VARIABLE, realRouter } from '../support/real-router.js';
import { dataPlaneOf, transfer } from '../support/transfers.js';
import { holdFor, waitFor } from '../support/wait.js';

const binary = process.env[REAL_ROUTER_VARIABLE] ?? '';
const ours = ownRouter;
const theirs = realRouter(binary);
const TOOLS = ['ethtool', 'iptables', 'tcpdump'];
const WORKLOAD_MTU = 1376;
const MEBIBYTE = 1024 ** 2;
const SETTLE_MS = 20_000;

function interop(name: string, body: (lab: Lab) => Promise<void>): void {
  e2e(name, TOOLS, async (lab, t) => {
    if (binary === '') {
      t.skip(`needs ${REAL_ROUTER_VARIABLE}, the path of the original's weaver`);
      return;
    }
    await body(lab);
  });
}

const kindName = (kind: RouterKind): string => (kind === ours ? 'ours' : 'original');

interface Scenario {
  readonly password: string | null;
  readonly version: number;
  /** Hosts that do not see each other. */
  readonly apart?: readonly [number, number];
  /** Of our data planes. */
  readonly threads?: number;
}

/** The options of one scenario; only ours can be held at an older protocol version. */
function optionsFor(host: Host, scenario: Scenario): RouterOptions {
  const { password, version, threads = 1 } = scenario;
  const own = ['--max-protocol-version', `${version}`, '--fastdp-queues', `${threads}`];
  return { args: host.kind === ours ? own : [], ...(password === null ? {} : { password }) };
}

/** Starts the routers; each dials all before it. */
async function startAll(
  lab: Lab,
  kinds: readonly RouterKind[],
  scenario: Scenario,
): Promise<{ hosts: Host[]; workloads: Workload[] }> {
  const { hosts } = switchedHosts(lab, kinds.length, { kinds });
  const apart = scenario.apart?.map((index) => hosts[index] as Host) ?? [];
  if (apart.length === 2) {
    apart[0]?.block(apart[1] as Host);
    apart[1]?.block(apart[0] as Host);
  }
  const seesEachOther = (a: Host, b: Host): boolean => !(apart.includes(a) && apart.includes(b));
  for (const [index, host] of hosts.entries()) {
    const before = hosts.slice(0, index).filter((other) => seesEachOther(host, other));
    const options = optionsFor(host, scenario);
    await host.startRouter({ ...options, peers: before.map(({ address }) => address) });
  }
  for (const host of hosts) {
    for (const other of hosts) {
      if (other !== host && seesEachOther(host, other)) await host.waitEstablished(other);
    }
  }
  const workloads = hosts.map((host, index) =>
    Workload.plug(host, `w${index + 1}`, `10.40.0.${index + 1}/16`, WORKLOAD_MTU),
  );
  return { hosts, workloads };
}

/** Small, full-size and fragmented pings each way, then a stream each way with equal hashes. */
async function assertCarries(a: Workload, b: Workload): Promise<void> {
  await waitFor(`answer of ${b.label} to ${a.label}`, SETTLE_MS, () => a.reaches(b.address));
  await waitFor(`answer of ${a.label} to ${b.label}`, SETTLE_MS, () => b.reaches(a.address));
  for (const [from, to] of [[a, b] as const, [b, a] as const]) {
    for (const payloadBytes of [56, WORKLOAD_MTU - 28, 4000]) {
      const result = await from.ping(to.address, { count: 5, payloadBytes });
      assert.equal(result.received, 5, `${payloadBytes} bytes: ${result.output}`);
      assert.doesNotMatch(result.output, /DUP/);
    }
    type Stream = { sha256: string };
    const receiving = to.agentResult<Stream>(60_000, 'receive', '5000');
    const args = [to.address, '5000', `${16 * MEBIBYTE}`];
    const sent = await from.agentResult<Stream>(60_000, 'send', ...args);
    assert.equal((await receiving).sha256, sent.sha256);
  }
}

for (const password of [PASSWORD, null]) {
  for (const version of [2, 1]) {
    const with_ = `${password === null ? 'no password' : 'password'}, protocol ${version}`;
    for (const kinds of [[ours, theirs] as const, [theirs, ours] as const]) {
      const who = `${kindName(kinds[1])} dials ${kindName(kinds[0])}`;
      interop(`two hosts, ${who}, ${with_}`, async (lab) => {
        const { hosts, workloads } = await startAll(lab, kinds, { password, version });
        const [h1, h2] = hosts as [Host, Host];
        for (const [host, other] of [[h1, h2] as const, [h2, h1] as const]) {
          const connection = await host.waitEstablished(other);
          assert.equal(connection.Attrs?.name, 'sleeve');
          assert.equal(connection.Attrs?.encrypted ?? false, password !== null);
        }
        const own = await (h1.kind === ours ? h1 : h2).report();
        assert.equal(own.WeaveNet?.Connections[0]?.ProtocolVersion, version);
        await assertCarries(workloads[0] as Workload, workloads[1] as Workload);
        for (const host of hosts) assert.ok(host.router?.running());
      });
    }
  }
}

const chains: readonly (readonly [string, readonly RouterKind[]])[] = [
  ['the original relays between two of ours', [ours, theirs, ours]],
  ['ours relays between two originals', [theirs, ours, theirs]],
  ['the original is the far end behind ours', [ours, ours, theirs]],
  ['ours is the far end behind an original', [theirs, theirs, ours]],
];
for (const [name, kinds] of chains) {
  for (const [password, version] of [[PASSWORD, 2] as const, [null, 1] as const]) {
    interop(`chain: ${name}, ${password === null ? 'clear' : 'password'}`, async (lab) => {
      const scenario = { password, version, apart: [0, 2] as const };
      const { hosts, workloads } = await startAll(lab, kinds, scenario);
      const [w1, w2, w3] = workloads as [Workload, Workload, Workload];
      await assertCarries(w1, w3);
      await assertCarries(w1, w2);
      for (const host of hosts) assert.equal((await host.report()).Router.Peers?.length, 3);
    });
  }
}

/** Streams of many flows both ways at once, so that our threads most likely all have some. */
async function assertCarriesFlows(a: Workload, b: Workload): Promise<void> {
  const streams = Array.from({ length: 6 }, async (_, index) => {
    const [from, to] = index % 2 === 0 ? [a, b] : [b, a];
    const options = { port: `${5100 + index}`, bytes: 8 * MEBIBYTE, limitMs: 120_000 };
    const { sent, received } = await transfer(from, to, options);
    assert.deepEqual(received, { bytes: sent.bytes, sha256: sent.sha256 });
  });
  await Promise.all(streams);
}

for (const password of [PASSWORD, null]) {
  for (const kinds of [
    [ours, theirs],
    [ours, theirs, ours],
  ] as const) {
    const names = kinds.map(kindName).join(', ');
    const with_ = password === null ? 'clear' : 'password';
    interop(`our data planes have two threads: ${names}, ${with_}`, async (lab) => {
      const apart = kinds.length === 3 ? { apart: [0, 2] as const } : {};
      const scenario = { password, version: 2, threads: 2, ...apart };
      const { hosts, workloads } = await startAll(lab, kinds, scenario);
      const [first, last] = [workloads[0] as Workload, workloads.at(-1) as Workload];
      await assertCarries(first, last);
      await assertCarriesFlows(first, last);
      for (const host of hosts.filter(({ kind }) => kind === ours)) {
        const { Queues, Drops } = await dataPlaneOf(host);
        assert.equal(Queues.length, 2);
        assert.deepEqual([Drops['forged'], Drops['replayed']], [0, 0]);
      }
    });
  }
}

interop('full mesh of three: each broadcast arrives exactly once', async (lab) => {
  const kinds = [ours, theirs, ours];
  const { hosts, workloads } = await startAll(lab, kinds, { password: PASSWORD, version: 2 });
  await waitFullMesh(hosts);
  const [w1, w2, w3] = workloads as [Workload, Workload, Workload];
  for (const [a, b] of [[w1, w2] as const, [w1, w3] as const, [w2, w3] as const]) {
    await waitFor('answer', SETTLE_MS, () => a.reaches(b.address));
  }
  type Collected = { payloads: Record<string, number> };
  const collecting = workloads.map((w) =>
    w.agentResult<Collected>(30_000, 'collect', '5001', '-', '5000'),
  );
  await holdFor(1_500);
  await Promise.all(
    workloads.map((w) => w.agentResult(20_000, 'scatter', '10.40.255.255', '5001', '20', w.label)),
  );
  for (const [index, { payloads }] of (await Promise.all(collecting)).entries()) {
    const senders = workloads.filter((_, other) => other !== index);
    const wanted = senders.flatMap(({ label }) =>
      Array.from({ length: 20 }, (_, n) => `${label}-${n}`),
    );
    for (const payload of wanted) assert.equal(payloads[payload], 1, payload);
  }
});

interop('trusted subnets: the data path goes in the clear', async (lab) => {
  const { hosts } = switchedHosts(lab, 2, { kinds: [theirs, ours] });
  const [h1, h2] = hosts as [Host, Host];
  const trusting = { password: PASSWORD, args: ['--trusted-subnets', '198.51.100.0/24'] };
  await h1.startRouter(trusting);
  await h2.startRouter({ ...trusting, peers: [h1.address] });
  for (const [host, other] of [[h1, h2] as const, [h2, h1] as const]) {
    assert.match((await host.waitEstablished(other)).Info, /^unencrypted/);
  }
  const workloads = hosts.map((host, index) =>
    Workload.plug(host, `w${index + 1}`, `10.40.0.${index + 1}/16`, WORKLOAD_MTU),
  );
  await assertCarries(workloads[0] as Workload, workloads[1] as Workload);
});

interop('wrong passwords are refused and the right one heals it', async (lab) => {
  const { hosts } = switchedHosts(lab, 2, { kinds: [theirs, ours] });
  const [h1, h2] = hosts as [Host, Host];
  await h1.startRouter({ password: PASSWORD });
  await h2.startRouter({ password: 'another', peers: [h1.address] });
  await waitFor('reason', SETTLE_MS, async () =>
    (await h2.connections()).some(({ Info }) => Info.includes('Unable to decrypt TCP msg')),
  );
  await h2.stopRouter();
  await h2.startRouter({ password: PASSWORD, peers: [h1.address] });
  await h1.waitEstablished(h2);
});

interop('either end is killed and comes back', async (lab) => {
  const scenario = { password: PASSWORD, version: 2 };
  const { hosts, workloads } = await startAll(lab, [theirs, ours], scenario);
  const [h1, h2] = hosts as [Host, Host];
  const [w1, w2] = workloads as [Workload, Workload];
  await waitFor('first answer', SETTLE_MS, () => w1.reaches(w2.address));
  for (const [killed, peers] of [[h2, [h1.address]] as const, [h1, [h2.address]] as const]) {
    await killed.stopRouter('SIGKILL');
    await killed.startRouter({ password: PASSWORD, peers });
    await waitFor('answer after the restart', SETTLE_MS, () => w1.reaches(w2.address));
  }
});
