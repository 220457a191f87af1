/** From samples to medians, ratios, verdicts, tables and charts. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { drawChart, escapeXml } from '../../../bench/chart.js';
import { effortOf, parseBenchOptions } from '../../../bench/options.js';
import { mediansOf, noValues, type Sample, type Values } from '../../../bench/sample.js';
import { median, percentile, present } from '../../../bench/statistics.js';
import { chosenSystems, SYSTEMS } from '../../../bench/systems.js';
import { alignColumns, formatResults } from '../../../bench/table.js';
import { ratioToField, ratioToVxlan, targetsOf } from '../../../bench/targets.js';

const sample = (system: string, round: number, values: Partial<Values>): Sample => ({
  ...{ system, round, busyBefore: 0, notes: [] },
  values: { ...noValues(), ...values },
});

const NO_MICRO = { heapMbPerMillionFrames: null, residentMbHundredPeers: null };

test('percentiles by nearest rank; an empty sample has none', () => {
  assert.equal(median([3, 1, 2]), 2);
  assert.equal(median([4, 1, 3, 2]), 2);
  assert.equal(median([]), null);
  const hundred = Array.from({ length: 100 }, (_, i) => i + 1);
  assert.equal(percentile(hundred, 99), 99);
  assert.equal(percentile(hundred, 100), 100);
  assert.equal(percentile(hundred, 0), 1);
  assert.deepEqual(present([1, null, Number.NaN, 2]), [1, 2]);
});

test('a percentile is one of the values, and grows with the percentage', () => {
  const values = fc.array(fc.double({ noNaN: true }), { minLength: 1, maxLength: 50 });
  const percent = fc.integer({ min: 0, max: 100 });
  fc.assert(
    fc.property(values, percent, percent, (list, p, q) => {
      const [low, high] = [Math.min(p, q), Math.max(p, q)];
      const [a, b] = [percentile(list, low) as number, percentile(list, high) as number];
      assert.ok(list.includes(a) && a <= b);
    }),
    { numRuns: 200 },
  );
});

test('medians leave out what failed', () => {
  const samples = [
    sample('tinc', 1, { tcp1Mbps: 900 }),
    sample('tinc', 2, { tcp1Mbps: null }),
    sample('tinc', 3, { tcp1Mbps: 1000 }),
    sample('nebula', 1, { tcp1Mbps: 5 }),
  ];
  assert.equal(mediansOf(samples, 'tinc').tcp1Mbps, 900);
  assert.equal(mediansOf(samples, 'tinc').smallFps, null);
  assert.equal(mediansOf(samples, 'openvpn').tcp1Mbps, null);
});

/** The machine is twice as fast in round 2: ratios must not notice. */
const drifting: Sample[] = [1, 2].flatMap((round) => [
  sample('vxlan', round, { tcp1Mbps: 15_000 * round }),
  sample('tinc', round, { tcp1Mbps: 1000 * round, smallFps: 50_000, floodMeanMs: 0.1 }),
  sample('openvpn', round, { tcp1Mbps: 1300 * round, smallFps: 80_000, floodMeanMs: 0.09 }),
  sample('ours-aes', round, {
    ...{ tcp1Mbps: 6500 * round, smallFps: 150_000, floodMeanMs: 0.0899 },
    ...{ loopDelayP99Ms: 12, residentIdleMb: 95 },
  }),
  sample('ours-plain', round, { tcp1Mbps: 9000 * round, loopDelayP99Ms: 25 }),
  sample('ours-nacl', round, { tcp1Mbps: 2600 * round }),
]);

test('ratios are taken within a round', () => {
  assert.equal(ratioToVxlan(drifting, 'ours-plain', 'tcp1Mbps'), 0.6);
  assert.equal(ratioToField(drifting, 'ours-aes', 'tcp1Mbps', 'more'), 5);
  assert.equal(ratioToField(drifting, 'tinc', 'floodMeanMs', 'less'), 0.1 / 0.09);
  // One round lacks the other system: the remaining round counts.
  const cut = drifting.filter(({ system, round }) => system !== 'vxlan' || round === 2);
  assert.equal(ratioToVxlan(cut, 'ours-plain', 'tcp1Mbps'), 0.6);
  assert.equal(ratioToVxlan([], 'ours-plain', 'tcp1Mbps'), null);
});

test('targets: reached, missed, not measured', () => {
  const verdicts = targetsOf(drifting, NO_MICRO).map(({ reached }) => reached);
  // 6500/15000, 6500/1300, 9000/15000, 2600/1000, 150/80, 0.0899/0.09, 25 ms, -, 95 MB, -
  assert.deepEqual(verdicts, [true, true, false, true, false, true, false, null, true, null]);
  const micro = { heapMbPerMillionFrames: 0.2, residentMbHundredPeers: 150 };
  const withMicro = targetsOf(drifting, micro).map(({ reached }) => reached);
  assert.deepEqual([withMicro[7], withMicro[9]], [true, false]);
  assert.ok(targetsOf([], NO_MICRO).every(({ reached }) => reached === null));
});

test('table: columns align, every measured system has its row, no other', () => {
  assert.equal(
    alignColumns([
      ['a', 'bb'],
      ['ccc', 'd'],
    ]),
    'a    bb\nccc   d',
  );
  const text = formatResults(drifting, SYSTEMS, targetsOf(drifting, NO_MICRO));
  assert.match(text, /ours, AES-256-GCM +6500 +– +150000/);
  assert.match(text, /kernel VXLAN, plaintext +15000/);
  assert.doesNotMatch(text, /Nebula/);
  assert.match(text, /plain, TCP 1 stream \/ VXLAN +at least 0.65 +0.60 +NOT REACHED/);
  assert.match(text, /heap per million frames, MB +below 1 +– +not measured/);
});

test('chart: well-formed, escaped, widest bar is the largest value', () => {
  assert.equal(escapeXml('a<b & "c">'), 'a&lt;b &amp; &quot;c&quot;&gt;');
  const svg = drawChart(drifting, SYSTEMS, '2 × <CPU>, today');
  assert.match(svg, /^<svg [^>]+>/);
  assert.ok(svg.endsWith('</svg>\n'));
  assert.match(svg, /2 × &lt;CPU&gt;, today/);
  assert.match(svg, /not measured/);
  const bars = [...svg.matchAll(/<rect x="230" y="\d+" width="([\d.]+)"/g)].map((m) =>
    Number(m[1]),
  );
  assert.ok(bars.length > 0 && Math.max(...bars) === 420 && Math.min(...bars) >= 1);
  assert.doesNotMatch(svg, /NaN|undefined/);
  for (const tag of ['text', 'svg']) {
    assert.equal(svg.split(`<${tag} `).length, svg.split(`</${tag}>`).length);
  }
});

const options = (...argv: string[]) => {
  const request = parseBenchOptions(argv);
  assert.equal(request.kind, 'run');
  if (request.kind !== 'run') throw new Error('unreachable');
  return request.options;
};

test('options: what runs', () => {
  assert.deepEqual(options().rounds, 3);
  assert.equal(options('--quick').rounds, 1);
  assert.equal(options('--quick', '--rounds', '2').rounds, 2);
  assert.equal(options('--quick').micro, false);
  assert.ok(effortOf(options('--quick')).tcpSeconds < effortOf(options()).tcpSeconds);
  const ids = (...argv: string[]) => chosenSystems(options(...argv)).map(({ id }) => id);
  assert.deepEqual(ids('--only', 'tinc, ours-nacl'), ['tinc', 'ours-nacl']);
  assert.deepEqual(ids('--only', 'baseline'), ['veth', 'vxlan']);
  assert.deepEqual(ids('--only', 'ours-aes-no-uring'), ['ours-aes-no-uring']);
  assert.deepEqual(ids('--micro'), []);
  assert.ok(!ids().includes('ours-aes-no-uring') && ids('--engines').includes('ours-aes-no-uring'));
  assert.equal(new Set(SYSTEMS.map(({ id }) => id)).size, SYSTEMS.length);
});

test('options: mistakes show the usage', () => {
  for (const argv of [['--rounds', '0'], ['--minutes', 'x'], ['--unknown'], ['word']]) {
    const request = parseBenchOptions(argv);
    assert.ok(request.kind === 'usage' && request.error !== null, argv.join(' '));
  }
  assert.deepEqual(parseBenchOptions(['--help']), { kind: 'usage', error: null });
  assert.deepEqual(parseBenchOptions(['--list']), { kind: 'list' });
});
