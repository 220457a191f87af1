/** External programs: results, missing programs, error texts with the failing command. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ipTool } from '../../../../../router/host/io/ip-tool.js';
import { runProgram } from '../../../../../router/host/io/run-program.js';
import type { NetnsHandle } from '../../../../../router/host/ports.js';
import { requireTool } from '../../../../support/requirements.js';

const here: NetnsHandle = { path: null, inode: 0, close: () => {} };
const of = (program: string, args: string[], input = '') =>
  runProgram({ program, args, netns: here, input, debianPackage: 'some-package' });

test('output and exit code come back', async () => {
  const result = await of('sh', ['-c', 'cat; echo problem >&2; exit 3'], 'input');
  assert.deepEqual(result, { exitCode: 3, stdout: 'input', stderr: 'problem' });
});

test('a program that ignores its input, or is killed', async () => {
  assert.equal((await of('true', [], 'x'.repeat(1_000_000))).exitCode, 0);
  await assert.rejects(of('sh', ['-c', 'kill -9 $$']), /ended by SIGKILL/);
});

test('a missing program is told with its package', async () => {
  await assert.rejects(of('no-such-program', []), (error: { code: string; message: string }) => {
    assert.equal(error.code, 'tool-missing');
    assert.match(error.message, /"no-such-program" was not found.*some-package/);
    return true;
  });
});

test('a failing ip command is named with the reason', async (t) => {
  if (!requireTool(t, 'ip')) return;
  const commands = ['link show dev lo', 'link show dev no-such-dev'];
  await assert.rejects(ipTool.batch(here, commands), {
    code: 'ip-failed',
    message: /^ip link show dev no-such-dev: .*does not exist/,
  });
  await assert.rejects(ipTool.batch(here, ['link show\nlink show']), /line break/);
  assert.ok((await ipTool.query(here, ['link', 'show', 'dev', 'lo'])).length >= 1);
});
