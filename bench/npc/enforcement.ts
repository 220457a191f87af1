#!/usr/bin/env node
/**
 * Measures the policy controller with 1 000 pods and 10, 100 and 1 000 policies: from a change at
 * the API server to the kernel's commit; what a packet and a new connection cost; memory.
 *
 *   node dist/bench/npc/enforcement.js [--changes 100] [--json FILE]
 */
import { writeFileSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { parseNetfilterMessages } from '../../k8s/npc/daemon/netlink-messages.js';
import { NetfilterSocket, waitReadable } from '../../sys/netfilter-socket.js';
import { resolveNetns, withNetns } from '../../sys/netns.js';
import { SeededNumbers } from '../../test/support/garbage.js';
import { Lab } from '../../test/support/lab.js';
import { PodRig } from '../../test/support/pod-rig.js';
import { describeMachine, machineLine } from '../machine.js';
import { percentile } from '../statistics.js';
import { RunningController } from './controller.js';
import {
  NAMESPACES,
  namespaceObject,
  podLabels,
  podObject,
  policyObject,
  type RawObject,
} from './world.js';

interface Row {
  readonly policies: number;
  /** From a change to the kernel's commit, milliseconds. */
  readonly p50Ms: number | null;
  readonly p99Ms: number | null;
  /** A round trip on an established connection, microseconds. */
  readonly roundTripUs: number;
  /** A new TCP connection, microseconds. */
  readonly connectUs: number;
  readonly residentMb: number;
}

const PODS = 1000;
const COUNTS = [0, 10, 100, 1000];
const NFTABLES_GROUP = 7;
const COMMIT_LIMIT_MS = 20_000;
const PAUSE_MS = 60;
const ROUND_TRIPS = 3000;
const CONNECTIONS = 400;
const SETTLE_MS = 120_000;

const { values } = parseArgs({
  options: {
    changes: { type: 'string', default: '100' },
    json: { type: 'string', default: '' },
  },
});

/** The first two stand in namespaces of their own and carry traffic; the rest have names only. */
function addressOf(index: number): string {
  if (index < 2) return PodRig.address(index, 0);
  return `10.32.${2 + (index >> 7)}.${1 + (index & 127)}`;
}

function pod(index: number, random: SeededNumbers, extra: Record<string, string> = {}): RawObject {
  const labels = { ...podLabels(random), ...(index < 2 ? { traffic: 'yes' } : {}), ...extra };
  return podObject({ index, address: addressOf(index), labels });
}

/** Isolates and allows: traffic has to pass the chains of all policies that select its ends. */
function trafficPolicy(index: number): RawObject {
  return {
    apiVersion: 'networking.k8s.io/v1',
    kind: 'NetworkPolicy',
    metadata: { name: 'traffic', namespace: `ns-${index}`, uid: `traffic-${index}` },
    spec: {
      podSelector: { matchLabels: { traffic: 'yes' } },
      policyTypes: ['Ingress', 'Egress'],
      ingress: [{}],
      egress: [{}],
    },
  };
}

/** Each call asks for another port, so that each is a change of rules. */
function changingPolicy(count: number): RawObject {
  return {
    apiVersion: 'networking.k8s.io/v1',
    kind: 'NetworkPolicy',
    metadata: { name: 'changing', namespace: 'ns-2', uid: 'changing' },
    spec: {
      podSelector: {},
      policyTypes: ['Ingress'],
      ingress: [{ from: [{ podSelector: {} }], ports: [{ port: 1000 + count }] }],
    },
  };
}

class Commits {
  readonly #socket: NetfilterSocket;

  constructor(netns: string) {
    this.#socket = withNetns(resolveNetns(netns), () => NetfilterSocket.open([NFTABLES_GROUP]));
  }

  forget(): void {
    while (this.#socket.receive() !== 'nothing');
  }

  /** Waits for the next commit. @returns its time by this process's clock. */
  async next(): Promise<number> {
    const endMs = performance.now() + COMMIT_LIMIT_MS;
    while (performance.now() < endMs) {
      await waitReadable([this.#socket], 1000);
      const nowMs = performance.now();
      for (let got = this.#socket.receive(); got !== 'nothing'; got = this.#socket.receive()) {
        if (got === 'lost') return nowMs;
        const messages = parseNetfilterMessages(got);
        if (messages.some(({ kind }) => kind === 'generation')) return nowMs;
      }
    }
    throw new Error(`no commit within ${COMMIT_LIMIT_MS} ms`);
  }

  close(): void {
    this.#socket.close();
  }
}

async function measure(policies: number, changes: number): Promise<Row> {
  const lab = new Lab();
  try {
    const rig = await PodRig.start(lab, 2, 1);
    const controller = new RunningController(rig);
    const random = new SeededNumbers(policies + 1);
    const { api } = controller;
    for (let index = 0; index < NAMESPACES; index++) api.put('namespaces', namespaceObject(index));
    for (let index = 0; index < PODS; index++) api.put('pods', pod(index, random));
    for (let index = 0; index < policies; index++) {
      api.put('networkpolicies', policyObject(index, random));
    }
    if (policies > 0) {
      for (const index of [0, 1]) api.put('networkpolicies', trafficPolicy(index));
    }
    await controller.start();
    await controller.settle(SETTLE_MS);
    const roundTripUs = await rig.cost('rtt', addressOf(0), addressOf(1), ROUND_TRIPS);
    const connectUs = await rig.cost('connects', addressOf(0), addressOf(1), CONNECTIONS);
    const times = policies === 0 ? [] : await changeTimes(controller, rig.host, changes);
    return {
      policies,
      p50Ms: percentile(times, 50),
      p99Ms: percentile(times, 99),
      roundTripUs,
      connectUs,
      residentMb: controller.residentMb(),
    };
  } finally {
    lab.close();
  }
}

/** By turns a policy changes, or a pod gets labels that another policy selects it by. */
async function changeTimes(
  controller: RunningController,
  netns: string,
  changes: number,
): Promise<number[]> {
  const { api } = controller;
  const random = new SeededNumbers(7);
  api.put('networkpolicies', changingPolicy(0));
  const selecting = changingPolicy(1);
  api.put('networkpolicies', {
    ...selecting,
    metadata: { ...selecting.metadata, name: 'selecting', uid: 'selecting' },
    spec: { podSelector: { matchLabels: { turn: 'on' } }, policyTypes: ['Egress'] },
  } as RawObject);
  await controller.settle(SETTLE_MS);
  const commits = new Commits(netns);
  const times: number[] = [];
  for (let count = 0; count < changes; count++) {
    await controller.settle(SETTLE_MS);
    await delay(PAUSE_MS);
    commits.forget();
    const turn = { turn: (count >> 1) % 2 === 0 ? 'on' : 'off' };
    const startedMs = performance.now();
    if (count % 2 === 0) api.put('networkpolicies', changingPolicy(2 + count));
    else api.put('pods', pod(12, random, turn));
    times.push((await commits.next()) - startedMs);
  }
  commits.close();
  return times;
}

const cell = (value: number | null, digits = 0): string =>
  (value === null ? '–' : value.toFixed(digits)).padStart(11);

const rows: Row[] = [];
console.log(machineLine(describeMachine(), new Date().toISOString().slice(0, 10)));
console.log(`${PODS} pods; times in ms, costs in µs, memory of the controller in MB`);
console.log(' policies  change p50  change p99  round trip     connect      memory');
for (const policies of COUNTS) {
  const row = await measure(policies, Number(values.changes));
  rows.push(row);
  const { p50Ms, p99Ms, roundTripUs, connectUs, residentMb } = row;
  const cells = [cell(p50Ms, 1), cell(p99Ms, 1), cell(roundTripUs), cell(connectUs)];
  console.log(`${`${policies}`.padStart(9)}${cells.join(' ')} ${cell(residentMb)}`);
}
if (values.json !== '') {
  writeFileSync(values.json, `${JSON.stringify({ machine: describeMachine(), rows }, null, 1)}\n`);
}
