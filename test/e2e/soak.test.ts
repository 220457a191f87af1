/** The short form of `npm run soak`; see bench/soak.ts. */
import assert from 'node:assert/strict';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { requireNetns, requireTool, requireTun } from '../support/requirements.js';
import { run } from '../support/shell.js';

const SOAK = join(dirname(fileURLToPath(import.meta.url)), '../../bench/soak.js');

test('a minute of mixed load leaves memory, descriptors and rings as they should be', async (t) => {
  if (!requireTun(t) || !requireNetns(t)) return;
  if (!['nft', 'iperf3'].every((tool) => requireTool(t, tool))) return;
  const argv = [process.execPath, SOAK, '--minutes', '1'];
  const result = await run(argv, { timeoutMs: 150_000 });
  assert.equal(result.code, 0, `${result.stdout}${result.stderr}`);
  assert.match(result.stdout, /^VERDICT: sound$/m);
});
