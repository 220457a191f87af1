/** Starting, stopping and resetting, with a host that only pretends. */
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { parsePlace, placesToTry } from '../../../cli/io/http-client.js';
import { launchDaemon } from '../../../cli/io/launch.js';
import { fixture } from './fixture.js';

/** The fake router's report, with the process id that launch looks for. */
function withPid<T extends { base: object }>(control: T, pid: number): void {
  control.base = {
    ...control.base,
    WeaveNet: {
      ...{ Warnings: [], Connections: [], Counters: {}, ApiRejections: {}, DataPlane: null },
      Process: { Pid: pid },
    },
  };
}

test('launch starts the router and waits for its answer', async (t) => {
  const { control, host, weave, startRouter } = await fixture(t, false);
  withPid(control, 42);
  let sleeps = 0;
  host.onSleep = async () => {
    sleeps += 1;
    if (sleeps === 3) await startRouter();
  };
  const outcome = await weave(
    ['launch', '--password', 'pw', '--no-restart', '--port=7000', '--log-file=/l', 'peer1'],
    { WEAVE_PASSWORD: 'other' },
  );
  assert.equal(outcome.stdout, '82:00:00:00:00:01(host1) pid 42\n');
  assert.equal(outcome.code, 0);
  assert.equal(sleeps, 3);
  assert.deepEqual(host.launches, [
    { options: ['--port=7000', 'peer1'], password: 'pw', logFile: '/l' },
  ]);
});

test('launch passes the socket on and takes the password from the environment', async (t) => {
  const { control, host, weave, startRouter } = await fixture(t, false);
  withPid(control, 42);
  host.onSleep = startRouter;
  await weave(['launch', '--socket=/s', 'p', '--output=json'], { WEAVE_PASSWORD: 'env' });
  assert.deepEqual(host.launches, [
    { options: ['--socket=/s', 'p'], password: 'env', logFile: '/var/log/weave.log' },
  ]);
});

test('launch refuses a second router', async (t) => {
  const { host, weave } = await fixture(t);
  const outcome = await weave(['launch']);
  const stderr = 'Weave Net is already running\n';
  assert.deepEqual(outcome, { code: 3, stdout: '', stderr });
  assert.deepEqual(host.launches, []);
});

test('launch stops at wrong options, without root, and when the router ends', async (t) => {
  const { host, weave } = await fixture(t, false);
  host.check = { exitCode: 2, stderr: '--port: expected a number\n' };
  assert.deepEqual(await weave(['launch', '--port=x']), {
    code: 2,
    stdout: '',
    stderr: '--port: expected a number\n',
  });
  host.check = { exitCode: 0, stderr: '' };
  host.isRoot = false;
  assert.match((await weave(['launch'])).stderr, /must be run as 'root'/);
  assert.deepEqual(host.launches, []);
  host.isRoot = true;
  host.launched = { pid: 42, exited: () => ({ log: 'FATA: no tun\n' }) };
  const ended = await weave(['launch']);
  assert.equal(ended.code, 1);
  assert.match(
    ended.stderr,
    /ended while starting; its log is \/var\/log\/weave.log\nFATA: no tun\n$/,
  );
  assert.equal((await weave(['launch', '--password'])).code, 2);
});

test('launch gives up when nobody answers, or only another router', async (t) => {
  const { control, host, weave, startRouter } = await fixture(t, false);
  assert.equal((await weave(['launch'])).code, 28);
  assert.ok(host.nowMs() >= 30_000);
  withPid(control, 7);
  let started = false;
  host.onSleep = async () => {
    if (!started) await startRouter();
    started = true;
  };
  assert.equal((await weave(['launch'])).code, 28);
});

test('stop asks the router and waits until it is gone', async (t) => {
  const { control, host, weave } = await fixture(t);
  withPid(control, 42);
  host.alive = true;
  let sleeps = 0;
  host.onSleep = () => {
    sleeps += 1;
    if (sleeps === 4) host.alive = false;
  };
  assert.deepEqual(await weave(['stop']), { code: 0, stdout: '', stderr: '' });
  assert.deepEqual([control.calls, sleeps, host.killed], [['stop'], 4, []]);
});

test('a router that does not stop is killed', async (t) => {
  const { control, host, weave } = await fixture(t);
  withPid(control, 42);
  host.alive = true;
  const { code, stderr } = await weave(['stop']);
  assert.equal(code, 0);
  assert.match(stderr, /router 42 did not stop in time and was killed/);
  assert.deepEqual(host.killed, [42]);
});

test('whoever answers may name any process: only a router is killed', async (t) => {
  const { control, host, weave } = await fixture(t);
  withPid(control, 1);
  host.alive = true;
  host.router = false;
  const { code, stderr } = await weave(['stop']);
  assert.equal(code, 0);
  assert.match(stderr, /process 1 is no router/);
  assert.deepEqual(host.killed, []);
});

test('stop without a router is no failure', async (t) => {
  const { weave } = await fixture(t, false);
  const stderr = 'Weave is not running (ignore on Kubernetes).\n';
  assert.deepEqual(await weave(['stop']), { code: 0, stdout: '', stderr });
});

test('reset cleans up through the router, or by force without it', async (t) => {
  const { control, host, weave, stopRouter } = await fixture(t);
  withPid(control, 42);
  assert.deepEqual(await weave(['reset']), { code: 0, stdout: '', stderr: '' });
  assert.deepEqual(control.calls, ['reset', 'stop']);
  assert.equal(host.cleanUps, 0);
  await stopRouter();
  const refused = await weave(['reset']);
  assert.equal(refused.code, 1);
  assert.match(refused.stderr, /^ERROR: weave is not running; unable to remove from cluster\.\n/);
  host.problems = ['something stayed'];
  const forced = await weave(['reset', '--force']);
  assert.deepEqual(forced, { code: 0, stdout: '', stderr: 'Warning: something stayed\n' });
  assert.equal(host.cleanUps, 1);
});

test('where the router is looked for', () => {
  const unix = (path: string) => ({ kind: 'unix', path });
  const tcp = (host: string, port: number) => ({ kind: 'tcp', host, port });
  const standard = [unix('/run/weave/weave.sock'), tcp('127.0.0.1', 6784)];
  assert.deepEqual(placesToTry(null, {}), standard);
  assert.deepEqual(placesToTry(null, { WEAVE_SOCKET: '', WEAVE_HTTP_ADDR: '' }), standard);
  assert.deepEqual(placesToTry('/s', { WEAVE_HTTP_ADDR: ':1' }), [unix('/s')]);
  assert.deepEqual(placesToTry(null, { WEAVE_SOCKET: '/s' }), [unix('/s')]);
  assert.deepEqual(placesToTry(null, { WEAVE_HTTP_ADDR: ':1' }), [tcp('127.0.0.1', 1)]);
  assert.deepEqual(placesToTry(null, { WEAVE_SOCKET: '/s', WEAVE_HTTP_ADDR: 'h:2' }), [
    unix('/s'),
    tcp('h', 2),
  ]);
  assert.deepEqual(parsePlace('10.1.1.1'), tcp('10.1.1.1', 6784));
  assert.deepEqual(parsePlace('[::1]:5'), tcp('::1', 5));
  assert.deepEqual(parsePlace('0.0.0.0:5'), tcp('127.0.0.1', 5));
});

test('a real child gets its options, its log and the password, none of it in the open', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'weave-launch-'));
  t.after(() => rmSync(folder, { recursive: true }));
  const logFile = join(folder, 'weave.log');
  writeFileSync(logFile, 'old\n', { mode: 0o644 });
  const program = join(folder, 'daemon.mjs');
  writeFileSync(
    program,
    'console.log(process.argv.slice(2).join(" "), process.env.WEAVE_PASSWORD.length);',
  );
  const launched = launchDaemon({ options: ['--port=1', 'p'], password: 'four', logFile }, program);
  let exited = launched.exited();
  while (exited === null) {
    await new Promise((resolve) => setImmediate(resolve));
    exited = launched.exited();
  }
  assert.equal(exited.log, '--port=1 p 4\n');
  assert.equal(readFileSync(logFile, 'utf8'), 'old\n--port=1 p 4\n');
  assert.equal(statSync(logFile).mode & 0o777, 0o600);
});
