#!/usr/bin/env node
/**
 * Runs the test files and closes with one line that counts them. First the files that need no
 * network, side by side; then those that build namespaces, one at a time. A file that failed is run
 * a second time by itself at the end: real routers on a shared machine sometimes wait longer than
 * a test does. What passes only then is named UNSTEADY and counted, so that it is not forgotten.
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
  readonly failed: string[];
  readonly skipped: { name: string; reason: string }[];
}

/** More files than this that fail are no bad minute of the machine: they are not run again. */
const RETRY_LIMIT = 8;

function testFiles(group: string): string[] {
  if (group === 'tidy') return [join(here, 'tidy.test.js')];
  return readdirSync(join(here, group), { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith('.test.js'))
    .map((file) => join(here, group, file))
    .sort();
}

/** Each test counts once, with its file; a file's own entry and suites do not. */
type Results = Map<string, Counts>;

function countsOf(results: Results, file: string): Counts {
  let counts = results.get(file);
  if (counts === undefined) {
    counts = { passed: 0, failed: [], skipped: [] };
    results.set(file, counts);
  }
  return counts;
}

/**
 * @param owner of all results; null: the file that an event names, which for tests that a helper
 * makes is the helper's.
 */
function runFiles(
  files: string[],
  concurrency: number,
  results: Results,
  owner: string | null = null,
): Promise<void> {
  return new Promise((resolve, reject) => {
    if (files.length === 0) {
      resolve();
      return;
    }
    const stream = run({ files, concurrency, timeout: FILE_TIMEOUT_MS });
    stream.on('test:fail', (data) => {
      if (data.details.type === 'suite') return;
      countsOf(results, owner ?? data.file ?? data.name).failed.push(data.name);
    });
    stream.on('test:pass', (data) => {
      if (data.details.type === 'suite') return;
      const counts = countsOf(results, owner ?? data.file ?? data.name);
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

/** One after the other, each with results of its own. */
async function runSingly(files: readonly string[], results: Results): Promise<void> {
  for (const file of files) await runFiles([file], 1, results, file);
}

/** Runs what failed once more. @returns names of the tests that passed only then. */
async function retryFailed(results: Results): Promise<string[]> {
  const known = new Set(allFiles);
  const files = [...results]
    .filter(([file, counts]) => counts.failed.length > 0 && known.has(file))
    .map(([file]) => file);
  if (files.length === 0 || files.length > RETRY_LIMIT) return [];
  console.log(`Again, one at a time: ${files.map((file) => relative(here, file)).join(', ')}`);
  const second: Results = new Map();
  await runSingly(files, second);
  return files.flatMap((file) => {
    const first = countsOf(results, file);
    const again = countsOf(second, file);
    // A file that came to nothing at all, such as one that crashed, keeps its first result.
    if (again.passed + again.failed.length === 0) return [];
    results.set(file, again);
    return first.failed.filter((name) => !again.failed.includes(name));
  });
}

const args = process.argv.slice(2);
const onlyAt = args.indexOf('--only');
const only = onlyAt < 0 ? '' : (args.splice(onlyAt, 2)[1] ?? '');
const groups = args.length > 0 ? args : ['tidy', 'unit', 'sim', 'e2e'];
const chosen = (group: string): string[] =>
  testFiles(group).filter((file) => relative(here, file).includes(only));

const startedMs = performance.now();
const results: Results = new Map();
const quick = groups.filter((group) => group !== 'e2e').flatMap(chosen);
const slow = groups.includes('e2e') ? chosen('e2e') : [];
const allFiles = [...quick, ...slow];
await runFiles(quick, availableParallelism(), results);
await runSingly(slow, results);
const unsteady = await retryFailed(results);

const all = [...results.values()];
const passed = all.reduce((sum, counts) => sum + counts.passed, 0);
const failed = all.flatMap((counts) => counts.failed);
const skipped = all.flatMap((counts) => counts.skipped);
for (const skip of skipped) console.log(`SKIPPED ${skip.name}: ${skip.reason}`);
for (const name of unsteady) console.log(`UNSTEADY ${name}: passed at the second try`);
for (const name of failed) console.log(`FAILED ${name}`);
const seconds = ((performance.now() - startedMs) / 1000).toFixed(0);
console.log(
  `${passed + failed.length + skipped.length} tests: ${passed} passed, ${failed.length} failed, ` +
    `${skipped.length} skipped, ${unsteady.length} unsteady, in ${seconds} s`,
);
process.exitCode = failed.length > 0 || passed === 0 ? 1 : 0;
