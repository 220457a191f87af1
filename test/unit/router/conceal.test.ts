/** A real process is given secrets in all ways, and looked at from outside. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';

const CHILD = fileURLToPath(new URL('../../support/conceal-child.js', import.meta.url));

async function look(args: readonly string[], env: Record<string, string>) {
  const child = spawn(process.execPath, [CHILD, ...args], {
    env: { PATH: process.env['PATH'], ...env },
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  try {
    const [chunk] = (await once(child.stdout, 'data')) as [Buffer];
    const cmdline = readFileSync(`/proc/${child.pid}/cmdline`, 'utf8');
    return { said: chunk.toString().trimEnd(), cmdline };
  } finally {
    child.stdin.end();
    await once(child, 'exit');
  }
}

test('a password in the arguments is gone from the process list', async () => {
  const { said, cmdline } = await look(['--port=1', '--password', 'top-secret', 'peer'], {});
  assert.equal(said, 'true nothing --port=1 --password <redacted> peer');
  assert.ok(cmdline.startsWith('weaver'), cmdline);
  assert.ok(!cmdline.includes('secret'));
  assert.match(cmdline, /^weaver\0*$/);
});

test('a password in the environment is not inherited', async () => {
  const { said } = await look([], { WEAVE_PASSWORD: 'top-secret' });
  assert.match(said, /^true nothing/);
});
