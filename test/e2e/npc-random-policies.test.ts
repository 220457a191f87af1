/**
 * Random pods, namespaces and policies in the kernel: connections of TCP, UDP and SCTP by IPv4 and
 * IPv6 between pods on the bridges of two nodes go as a direct reading of the specification says.
 * A failure names the seed.
 *
 *   [10.32.4.1, 3, 5] ── bridge of n1 ── cable ── bridge of n2 ── [10.32.4.2, 4, 6]
 *   [203.0.113.10] ── router of n1
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { compile } from '../../k8s/npc/compiler.js';
import { differences } from '../../k8s/npc/read-back.js';
import { renderAll, renderChange } from '../../k8s/npc/render.js';
import type { Ruleset } from '../../k8s/npc/ruleset.js';
import { Lab } from '../support/lab.js';
import {
  allowed,
  type ClusterPolicyText,
  type ClusterRuleText,
  type World,
} from '../support/policy-reading.js';
import { PolicyRig, type Try } from '../support/policy-rig.js';
import { clusterFor, type Places, PORTS, PROTOCOLS, worldOf } from '../support/policy-worlds.js';
import { requireNetns, requireTool } from '../support/requirements.js';

const PODS = 6;
const PLACES: Places = {
  ips: Array.from({ length: PODS }, (_, index) => [`10.32.4.${index + 1}`, `fd00::4:${index + 1}`]),
  ranges: [
    ...['0.0.0.0/0', '10.0.0.0/8', '10.32.4.0/24', '10.32.4.0/29', '10.32.4.4/30'],
    ...['203.0.113.0/24', '::/0', 'fd00::/8', 'fd00::4:0/125', 'fd00::4:4/126'],
  ],
  fewestPods: PODS,
};
const OUTSIDE = '203.0.113.10';
/** So many are looked through for each seed. */
const CANDIDATES = 200;
/** For each mistake, and of those without policies of the cluster. */
const WORLDS_EACH = 1;
const WORLDS_WITHOUT = 4;
const NODES = ['n1', 'n2'];
const nodeOf = (index: number): number => index % NODES.length;

/** More would leave little to judge. */
function withOneFinished(world: World): World {
  const pods = world.pods.map((pod, index) => ({ ...pod, finished: index === PODS - 1 }));
  return { ...world, pods };
}

function triesOf(world: World): Try[] {
  const pairs = [4, 6].flatMap((family) => {
    const own = world.pods.flatMap(({ ips }) =>
      ips.filter((ip) => ip.includes(':') === (family === 6)),
    );
    const all = family === 4 ? [...own, OUTSIDE] : own;
    return all.flatMap((from) => all.filter((to) => to !== from).map((to) => ({ from, to })));
  });
  return pairs.flatMap((pair) =>
    PROTOCOLS.flatMap((protocol) =>
      PORTS.map((port) => {
        const trip = { ...pair, protocol, port };
        return { ...trip, expected: allowed(world, trip) };
      }),
    ),
  );
}

type Change = (world: World) => World;

const clusterPolicies =
  (change: (policies: ClusterPolicyText[]) => ClusterPolicyText[]): Change =>
  (world) => ({ ...world, clusterPolicies: change(world.clusterPolicies) });

const passAsAccept = (rules: readonly ClusterRuleText[] = []): ClusterRuleText[] =>
  rules.map((rule) => (rule.action === 'Pass' ? { ...rule, action: 'Accept' } : rule));

/** What a wrong compiler might make of a world. */
const MISTAKES: readonly Change[] = [
  (world) => ({ ...world, policies: [] }),
  clusterPolicies((all) => all.filter(({ tier }) => tier !== 'Admin')),
  clusterPolicies((all) => all.filter(({ tier }) => tier !== 'Baseline')),
  clusterPolicies((all) => all.map((one) => ({ ...one, priority: -one.priority }))),
  clusterPolicies((all) =>
    all.map((one) => ({
      ...one,
      ingress: passAsAccept(one.ingress),
      egress: passAsAccept(one.egress),
    })),
  ),
];

/** For each mistake some worlds whose connections tell it. */
function tellingWorlds(seed: number, maxOfCluster: number): World[] {
  const each = maxOfCluster === 0 ? WORLDS_WITHOUT : WORLDS_EACH;
  const mistakes = maxOfCluster === 0 ? MISTAKES.slice(0, 1) : MISTAKES;
  const all = fc.sample(worldOf(PLACES, maxOfCluster), { seed, numRuns: CANDIDATES });
  const worlds = all.map(withOneFinished);
  return mistakes.flatMap((mistake) => {
    const telling = worlds.filter((world) => {
      const wrong = mistake(world);
      return triesOf(world).some((trip) => trip.expected !== allowed(wrong, trip));
    });
    assert.ok(telling.length >= each, `seed ${seed} has too few worlds for a mistake`);
    return telling.slice(0, each);
  });
}

test('random policies by real connections', async (t) => {
  if (!requireNetns(t) || !requireTool(t, 'nft')) return;
  const lab = Lab.forTest(t);
  await lab.explain(t, async () => {
    const rig = new PolicyRig(lab, 2);
    for (const [index, [ip = '', ipv6]] of PLACES.ips.entries()) {
      rig.addPod(ip, nodeOf(index), ipv6);
    }
    rig.addOutside(OUTSIDE);
    await rig.ready();
    const before = new Map<number, Ruleset>();
    for (const [seed, maxOfCluster] of [
      [1, 0],
      [2, 4],
      [3, 4],
    ] as const) {
      const worlds = tellingWorlds(seed, maxOfCluster);
      const counts = { allowed: 0, denied: 0 };
      for (const [index, world] of worlds.entries()) {
        const title = `seed ${seed}, world ${index}`;
        const cluster = clusterFor(world, (pod) => NODES[nodeOf(pod)] ?? '');
        for (const [at, node] of NODES.entries()) {
          const options = { allowMulticast: true, clusterPolicies: maxOfCluster > 0 };
          const ruleset = compile(cluster, node, options);
          const old = before.get(at);
          rig.nft(at, old === undefined ? renderAll(ruleset) : renderChange(old, ruleset));
          before.set(at, ruleset);
          assert.deepEqual(differences(ruleset, await rig.table(at)), [], title);
        }
        const tries = triesOf(world);
        assert.deepEqual(await rig.attempt(tries), [], title);
        for (const { expected } of tries) counts[expected ? 'allowed' : 'denied'] += 1;
      }
      t.diagnostic(`seed ${seed}: ${counts.allowed} passed, ${counts.denied} did not, as expected`);
      assert.ok(counts.allowed > 100 && counts.denied > 100);
    }
  });
});
