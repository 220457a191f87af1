/** Texts of others: cut without keeping the rest alive, and shown without effect on terminals. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { clip, printable } from '../../../core/text.js';

test('a cut text is the beginning of the original', () => {
  assert.equal(clip('abc', 3), 'abc');
  assert.equal(clip('abcdef', 3), 'abc');
  assert.equal(clip('äöü€😀', 4), 'äöü€');
  assert.equal(clip('', 0), '');
});

test('a cut text does not keep the original in memory', () => {
  const kept: string[] = [];
  const before = process.memoryUsage().heapUsed;
  for (let i = 0; i < 64; i++) {
    kept.push(clip(Buffer.alloc(4 * 1024 * 1024, 97 + (i % 26)).toString('latin1'), 64));
  }
  assert.equal(kept.length, 64);
  const grown = process.memoryUsage().heapUsed - before;
  assert.ok(grown < 128 * 1024 * 1024, `${grown} bytes more in use after cutting 256 MiB`);
});

test('controls, line separators and direction marks are spelt out', () => {
  assert.equal(printable('host-1 äß€😀'), 'host-1 äß€😀');
  assert.equal(printable('\x1b[2Ja\nb'), '\\u001b[2Ja\\u000ab');
  assert.equal(printable('\x7f\x9b\u2028\u202e'), '\\u007f\\u009b\\u2028\\u202e');
});
