#!/usr/bin/env node
/**
 * Network policies under churn, with a verdict: 200 pods, 100 policies, 50 changes a second; see
 * ../npc/churn.ts for what is checked. As root.
 *
 *   node dist/bench/soak/npc.js [--minutes 5] [--seed 1] [--rate 50]
 */
import { parseArgs } from 'node:util';
import { Lab } from '../../test/support/lab.js';
import { Churn } from '../npc/churn.js';
import { judgeChurn } from './npc-verdict.js';

const { values } = parseArgs({
  options: {
    minutes: { type: 'string', default: '5' },
    seed: { type: 'string', default: '1' },
    rate: { type: 'string', default: '50' },
  },
});
const [seconds, seed, rate] = [
  Number(values.minutes) * 60,
  Number(values.seed),
  Number(values.rate),
];
if (!(seconds >= 1) || !Number.isInteger(seed) || !(rate > 0)) {
  console.error('usage: soak npc [--minutes N] [--seed N] [--rate CHANGES_PER_SECOND]');
  process.exit(2);
}

const lab = new Lab();
try {
  const churn = await Churn.start(lab, {
    homes: 8,
    podsPerHome: 25,
    policies: 100,
    changesPerSecond: rate,
    stretchSeconds: 10,
    seconds,
    holds: 60,
    graceMs: 1000,
    seed,
  });
  const startedMs = performance.now();
  const result = await churn.run((line) => {
    const at = ((performance.now() - startedMs) / 1000).toFixed(0).padStart(5);
    console.log(`${at} s  ${line}`);
  });
  for (const line of [...result.late, ...result.differences].slice(0, 20)) console.log(line);
  const findings = judgeChurn(result);
  for (const { what, ok, detail } of findings) {
    console.log(`${ok ? 'ok    ' : 'FAILED'} ${what}: ${detail}`);
  }
  const healthy = findings.every(({ ok }) => ok);
  console.log(healthy ? 'VERDICT: healthy' : 'VERDICT: ill');
  process.exitCode = healthy ? 0 : 1;
} finally {
  lab.close();
}
