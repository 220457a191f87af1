/** The HTTP API: the recorded conversation with the original, our routes, refusals, listeners. */
import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import type { InjectOptions } from 'fastify';
import { httpClient } from '../../../cli/io/http-client.js';
import { RequestError } from '../../../core/errors.js';
import { silentLogger } from '../../../core/log.js';
import { ApiCounters } from '../../../router/api/counters.js';
import { controlRoutes, metricsRoutes, statusRoutes } from '../../../router/api/routes.js';
import { ApiServer, buildApp } from '../../../router/api/server.js';
import { FakeControl } from '../../support/fake-control.js';
import { loadVectors } from '../../support/vectors.js';

interface Call {
  readonly method: 'GET' | 'POST' | 'PUT' | 'DELETE';
  readonly path: string;
  readonly form?: Record<string, string>;
  readonly headers?: Record<string, string>;
  readonly status: number;
  readonly contentType: string | null;
  readonly body: string;
}

function control() {
  const fake = new FakeControl();
  const counters = new ApiCounters();
  const app = buildApp(controlRoutes(fake), true, { counters, log: silentLogger });
  const send = async (options: InjectOptions) => {
    const answer = await app.inject({ headers: { host: '127.0.0.1' }, ...options });
    const type = answer.headers['content-type'] ?? null;
    return { status: answer.statusCode, type, body: answer.body };
  };
  const json = (path: string, payload: unknown) =>
    send({
      method: 'POST',
      url: path,
      headers: { 'content-type': 'application/json' },
      payload: JSON.stringify(payload),
    });
  return { fake, counters, app, send, json };
}

test('the recorded conversation, as far as its parts are here', async () => {
  const { send } = control();
  const { calls } = loadVectors<{ calls: Call[] }>('http-api-calls.json');
  // Allocator and names are off; the last page shows both.
  const here = calls.filter(
    ({ path, method }) =>
      !/^\/(ip|ipinfo|ring|name|domain|dns-address)/.test(path) &&
      !(method === 'GET' && /^\/status(\/dns|\/ipam)?$/.test(path)) &&
      !path.includes('IPAM'),
  );
  assert.equal(here.length, 22);
  for (const call of here) {
    const what = `${call.method} ${call.path} ${JSON.stringify(call.form ?? {})}`;
    const form =
      call.form === undefined
        ? {}
        : {
            payload: new URLSearchParams(call.form).toString(),
            headers: { 'content-type': 'application/x-www-form-urlencoded' },
          };
    const { status, type, body } = await send({ method: call.method, url: call.path, ...form });
    assert.deepEqual([status, type, body], [call.status, call.contentType, call.body], what);
  }
});

test('routes of parts that are off do not exist', async () => {
  const { send } = control();
  for (const url of [
    '/ip',
    '/ip/c1',
    '/ring',
    '/name',
    '/domain',
    '/ipinfo/tracker',
    '/proxyaddrs',
  ]) {
    const { status, body } = await send({ method: 'GET', url });
    assert.deepEqual([status, body], [404, '404 page not found\n'], url);
  }
  const dns = await send({ method: 'GET', url: '/status/dns' });
  assert.deepEqual([dns.status, dns.body], [404, 'dns is switched off\n']);
});

test('the report is JSON for exactly one Accept header', async () => {
  const { send } = control();
  const exact = await send({
    method: 'GET',
    url: '/report',
    headers: { accept: 'application/json' },
  });
  assert.equal(exact.type, 'application/json');
  assert.ok(exact.body.startsWith('{\n    "Ready": true,\n'));
  assert.ok(exact.body.includes('"UID": 9856658877133865692,'));
  assert.ok(exact.body.endsWith('}'));
  const list = { accept: 'application/json, text/plain' };
  assert.equal((await send({ method: 'GET', url: '/report', headers: list })).status, 400);
});

test('while parts start, pages answer 503 with the same body', async () => {
  const { fake, send } = control();
  const before = await send({ method: 'GET', url: '/status' });
  fake.isReady = false;
  const during = await send({ method: 'GET', url: '/status' });
  assert.deepEqual([before.status, during.status], [200, 503]);
  assert.equal(before.body, during.body);
});

test('workloads are attached and detached by JSON', async () => {
  const { fake, send, json } = control();
  const attached = await json('/attach', { target: 'c1', addresses: ['10.2.1.5/24'] });
  assert.deepEqual([attached.status, attached.body], [200, '{"addresses":["10.2.1.5/24"]}\n']);
  await json('/attach', {
    target: 'c2',
    addresses: ['10.2.1.6/24'],
    options: { multicastRoute: false },
  });
  assert.deepEqual(fake.calls, [
    'attach c1 10.2.1.5/24 multicast=true',
    'attach c2 10.2.1.6/24 multicast=false',
  ]);
  const listed = await send({ method: 'GET', url: '/attachments' });
  assert.equal(JSON.parse(listed.body).attachments.length, 2);
  assert.equal((await json('/detach', { target: 'c1', addresses: ['10.2.1.5/24'] })).status, 200);
  fake.failure = new RequestError('host-netns', 'c3 shares the network of the host');
  const refused = await json('/attach', { target: 'c3', addresses: ['10.2.1.5/24'] });
  assert.deepEqual([refused.status, refused.body], [400, 'c3 shares the network of the host\n']);
});

test('bad input is 400 and names the field', async () => {
  const { counters, send, json } = control();
  const cases: readonly (readonly [unknown, RegExp])[] = [
    [{}, /target: /],
    [{ target: 'c' }, /^addresses: expected a list of addresses/],
    [{ target: 'c', addresses: ['10.2.1.5'] }, /^addresses\.0: expected an address with prefix/],
    [{ target: 'c', addresses: ['net:all'] }, /^addresses\.0: expected an address with prefix/],
    [{ target: 'c', addresses: ['10.2.1.5/24'], more: 1 }, /more/],
    [{ target: 'c', addresses: new Array(65).fill('10.2.1.5/24') }, /^addresses: /],
    [[], /object/],
  ];
  for (const [payload, message] of cases) {
    const { status, body } = await json('/attach', payload);
    assert.equal(status, 400, JSON.stringify(payload));
    assert.match(body, message);
  }
  const noJson = await send({ method: 'POST', url: '/attach', payload: 'target=c' });
  assert.deepEqual(
    [noJson.status, noJson.body],
    [400, 'expected a body of type application/json\n'],
  );
  const broken = { 'content-type': 'application/json' };
  assert.equal(
    (await send({ method: 'POST', url: '/attach', payload: '{', headers: broken })).status,
    400,
  );
  const ip = await send({ method: 'POST', url: '/expose/10.2.1.300/24' });
  assert.deepEqual([ip.status, ip.body], [400, 'invalid CIDR address: 10.2.1.300/24\n']);
  const bad = await send({ method: 'POST', url: '/expose/10.2.1.3/24?skipNAT=maybe' });
  assert.deepEqual([bad.status, bad.body], [400, 'skipNAT: expected true or false\n']);
  const huge = await send({ method: 'POST', url: '/connect', payload: 'x'.repeat(300_000) });
  assert.equal(huge.status, 413);
  assert.deepEqual(counters.rejections(), { 'bad-request': 11, 'too-large': 1 });
});

test('exposing, hiding and what went wrong here', async () => {
  const { fake, counters, send } = control();
  await send({ method: 'POST', url: '/expose/10.2.1.1/24?skipNAT=1' });
  const { body } = await send({ method: 'GET', url: '/exposures' });
  assert.equal(body, '{"exposures":[{"cidr":"10.2.1.1/24","masquerade":false}]}\n');
  assert.equal((await send({ method: 'DELETE', url: '/expose/10.2.1.1/24' })).status, 204);
  assert.equal(fake.exposed.size, 0);
  fake.failure = new Error('nft: no such table');
  const failed = await send({ method: 'POST', url: '/expose/10.2.1.1/24' });
  assert.deepEqual([failed.status, failed.body], [500, 'unable to expose: nft: no such table\n']);
  fake.failure = new Error('secret detail');
  const payload = JSON.stringify({ target: 'c', addresses: ['10.2.1.5/24'] });
  const headers = { 'content-type': 'application/json' };
  const internal = await send({ method: 'POST', url: '/attach', payload, headers });
  assert.deepEqual([internal.status, internal.body], [500, 'internal error, see the log\n']);
  assert.equal(counters.rejections()['failed'], 2);
});

test('peers are handed over and taken over without effect', async () => {
  const { send } = control();
  assert.equal((await send({ method: 'DELETE', url: '/peer' })).status, 204);
  const taken = await send({ method: 'DELETE', url: '/peer/host2' });
  assert.equal(taken.body, '0 IPs taken over from host2\n');
});

test('web pages are refused', async () => {
  const { counters, fake, send } = control();
  const post = (headers: Record<string, string>) =>
    send({ method: 'POST', url: '/connect?peer=evil', headers });
  for (const headers of [
    { origin: 'http://evil.example', host: '127.0.0.1:6784' },
    { origin: 'null', host: '127.0.0.1:6784' },
    { 'sec-fetch-site': 'cross-site', host: '127.0.0.1:6784' },
    { host: 'evil.example:6784' },
    { host: 'localhost.evil.example' },
  ]) {
    const { status, body } = await post(headers);
    assert.equal(status, 403, JSON.stringify(headers));
    assert.match(body, /^this API .*\n$/);
  }
  assert.deepEqual(fake.targets, []);
  assert.deepEqual(counters.rejections(), { 'foreign-origin': 3, 'foreign-host': 2 });
  for (const host of ['localhost:6784', '127.0.0.1', '[::1]:6784', '10.1.2.3:6784']) {
    assert.equal((await post({ host })).status, 200, host);
  }
  const same = { origin: 'http://localhost:6784', host: 'localhost:6784' };
  assert.equal((await post(same)).status, 200);
});

test('status and metrics listeners have their routes only', async () => {
  const fake = new FakeControl();
  const modules = { counters: new ApiCounters(), log: silentLogger };
  const status = buildApp(statusRoutes(fake), false, modules);
  const metrics = buildApp(metricsRoutes(fake), false, modules);
  const code = async (app: typeof status, method: 'GET' | 'POST', url: string) =>
    (await app.inject({ method, url })).statusCode;
  assert.equal(await code(status, 'GET', '/status/peers'), 200);
  assert.equal(await code(status, 'GET', '/metrics'), 200);
  assert.equal(await code(status, 'POST', '/status'), 405);
  for (const url of ['/connect', '/stop', '/reset', '/attach']) {
    assert.equal(await code(status, 'POST', url), 404, url);
  }
  const scrape = await metrics.inject({ method: 'GET', url: '/metrics' });
  assert.equal(scrape.headers['content-type'], 'text/plain; version=0.0.4; charset=utf-8');
  assert.equal(await code(metrics, 'GET', '/status'), 404);
});

test('the socket is for its owner only, stale ones are replaced, live ones respected', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'weave-api-'));
  t.after(() => rmSync(folder, { recursive: true }));
  const path = join(folder, 'run', 'weave.sock');
  const off = { http: null, status: null, metrics: null };
  const server = (options: Partial<ConstructorParameters<typeof ApiServer>[0]>) => {
    const control = new FakeControl();
    const counters = new ApiCounters();
    const modules = { control, counters, log: silentLogger };
    return {
      api: new ApiServer({ ...off, socketPath: path, ...options }, modules),
      counters,
      control,
    };
  };
  const first = server({ http: { kind: 'tcp', host: '127.0.0.1', port: 0 } });
  await first.api.start();
  t.after(() => first.api.close());
  assert.equal(statSync(path).mode & 0o777, 0o600);
  assert.equal(statSync(join(folder, 'run')).mode & 0o777, 0o700);
  const client = httpClient([{ kind: 'unix', path }]);
  const page = await client.request({ method: 'GET', path: '/status' });
  assert.equal(page.status, 200);

  await assert.rejects(server({}).api.start(), /something else answers on/);
  const [tcp = ''] = first.api.addresses;
  const port = Number(tcp.split(':')[1]);
  const taken = server({ socketPath: null, http: { kind: 'tcp', host: '127.0.0.1', port } });
  await assert.rejects(taken.api.start(), {
    code: 'listen-failed',
    message: /something else listens/,
  });

  // Bytes that are no HTTP are counted, and who sends them can't keep the connection open.
  await new Promise((resolve) => {
    const socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true }, () =>
      socket.write('garbage\r\n\r\n'),
    );
    socket.once('end', () => {
      // What comes after the end of our connection is answered with a reset.
      const insist = setInterval(() => socket.write('more'), 10);
      socket.once('close', () => {
        clearInterval(insist);
        resolve(null);
      });
      socket.on('error', () => {});
    });
    socket.resume();
  });
  await new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1', () => socket.write('garbage\r\n\r\n'));
    socket.once('close', resolve);
    socket.resume();
  });
  assert.equal(first.counters.rejections()['malformed'], 2);

  const stop = await client.request({ method: 'POST', path: '/stop' });
  assert.equal(stop.status, 202);
  await first.api.close();
  assert.deepEqual(first.control.calls, ['stop']);
  assert.ok(!existsSync(path));
  writeFileSync(path, '');
  const second = server({});
  await second.api.start();
  await second.api.close();
});
