/** The server with real sockets: limits, bad queries, resolvers that fail, clients that flood. */
import assert from 'node:assert/strict';
import { createSocket } from 'node:dgram';
import { connect } from 'node:net';
import { test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { encode } from 'dns-packet';
import { fromHex } from '../../../../core/bytes.js';
import { parseCidr } from '../../../../core/ip.js';
import { parseAddress } from '../../../../dns/record-data.js';
import { waitFor } from '../../../support/wait.js';
import { ScriptedUpstream } from './scripted-upstream.js';
import { decodeAnswer, ServerRig } from './server-rig.js';

const QUESTION = '03777777076578616d706c650000010001';

const query = (name: string, id = 7): Buffer =>
  encode({ type: 'query', id, flags: 0x0100, questions: [{ name, type: 'A' }] });

async function withUpstream(t: Parameters<typeof ServerRig.start>[0], timeoutMs = 1000) {
  const upstream = await ScriptedUpstream.start();
  t.after(() => upstream.close());
  const rig = await ServerRig.start(t, {
    upstreams: ['127.0.0.1'],
    upstreamPort: upstream.port,
    upstreamTimeoutMs: timeoutMs,
  });
  return { upstream, rig };
}

test('bad queries get an error code or silence, and count', async (t) => {
  const rig = await ServerRig.start(t);
  const cases: readonly (readonly [string, string, string | null])[] = [
    ['a name that points to itself', `123401000001000000000000c00c00010001`, 'FORMERR'],
    ['a name that points ahead', `123401000001000000000000c01400010001`, 'FORMERR'],
    ['a label of 64 bytes', `12340100000100000000000040${'61'.repeat(64)}0000010001`, 'FORMERR'],
    [
      'a name of 300 bytes',
      `123401000001000000000000${`09${'61'.repeat(9)}`.repeat(30)}0000010001`,
      'FORMERR',
    ],
    ['a dot within a label', '12340100000100000000000003612e620000010001', 'FORMERR'],
    ['records that are not there', `1234010000010000ffffffff${QUESTION}`, 'FORMERR'],
    [
      'two OPT records',
      `123401000001000000000002${QUESTION}${'0000291000000000000000'.repeat(2)}`,
      'FORMERR',
    ],
    [
      'EDNS of a version to come',
      `123401000001000000000001${QUESTION}0000291000000100000000`,
      'NOERROR',
    ],
    ['an update', `123428000001000000000000${QUESTION}`, 'NOTIMP'],
    ['half a header', '123401000001', null],
    ['an answer', `123481000001000000000000${QUESTION}`, null],
  ];
  for (const [what, hex, rcode] of cases) {
    const answer = await rig.udp(fromHex(hex), rcode === null ? 100 : undefined);
    assert.equal(answer === null ? null : decodeAnswer(answer).rcode, rcode, what);
  }
  const { drops, queries } = rig.server.status().counts;
  assert.deepEqual([drops.short, drops.response], [1, 1]);
  const rcodes = new Set(queries.map(({ rcode }) => rcode));
  assert.deepEqual(rcodes, new Set(['FORMERR', 'BADVERS', 'NOTIMP']));
  assert.equal(await rig.udp(Buffer.alloc(5000), 100), null);
  assert.equal(rig.server.status().counts.drops['too-large'], 1);
});

test('errors are given sparingly, answers are not', async (t) => {
  const rig = await ServerRig.start(t);
  rig.names.register('one.weave.local.', 'c', parseAddress('10.0.0.1'));
  const bad = fromHex('123401000001000000000000c00c00010001');
  let answered = 0;
  const client = createSocket('udp4');
  t.after(() => client.close());
  client.on('message', () => answered++);
  for (let i = 0; i < 200; i++) client.send(bad, rig.server.port, '127.0.0.1');
  await waitFor('limit', 2000, () => rig.server.status().counts.drops['error-rate'] > 100);
  assert.ok(answered < 60, `${answered}`);
  assert.equal((await rig.ask('one.weave.local')).rcode, 'NOERROR');
});

test('clients with the same question share one, each with its own id', async (t) => {
  const { upstream, rig } = await withUpstream(t);
  upstream.delayMs = 200;
  const ids = Array.from({ length: 50 }, (_, i) => i + 1);
  const answers = await Promise.all(ids.map((id) => rig.udp(query('shared.example', id))));
  assert.deepEqual(
    answers.map((answer) => answer?.readUInt16BE(0)),
    ids,
  );
  assert.equal(upstream.queries.length, 1);
  const { upstreamFailures, forwarded } = rig.server.status().counts;
  assert.deepEqual([forwarded, upstreamFailures.timeout], [50, 0]);
});

test('one client can not take all places for questions', async (t) => {
  const { rig } = await withUpstream(t, 1500);
  const client = createSocket('udp4');
  t.after(() => client.close());
  const rcodes: string[] = [];
  client.on('message', (answer) => rcodes.push(decodeAnswer(answer).rcode));
  for (let i = 0; i < 300; i++) {
    client.send(query(`silent.n${i}.example`, i), rig.server.port, '127.0.0.1');
  }
  await waitFor('refusals', 3000, () => rig.server.status().counts.upstreamFailures.overload >= 44);
  assert.ok(rcodes.every((rcode) => rcode === 'REFUSED'));
  // The others hear of the silence, and the places are free again.
  await waitFor('failures', 8000, () => {
    const { queries } = rig.server.status().counts;
    return queries.some(({ rcode, count }) => rcode === 'SERVFAIL' && count === 256);
  });
  assert.equal((await rig.ask('www.example')).rcode, 'NOERROR');
});

test('the second resolver helps out when the first is slow, refuses or is not there', async (t) => {
  const slow = await ScriptedUpstream.start();
  const good = await ScriptedUpstream.start('127.0.0.2', slow.port);
  t.after(() => Promise.all([slow.close(), good.close()]));
  slow.delayMs = 3000;
  const rig = await ServerRig.start(t, {
    upstreams: ['127.0.0.1', '127.0.0.2'],
    upstreamPort: slow.port,
    upstreamTimeoutMs: 2000,
  });
  const startedMs = performance.now();
  assert.equal((await rig.ask('www.example')).rcode, 'NOERROR');
  assert.ok(performance.now() - startedMs < 2000);
  assert.equal(good.queries.length, 1);
  // Refused by one, the other is asked; when both refuse, that is the answer.
  slow.delayMs = 0;
  assert.equal((await rig.ask('refused.example')).rcode, 'REFUSED');
  assert.ok(good.queries.some(({ qname }) => qname === 'refused.example.'));
});

test('an answer too large for UDP is fetched over TCP, if the client has room', async (t) => {
  const { rig } = await withUpstream(t);
  const opt = {
    ...{ type: 'OPT' as const, name: '.', udpPayloadSize: 1232, flags: 0, options: [] },
    ...{ extendedRcode: 0, ednsVersion: 0, flag_do: false },
  };
  const roomy = await rig.ask('trunc.example', 'A', { additionals: [opt] });
  assert.deepEqual([roomy.flag_tc, roomy.answers?.length], [false, 1]);
  const plain = await rig.ask('trunc.example');
  assert.deepEqual([plain.flag_tc, plain.answers?.length], [true, 0]);
  // Larger than what the client takes: it is told to use TCP, where all arrives.
  const huge = await rig.ask('huge.example');
  assert.deepEqual([huge.flag_tc, huge.answers?.length, huge.rcode], [true, 0, 'NOERROR']);
  assert.equal((await rig.ask('huge.example', 'A', {}, 'tcp')).answers?.length, 80);
});

test('resolvers over IPv6 work', async (t) => {
  const upstream = await ScriptedUpstream.start('::1').catch(() => null);
  if (upstream === null) {
    t.skip('needs IPv6 on loopback');
    return;
  }
  t.after(() => upstream.close());
  const rig = await ServerRig.start(t, { upstreams: ['::1'], upstreamPort: upstream.port });
  for (const transport of ['udp', 'tcp'] as const) {
    assert.equal((await rig.ask('www.example', 'A', {}, transport)).answers?.length, 1);
  }
});

test('reverse names of overlay networks stay here, those of others do not', async (t) => {
  const { upstream, rig } = await withUpstream(t);
  rig.networks = [parseCidr('10.32.0.0/12'), parseCidr('10.9.8.0/24')];
  await rig.server.refresh();
  const ask = async (name: string) => {
    upstream.queries.length = 0;
    const { rcode } = await rig.ask(`${name}in-addr.arpa`, 'PTR');
    return `${rcode}${upstream.queries.length > 0 ? ' forwarded' : ''}`;
  };
  assert.equal(await ask('1.0.32.10.'), 'NXDOMAIN');
  assert.equal(await ask('1.0.47.10.'), 'NXDOMAIN');
  assert.equal(await ask('1.0.48.10.'), 'NOERROR forwarded');
  assert.equal(await ask('33.10.'), 'NOERROR');
  assert.equal(await ask('8.9.10.'), 'NOERROR');
  assert.equal(await ask('9.10.'), 'NOERROR forwarded');
  assert.equal(await ask('x.0.32.10.'), 'NXDOMAIN');
  assert.equal(await ask('10.'), 'NOERROR forwarded');
});

test('many queries on one connection are answered, and an idle one is cut', async (t) => {
  const rig = await ServerRig.start(t);
  rig.names.register('one.weave.local.', 'c', parseAddress('10.0.0.1'));
  const socket = connect(rig.server.port, '127.0.0.1');
  const message = query('one.weave.local');
  const framed = Buffer.concat([Buffer.from([message.length >> 8, message.length & 255]), message]);
  let received = 0;
  socket.on('data', (chunk) => {
    received += chunk.length;
  });
  const closed = new Promise((resolve) => socket.once('close', resolve));
  // In one piece, and its last query byte by byte.
  socket.write(Buffer.concat(Array.from({ length: 499 }, () => framed)));
  for (const byte of framed) socket.write(Buffer.from([byte]));
  const answerBytes = 2 + message.length + 16;
  await waitFor('all answers', 3000, () => received === 500 * answerBytes);
  socket.destroy();
  await closed;
  const idle = connect(rig.server.port, '127.0.0.1');
  const startedMs = performance.now();
  await new Promise((resolve) => idle.once('close', resolve));
  assert.ok(performance.now() - startedMs < 4000);
});

test('a server on an address that others have says whose fault it is', async (t) => {
  const other = createSocket('udp4');
  await new Promise<void>((resolve) => other.bind(0, '127.0.0.1', resolve));
  t.after(() => other.close());
  const { port } = other.address();
  await assert.rejects(ServerRig.start(t, { listen: { host: '127.0.0.1', port } }), {
    code: 'dns-listen-failed',
    message: `--dns-listen-address: can't listen on 127.0.0.1 port ${port}: something else listens there`,
  });
  await assert.rejects(ServerRig.start(t, { listen: { host: '192.0.2.1', port: 0 } }), {
    code: 'dns-listen-failed',
    message: /this host has no such address/,
  });
  // Among all addresses one that is taken is a warning.
  const rig = await ServerRig.start(t, { listen: { host: '0.0.0.0', port } });
  assert.deepEqual(rig.server.status().failures, ['127.0.0.1: EADDRINUSE']);
  assert.ok(rig.logged.some((line) => line.startsWith('names are not served on an address')));
});

test('resolv.conf that can not be read is said once; ourselves are left out', async (t) => {
  const rig = await ServerRig.start(t, { resolvConfPath: '/nonexistent/resolv.conf' });
  assert.equal(rig.logged.filter((line) => line.includes('unable to read')).length, 1);
  assert.deepEqual(rig.server.status().upstreams, []);
  assert.equal((await rig.ask('www.example')).rcode, 'SERVFAIL');
  const named = await ServerRig.start(t, { upstreams: ['dns.example', '192.0.2.1'] });
  assert.deepEqual(named.server.status().upstreams, ['192.0.2.1']);
  named.writeResolvConf(['192.0.2.7']);
  await waitFor('new resolvers', 5000, () => `${named.server.status().upstreams}` === '192.0.2.7');
  await delay(0);
});
