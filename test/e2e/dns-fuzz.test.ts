/** The short form of `npm run soak -- dns`; see bench/soak/dns.ts. */
import assert from 'node:assert/strict';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { requireNetns, requireTool, requireTun } from '../support/requirements.js';
import { run } from '../support/shell.js';

const SOAK = join(dirname(fileURLToPath(import.meta.url)), '../../bench/soak/dns.js');
const PACKETS = '30000';

test('a name server stands bad packets, and answers what is asked between them', async (t) => {
  if (!requireTun(t) || !requireNetns(t) || !requireTool(t, 'nft')) return;
  const argv = [process.execPath, SOAK, '--packets', PACKETS];
  const result = await run(argv, { timeoutMs: 120_000 });
  assert.equal(result.code, 0, `${result.stdout}${result.stderr}`);
  assert.match(result.stdout, /^VERDICT: healthy$/m);
});
