/**
 * The list of what users of the original have, and how far each of it is here (test/features.json).
 * Beside the reference it must be complete; alone it must at least be sound.
 */
import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { projectRoot } from '../support/vectors.js';

interface Row {
  readonly id: string;
  readonly feature: string;
  readonly state: string;
  /** The test that shows it, or what it waits for. */
  readonly where: string;
  readonly note?: string;
}

const STATES = ['done', 'partly', 'later', 'dropped'];

function readJson<T>(path: string): T {
  return JSON.parse(readFileSync(join(projectRoot, path), 'utf8')) as T;
}

const rows = readJson<Row[]>('test/features.json');

test('every feature of the reference has exactly one row, with its text', (t) => {
  assert.equal(new Set(rows.map(({ id }) => id)).size, rows.length);
  const reference = '../shared/reference/features.json';
  if (!existsSync(join(projectRoot, reference))) {
    t.diagnostic('the reference is not beside the project: completeness is not checked');
    return;
  }
  const { features } = readJson<{ features: { id: string; feature: string }[] }>(reference);
  assert.deepEqual(
    rows.map(({ id, feature }) => [id, feature]),
    features.map(({ id, feature }) => [id, feature]),
  );
});

test('what is done names a test that exists, everything else a reason', () => {
  for (const { id, state, where, note = '' } of rows) {
    assert.ok(STATES.includes(state), `${id}: ${state}`);
    if (state === 'done') assert.match(where, /^test\/.+\.test\.ts$/, id);
    else assert.ok(note.length > 10, `${id} is ${state} without a reason`);
    if (where.startsWith('test/'))
      assert.ok(existsSync(join(projectRoot, where)), `${id} ${where}`);
    else assert.match(where, /^(issue \d+|Docker stage)$/, id);
  }
});

test('the table of the README counts these rows', () => {
  const readme = readFileSync(join(projectRoot, 'test/README.md'), 'utf8');
  const counts = STATES.map((state) => rows.filter((row) => row.state === state).length);
  assert.ok(readme.includes(`| **all** | ${counts.join(' | ')} |`), counts.join(', '));
});
