/** The built threads are one file each: what they weigh in the router depends on it. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, it } from 'node:test';
import { THREADS } from '../../../deploy/package/threads.js';

describe('threads of the router', () => {
  for (const thread of THREADS) {
    it(`${thread} imports no file of ours`, () => {
      const text = readFileSync(new URL(`../../../${thread}`, import.meta.url), 'utf8');
      const imported = [...text.matchAll(/\bfrom\s*"([^"]+)"|\bimport\("([^"]+)"\)/g)];
      const names = imported.map((match) => match[1] ?? match[2] ?? '');
      assert.ok(names.includes('node:worker_threads'), names.join(' '));
      assert.deepEqual(
        names.filter((name) => name.startsWith('.') || name.startsWith('/')),
        [],
      );
    });
  }
});
