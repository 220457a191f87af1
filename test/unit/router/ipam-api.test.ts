/** Routes of the allocator: the original's answers, and what becomes of garbage. */
import assert from 'node:assert/strict';
import { request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import type { InjectOptions } from 'fastify';
import { RequestError } from '../../../core/errors.js';
import { silentLogger } from '../../../core/log.js';
import { ApiCounters } from '../../../router/api/counters.js';
import { controlRoutes } from '../../../router/api/routes.js';
import { ApiServer, buildApp } from '../../../router/api/server.js';
import { FakeControl } from '../../support/fake-control.js';
import { FakeIpam } from '../../support/fake-ipam.js';
import { waitFor } from '../../support/wait.js';

type Method = NonNullable<InjectOptions['method']>;

function api() {
  const control = new FakeControl();
  const ipam = new FakeIpam();
  control.ipam = ipam;
  const counters = new ApiCounters();
  const app = buildApp(controlRoutes(control), true, { counters, log: silentLogger });
  const ask = async (method: Method, url: string, more: InjectOptions = {}) => {
    const answer = await app.inject({ method, url, headers: { host: '127.0.0.1' }, ...more });
    return [answer.statusCode, answer.body] as const;
  };
  return { control, ipam, counters, ask };
}

test('allocate, look up, list and free', async () => {
  const { ipam, ask } = api();
  assert.deepEqual(await ask('GET', '/ip'), [200, '{"owned":null}\n']);
  assert.deepEqual(await ask('GET', '/ip/c1'), [200, '']);
  assert.deepEqual(await ask('POST', '/ip/c1?check-alive=true'), [200, '10.32.0.1/12']);
  assert.deepEqual(await ask('POST', '/ip/c1/10.40.0.0/24'), [200, '10.40.0.2/24']);
  assert.deepEqual(await ask('PUT', '/ip/c2/10.33.0.9/16?noErrorOnUnknown=true'), [204, '']);
  const form = {
    payload: 'check-alive=true',
    headers: { host: '127.0.0.1', 'content-type': 'application/x-www-form-urlencoded' },
  };
  await ask('POST', '/ip/c3', form);
  assert.deepEqual(ipam.calls, [
    'allocate c1 check-alive=true',
    'allocate c1 check-alive=false',
    'claim c2 10.33.0.9/16 optimistic=true',
    'allocate c3 check-alive=true',
  ]);
  assert.deepEqual(await ask('GET', '/ip/c1'), [200, '10.32.0.1/12 10.40.0.2/24']);
  assert.deepEqual(await ask('GET', '/ip/c1/10.40.0.0/24'), [200, '10.40.0.2/24']);
  const [, list] = await ask('GET', '/ip');
  assert.deepEqual(JSON.parse(list).owned[1], { containerid: 'c2', addrs: ['10.33.0.9/16'] });
  assert.deepEqual(await ask('DELETE', '/ip/c1/10.40.0.2'), [204, '']);
  assert.deepEqual(await ask('DELETE', '/ip/c1'), [204, '']);
  assert.deepEqual(await ask('GET', '/ipinfo/defaultsubnet'), [200, '10.32.0.0/12']);
  assert.deepEqual(await ask('GET', '/ipinfo/tracker'), [200, '\n']);
  assert.deepEqual(await ask('GET', '/ring'), [200, '']);
});

test('texts that other programs search for', async () => {
  const { ipam, ask } = api();
  assert.deepEqual(await ask('DELETE', '/ip/c9'), [400, 'Delete: no addresses for c9\n']);
  assert.deepEqual(await ask('DELETE', '/ip/c9/10.32.0.7'), [
    400,
    'Unable to free: Free: address 10.32.0.7 not found for c9\n',
  ]);
  ipam.failure = new RequestError('ipam-address-in-use', 'address 10.32.0.1/12 already in use');
  assert.deepEqual(await ask('PUT', '/ip/c2/10.32.0.1/12'), [
    400,
    'Unable to claim: address 10.32.0.1/12 already in use\n',
  ]);
  for (const code of ['ipam-cancelled', 'ipam-leaving']) {
    ipam.failure = new RequestError(code, 'it will not be');
    assert.deepEqual(await ask('POST', '/ip/c2'), [200, 'cancelled']);
    ipam.failure = new RequestError(code, 'it will not be');
    assert.deepEqual(await ask('PUT', '/ip/c2/10.32.0.1/12'), [200, 'cancelled']);
  }
});

test('leaving and taking over', async () => {
  const { control, ipam, ask } = api();
  assert.deepEqual(await ask('DELETE', '/peer/host9'), [200, '262144 IPs taken over from host9\n']);
  assert.deepEqual(await ask('DELETE', '/peer/nobody?force=true'), [
    200,
    '0 IPs taken over from nobody\n',
  ]);
  assert.deepEqual(await ask('DELETE', '/peer'), [204, '']);
  assert.deepEqual(ipam.calls, [
    'takeOver host9 force=false',
    'takeOver nobody force=true',
    'leave',
  ]);
  ipam.failure = new RequestError('ipam-take-over-refused', 'host9 is alive', 409);
  assert.deepEqual(await ask('DELETE', '/peer/host9'), [409, 'host9 is alive\n']);
  control.ipam = null;
  const off = buildApp(controlRoutes(control), false, {
    counters: new ApiCounters(),
    log: silentLogger,
  });
  const answer = await off.inject({ method: 'DELETE', url: '/peer/host9' });
  assert.deepEqual([answer.statusCode, answer.body], [200, '0 IPs taken over from host9\n']);
  for (const url of ['/ring', '/ip', '/ip/c1', '/ipam/check', '/ipinfo/defaultsubnet']) {
    assert.equal((await off.inject({ method: 'GET', url })).statusCode, 404, url);
  }
});

test('garbage is a clear 4xx and changes nothing', async () => {
  const { ipam, counters, ask } = api();
  const cases: readonly (readonly [Method, string, number, RegExp])[] = [
    ['POST', '/ip/c1/10.32.0.1/24', 400, /^invalid subnet - bits after network prefix are not/],
    ['POST', '/ip/c1/10.32.0.0/31', 400, /^invalid subnet - smaller than minimum size 4: /],
    ['POST', '/ip/c1/10.32.0.0/99', 400, /^invalid CIDR address: 10\.32\.0\.0\/99\n$/],
    ['POST', '/ip/c1/garbage/12', 400, /^invalid CIDR address: garbage\/12\n$/],
    ['GET', '/ip/c1/10.32.0.0/x', 400, /^invalid CIDR address: /],
    ['PUT', '/ip/c1/10.32.0.300/12', 400, /^invalid CIDR address: /],
    ['PUT', '/ip/c1/2001:db8::1/64', 400, /^invalid Non-IPv4 address not supported: 2001:db8::1/],
    ['POST', '/ip/c1/::/64', 400, /^invalid Non-IPv4 address not supported: /],
    ['DELETE', '/ip/c1/10.32.0', 400, /^invalid IP Address: 10\.32\.0\n$/],
    ['DELETE', '/ip/c1/::1', 400, /^invalid IP Address: ::1\n$/],
    ['POST', `/ip/${'x'.repeat(257)}`, 400, /^identifier: expected 1 to 256 printable/],
    ['POST', '/ip/a%00b', 400, /^identifier: /],
    ['POST', '/ip', 405, /^$/],
    ['PUT', '/ip/c1', 405, /^$/],
    ['DELETE', '/ip', 405, /^$/],
    ['POST', '/ring', 405, /^$/],
    ['POST', '/ipam/check', 405, /^$/],
    ['GET', '/ip/c1/10.0.0.1/8/more', 404, /^404 page not found\n$/],
    ['GET', '/ipinfo/nosuch', 404, /^404 page not found\n$/],
  ];
  for (const [method, url, status, body] of cases) {
    const [code, text] = await ask(method, url);
    assert.equal(code, status, `${method} ${url.slice(0, 60)}: ${text}`);
    assert.match(text, body, url);
  }
  assert.deepEqual([ipam.calls, ipam.owned.size], [[], 0]);
  const rejected = Object.values(counters.rejections()).reduce((sum, count) => sum + count, 0);
  assert.equal(rejected, cases.length);
});

test('a client that goes away ends its request, and waiting ones leave room', async (t) => {
  const control = new FakeControl();
  const ipam = new FakeIpam();
  control.ipam = ipam;
  ipam.waits = true;
  const socketPath = join(tmpdir(), `weave-ipam-api-${process.pid}.sock`);
  const server = new ApiServer(
    { http: null, status: null, metrics: null, socketPath },
    { control, counters: new ApiCounters(), log: silentLogger },
  );
  await server.start();
  t.after(() => server.close());
  const post = (id: string) => {
    const call = request({ socketPath, method: 'POST', path: `/ip/${id}`, agent: false });
    call.on('error', () => {});
    call.end();
    return call;
  };
  const status = (id: string): Promise<number> =>
    new Promise((resolve) => post(id).on('response', (answer) => resolve(answer.statusCode ?? 0)));
  const waiting = Array.from({ length: 192 }, (_, index) => post(`c${index}`));
  await waitFor('192 requests', 5_000, () => ipam.calls.length === 192);
  assert.equal(await status('one-too-many'), 503);
  for (const call of waiting) call.destroy();
  ipam.waits = false;
  await waitFor('room', 5_000, async () => (await status('next')) === 200);
});
