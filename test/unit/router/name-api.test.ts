/** Routes of the name service: the recorded conversation with the original, and what it lacked. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { InjectOptions } from 'fastify';
import { silentLogger } from '../../../core/log.js';
import { ApiCounters } from '../../../router/api/counters.js';
import { controlRoutes } from '../../../router/api/routes.js';
import { buildApp } from '../../../router/api/server.js';
import { FakeControl } from '../../support/fake-control.js';
import { FakeNames } from '../../support/fake-names.js';
import { loadVectors } from '../../support/vectors.js';

interface Call {
  readonly method: string;
  readonly path: string;
  readonly form?: Record<string, string>;
  readonly headers?: Record<string, string>;
  readonly status: number;
  readonly contentType: string | null;
  readonly body: string;
}

function start() {
  const control = new FakeControl();
  const names = new FakeNames();
  control.names = names;
  const app = buildApp(controlRoutes(control), false, {
    counters: new ApiCounters(),
    log: silentLogger,
  });
  const send = async (options: Pick<Call, 'method' | 'path'> & Partial<Call>) => {
    control.base = { ...control.base, DNS: names.report() };
    const { form, headers = {} } = options;
    const injected = {
      method: options.method,
      url: options.path,
      headers: {
        ...headers,
        ...(form === undefined ? {} : { 'content-type': 'application/x-www-form-urlencoded' }),
      },
      ...(form === undefined ? {} : { payload: new URLSearchParams(form).toString() }),
    } as InjectOptions;
    const { statusCode: status, body, headers: answered } = await app.inject(injected);
    return { status, contentType: answered['content-type'] ?? null, body };
  };
  return { names, send };
}

test('the recorded conversation about names', async () => {
  const { send } = start();
  const { calls } = loadVectors<{ calls: Call[] }>('http-api-calls.json');
  const here = calls.filter(({ path }) => /^\/(name|domain|dns-address|status\/dns)/.test(path));
  assert.equal(here.length, 15);
  for (const call of here) {
    const { status, contentType, body } = call;
    const answer = await send(call);
    assert.deepEqual(answer, { status, contentType, body }, `${call.method} ${call.path}`);
  }
});

test('a removal reads its form, too: a name given there does not make it wider', async () => {
  const { send, names } = start();
  for (const fqdn of ['a.weave.local', 'b.weave.local']) {
    await send({ method: 'PUT', path: '/name/c1/10.32.0.1', form: { fqdn } });
  }
  await send({ method: 'DELETE', path: '/name/c1/10.32.0.1', form: { fqdn: 'a.weave.local' } });
  assert.deepEqual(names.live(), ['b.weave.local. 10.32.0.1 c1']);
});

test('IPv6 addresses are stored as such, and wrong ones refused', async () => {
  const { send, names } = start();
  const put = (path: string, form = { fqdn: 'a.weave.local' }) =>
    send({ method: 'PUT', path, form });
  assert.equal((await put('/name/c1/fd00%3A%3A0001')).status, 204);
  assert.deepEqual(names.live(), ['a.weave.local. fd00::1 c1']);
  assert.deepEqual(await put('/name/c1/fd00:::1'), {
    ...{ status: 400, contentType: 'text/plain; charset=utf-8' },
    body: 'invalid IP Address: fd00:::1\n',
  });
  const wrong = await put('/name/c1/10.0.0.1', { fqdn: 'a..weave.local' });
  assert.deepEqual([wrong.status, wrong.body.includes('an empty label')], [400, true]);
  assert.equal((await put('/name/c1')).status, 400);
});

test('aliases and services are records of their own', async () => {
  const { send, names } = start();
  const form = { fqdn: 'alias.weave.local', type: 'CNAME', data: 'web.weave.local' };
  assert.equal((await send({ method: 'PUT', path: '/name/c1', form })).status, 204);
  const bad = await send({ method: 'PUT', path: '/name/c1', form: { ...form, type: 'MX' } });
  assert.deepEqual(
    [bad.status, bad.body],
    [400, 'record type "MX": expected A, AAAA, CNAME, SRV\n'],
  );
  const accept = { accept: 'application/json' };
  const list = await send({ method: 'GET', path: '/name', headers: accept });
  assert.deepEqual(JSON.parse(list.body), [
    {
      ...{ ContainerID: 'c1', Origin: 142936511610881, Type: 'CNAME', Data: 'web.weave.local.' },
      ...{ Hostname: 'alias.weave.local.', Version: 0, Tombstone: 0 },
    },
  ]);
  assert.equal((await send({ method: 'DELETE', path: '/name/c1', form })).status, 204);
  assert.deepEqual(names.live(), []);
});
