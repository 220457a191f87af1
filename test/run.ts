#!/usr/bin/env node
/**
 * Runs the test files and closes with one line that counts them. First the files that need no
 * network, side by side; then those that build namespaces, one at a time.
 *
 *   node dist/test/run.js [unit|sim|e2e|tidy ...] [--only TEXT]
 */
import { readdirSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { dirname, join, relative } from 'node:path';
import { run } from 'node:test';
import { spec } from 'node:test/reporters';
import { fileURLToPath } from 'node:url';

const here = dirname(fileURLToPath(import.meta.url));
/** A file that hangs fails after this time instead of stopping the run. */
const FILE_TIMEOUT_MS = 15 * 60_000;

interface Counts {
  passed: number;
  failed: number;
  skipped: { name: string; reason: string }[];
}

function testFiles(group: string): string[] {
  if (group === 'tidy') return [join(here, 'tidy.test.js')];
  return readdirSync(join(here, group), { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith('.test.js'))
    .map((file) => join(here, group, file))
    .sort();
}

/** Each test counts once; a file's own entry and suites do not. */
function runFiles(files: string[], concurrency: number, counts: Counts): Promise<void> {
  return new Promise((resolve, reject) => {
    if (files.length === 0) {
      resolve();
      return;
    }
    const stream = run({ files, concurrency, timeout: FILE_TIMEOUT_MS });
    stream.on('test:fail', (data) => {
      if (data.details.type !== 'suite') counts.failed += 1;
    });
    stream.on('test:pass', (data) => {
      if (data.details.type === 'suite') return;
      if (data.skip === undefined) {
        counts.passed += 1;
        return;
      }
      const reason = typeof data.skip === 'string' ? data.skip : 'no reason given';
      counts.skipped.push({ name: data.name, reason });
    });
    stream.on('end', resolve);
    stream.on('error', reject);
    stream.compose(new spec()).pipe(process.stdout, { end: false });
  });
}

const args = process.argv.slice(2);
const onlyAt = args.indexOf('--only');
const only = onlyAt < 0 ? '' : (args.splice(onlyAt, 2)[1] ?? '');
const groups = args.length > 0 ? args : ['tidy', 'unit', 'sim', 'e2e'];
const chosen = (group: string): string[] =>
  testFiles(group).filter((file) => relative(here, file).includes(only));

const startedMs = performance.now();
const counts: Counts = { passed: 0, failed: 0, skipped: [] };
const quick = groups.filter((group) => group !== 'e2e').flatMap(chosen);
await runFiles(quick, availableParallelism(), counts);
if (groups.includes('e2e')) await runFiles(chosen('e2e'), 1, counts);

for (const skip of counts.skipped) console.log(`SKIPPED ${skip.name}: ${skip.reason}`);
const seconds = ((performance.now() - startedMs) / 1000).toFixed(0);
const total = counts.passed + counts.failed + counts.skipped.length;
console.log(
  `${total} tests: ${counts.passed} passed, ${counts.failed} failed, ` +
    `${counts.skipped.length} skipped, in ${seconds} s`,
);
process.exitCode = counts.failed > 0 || counts.passed === 0 ? 1 : 0;
