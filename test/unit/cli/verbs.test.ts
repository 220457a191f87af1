/** What each verb prints, for success, for wrong use, and for a router that says no or nothing. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { RequestError } from '../../../core/errors.js';
import type { Report } from '../../../router/api-types.js';
import { FakeIpam } from '../../support/fake-ipam.js';
import { loadVectors } from '../../support/vectors.js';
import { waitFor } from '../../support/wait.js';
import { fixture } from './fixture.js';

const { cases } = loadVectors<{
  cases: { title: string; report: string; pages: Record<string, { body: string }> }[];
}>('status-pages.json');

const ok = (stdout: string) => ({ code: 0, stdout, stderr: '' });

test('status prints the page between blank lines, sub-pages bare', async (t) => {
  const { control, weave } = await fixture(t);
  const seen = cases.find(({ title }) => title.includes('host3'));
  assert.ok(seen !== undefined);
  control.base = JSON.parse(seen.report) as Report;
  control.targets = ['198.51.100.11'];
  const page = (path: string) => seen.pages[path]?.body ?? '';
  assert.deepEqual(await weave(['status']), ok(`\n${page('/status')}\n`));
  // The order of peers is free.
  const lines = (text: string) => text.split('\n').sort();
  const peers = await weave(['--local', 'status', 'peers']);
  assert.deepEqual(lines(peers.stdout), lines(page('/status/peers')));
  assert.deepEqual(await weave(['status', 'targets']), ok('198.51.100.11\n'));
  assert.deepEqual(await weave(['status', 'ipam']), ok(page('/status/ipam')));
  const connections = page('/status/connections').replace('truemtu', 'true mtu');
  assert.deepEqual(await weave(['status', 'connections']), ok(connections));
  const off = await weave(['status', 'dns']);
  assert.deepEqual(off, { code: 4, stdout: '', stderr: 'dns is switched off\n' });
});

test('status of an unknown page shows the usage', async (t) => {
  const { weave } = await fixture(t);
  const { code, stdout, stderr } = await weave(['status', 'nosuch']);
  assert.deepEqual([code, stdout], [1, '']);
  assert.match(stderr, /^Invalid 'weave status' sub-command: nosuch\nUsage:\n/);
});

test('a router that is starting fails the status command', async (t) => {
  const { control, weave } = await fixture(t);
  control.isReady = false;
  const { code, stderr } = await weave(['status']);
  assert.equal(code, 1);
  assert.match(stderr, /Version: unreleased/);
});

test('JSON output everywhere', async (t) => {
  const { control, weave } = await fixture(t);
  const json = async (...words: string[]): Promise<unknown> => {
    const { code, stdout, stderr } = await weave([...words, '--output', 'json']);
    assert.deepEqual([code, stderr], [0, ''], words.join(' '));
    return JSON.parse(stdout);
  };
  control.base = {
    ...control.base,
    Router: {
      ...control.base.Router,
      Connections: [{ Address: 'a:1', Outbound: true, State: 'failed', Info: 'x', Attrs: null }],
    },
    WeaveNet: {
      Warnings: [],
      Connections: [
        {
          Address: 'a:1',
          Overlay: null,
          OverlayReason: null,
          ErrorCode: 'refused',
          ProtocolVersion: 2,
        },
      ],
      Counters: {},
      ApiRejections: {},
      Ipam: null,
      DataPlane: null,
      Process: { Pid: 1 },
    },
  };
  assert.deepEqual(await json('connect', 'host2'), { connect: ['host2'], replace: false });
  assert.deepEqual(await json('status', 'targets'), ['host2']);
  assert.deepEqual(await json('forget', 'host2'), { forget: ['host2'] });
  assert.deepEqual(await json('status', 'targets'), []);
  assert.equal(((await json('status')) as Report).Version, 'unreleased');
  const whole = await weave(['--output=json', 'status']);
  assert.ok(whole.stdout.includes('"UID":9856658877133865692'));
  assert.deepEqual(await json('status', 'connections'), [
    {
      ...{ Address: 'a:1', Overlay: null, OverlayReason: null, ErrorCode: 'refused' },
      ...{ ProtocolVersion: 2, Outbound: true, State: 'failed', Info: 'x', Attrs: null },
    },
  ]);
  assert.deepEqual(await json('version'), { version: 'unreleased' });
  assert.deepEqual(await json('attach', '10.2.1.5/24', 'c1'), { addresses: ['10.2.1.5/24'] });
  assert.equal(((await json('ps')) as unknown[]).length, 1);
  assert.deepEqual(await json('expose', '10.2.1.1/24'), { addresses: ['10.2.1.1/24'] });
  const failed = await weave(['connect', '1.2.3.4:x-y', '--output', 'json']);
  assert.deepEqual(JSON.parse(failed.stderr), {
    error: 'invalid peer name "1.2.3.4:x-y", should be host[:port]',
    exitCode: 2,
  });
});

test('connect and forget change the targets', async (t) => {
  const { control, weave } = await fixture(t);
  assert.deepEqual(await weave(['connect', 'a', 'b:7000']), ok(''));
  assert.deepEqual(control.targets, ['a', 'b:7000']);
  assert.deepEqual(await weave(['connect', '--replace', 'c']), ok(''));
  assert.deepEqual(control.targets, ['c']);
  const wrong = await weave(['connect', 'd', '1.2.3.4:x-y']);
  const text = 'invalid peer name "1.2.3.4:x-y", should be host[:port]\n';
  assert.deepEqual(wrong, { code: 2, stdout: '', stderr: text });
  assert.deepEqual(control.targets, ['c', 'd']);
  assert.deepEqual(await weave(['forget', 'c', 'nobody']), ok(''));
  assert.deepEqual(await weave(['connect', '--replace']), ok(''));
  assert.deepEqual(control.targets, []);
});

test('attach, detach and ps', async (t) => {
  const { control, weave } = await fixture(t);
  const id = 'a'.repeat(64);
  assert.deepEqual(
    await weave(['attach', '10.32.5.1/24', 'ip:10.33.1.1/24', '--no-multicast-route', id]),
    ok('10.32.5.1 10.33.1.1\n'),
  );
  assert.deepEqual(control.calls, [`attach ${id} 10.32.5.1/24,ip:10.33.1.1/24 multicast=false`]);
  await weave(['attach', '10.2.1.7/24', '1234']);
  assert.deepEqual(
    await weave(['ps']),
    ok(
      'aaaaaaaaaaaa 1e:d2:e0:e3:0c:b6 10.32.5.1/24 10.33.1.1/24\n' +
        '1234 1e:d2:e0:e3:0c:b6 10.2.1.7/24\n',
    ),
  );
  const some = await weave(['ps', 'unknown', 'aaaaaaaaaaaa']);
  assert.deepEqual(some, ok('\naaaaaaaaaaaa 1e:d2:e0:e3:0c:b6 10.32.5.1/24 10.33.1.1/24\n'));
  // By the name that the engine has for it, and by any start of the id.
  assert.deepEqual((await weave(['ps', 'shop', 'aaaa'])).stdout.match(/10\.32\.5\.1/g)?.length, 2);
  assert.deepEqual(await weave(['detach', '10.2.1.7/24', '1234']), ok('10.2.1.7\n'));
  control.failure = new RequestError('no-such-netns', 'there is no network namespace c9');
  const refused = await weave(['attach', '10.2.1.5/24', 'c9']);
  const stderr = 'there is no network namespace c9\n';
  assert.deepEqual(refused, { code: 2, stdout: '', stderr });
});

test('address arguments', async (t) => {
  const { control, weave } = await fixture(t);
  const cases: readonly (readonly [string, number, RegExp])[] = [
    ['attach 999.1.1.1/24 c1', 2, /^invalid CIDR address: 999\.1\.1\.1\/24\n$/],
    ['attach net:10.2.1.1/24 c1', 2, /^invalid subnet - bits after network prefix are not/],
    ['attach net:10.2.1.0/31 c1', 2, /^invalid subnet - smaller than minimum size 4/],
    ['attach net: c1', 1, /^Usage/],
    ['attach 10.2.1.5 c1', 1, /^10\.2\.1\.5: expected an address with prefix.*\nUsage/],
    ['attach c1 10.2.1.5/24', 1, /^10\.2\.1\.5\/24: addresses come first\nUsage/],
    ['attach 10.2.1.5/24', 1, /^Usage/],
    ['attach 10.2.1.5/24 c1 c2', 1, /^Usage/],
    ['attach 10.2.1.5/24 --nope c1', 1, /Unknown argument: nope\nUsage/],
    ['expose 10.2.1.300/24', 2, /^invalid CIDR address: 10\.2\.1\.300\/24\n$/],
    ['expose 10.2.1.3/24 extra', 1, /^Usage/],
    ['hide 10.2.1.3/24 extra', 1, /^Usage/],
  ];
  for (const [words, code, stderr] of cases) {
    const outcome = await weave(words.split(' '));
    assert.equal(outcome.code, code, `${words}: ${outcome.stderr}`);
    assert.equal(outcome.stdout, '', words);
    assert.match(outcome.stderr, stderr, words);
  }
  assert.deepEqual(control.calls, []);
  for (const words of ['attach c1', 'attach net:default c1', 'detach c1', 'expose']) {
    assert.equal((await weave(words.split(' '))).code, 0, words);
  }
  assert.deepEqual(await weave(['hide']), ok('10.32.0.2\n'));
  assert.deepEqual(control.calls, [
    'attach c1  multicast=true',
    'attach c1 net:default multicast=true',
  ]);
});

test('an address that does not come is explained after a while', async (t) => {
  const { control, host, weave, startRouter } = await fixture(t, false);
  const ipam = new FakeIpam();
  ipam.findings = ['2 of 3 peers have to agree first; 1 is here.'];
  control.ipam = ipam;
  await startRouter();
  let grant = (): void => {};
  control.hold = new Promise((resolve) => {
    grant = resolve;
  });
  const attaching = weave(['attach', 'c1']);
  await waitFor('time to explain', 1000, () => host.later.length === 1);
  for (const work of host.later) work();
  await waitFor('question of the command', 1000, () => ipam.calls.includes('check'));
  grant();
  const { code, stdout } = await attaching;
  assert.deepEqual([code, stdout], [0, '10.32.0.1\n']);
  assert.deepEqual(host.later, [], 'nothing is left to do');
});

test('prime, rmpeer and ipam check', async (t) => {
  const { control, weave, startRouter, stopRouter } = await fixture(t);
  for (const words of [['prime'], ['ipam', 'check'], ['status', 'ipam']]) {
    assert.notEqual((await weave(words)).code, 0, `${words} with the allocator off`);
  }
  assert.deepEqual(await weave(['rmpeer', 'x']), ok('0 IPs taken over from x\n'));
  await stopRouter();
  const ipam = new FakeIpam();
  control.ipam = ipam;
  await startRouter();
  assert.deepEqual(await weave(['prime']), ok(''));
  assert.deepEqual(await weave(['rmpeer', 'host9']), ok('262144 IPs taken over from host9\n'));
  assert.deepEqual(await weave(['rmpeer', '--force', 'a/b']), ok('0 IPs taken over from a/b\n'));
  const takeOvers = ['takeOver host9 force=false', 'takeOver a/b force=true'];
  assert.deepEqual(ipam.calls, ['prime', ...takeOvers]);
  ipam.failure = new RequestError('ipam-take-over-refused', 'host9 is alive', 409);
  const refused = await weave(['rmpeer', 'host9']);
  assert.deepEqual([refused.code, refused.stderr], [1, 'host9 is alive\n']);
  assert.deepEqual(await weave(['ipam', 'check']), ok('Nothing waits and nothing is wrong.\n'));
  ipam.findings = ['One.', 'Two.'];
  assert.deepEqual(await weave(['ipam', 'check']), ok('One.\nTwo.\n'));
  const json = await weave(['ipam', 'check', '--output', 'json']);
  assert.deepEqual(JSON.parse(json.stdout), { findings: ['One.', 'Two.'] });
  assert.equal((await weave(['ipam'])).code, 1);
});

test('expose and hide', async (t) => {
  const { control, weave } = await fixture(t);
  assert.deepEqual(
    await weave(['expose', '10.2.1.1/24', '10.3.1.1/24']),
    ok('10.2.1.1 10.3.1.1\n'),
  );
  const plain = await weave([
    'expose',
    '10.4.1.1/24',
    '--without-masquerade',
    '-h',
    'x.weave.local',
  ]);
  assert.equal(plain.code, 0);
  assert.match(plain.stderr, /name service of this router is off/);
  assert.deepEqual(
    [...control.exposed.values()].map((one) => one.masquerade),
    [true, true, false],
  );
  assert.deepEqual(await weave(['hide', '10.2.1.1/24']), ok('10.2.1.1\n'));
  assert.equal(control.exposed.size, 2);
});

test('report prints JSON or a template', async (t) => {
  const { weave } = await fixture(t);
  const { stdout } = await weave(['report']);
  assert.ok(stdout.startsWith('{\n    "Ready": true,') && stdout.endsWith('}'));
  assert.deepEqual(await weave(['report', '-f', '{{.Router.Name}}']), ok('82:00:00:00:00:01'));
  assert.deepEqual(await weave(['report', '--format={{json .Ready}}']), ok('true'));
  const broken = await weave(['report', '-f', '{{']);
  const stderr = 'template: format:1: unclosed action\n';
  assert.deepEqual(broken, { code: 2, stdout: '', stderr });
  const failing = await weave(['report', '-f', '{{.Nope}}']);
  assert.deepEqual([failing.code, failing.stderr], [1, 'error during template execution\n']);
});

test('prime and rmpeer without an allocator', async (t) => {
  const { weave } = await fixture(t);
  const prime = await weave(['prime']);
  assert.equal(prime.code, 4);
  assert.match(prime.stderr, /allocator of this router is off/);
  assert.deepEqual(await weave(['rmpeer', 'host9']), ok('0 IPs taken over from host9\n'));
});

test('wrong use prints the usage to stderr and ends with 1', async (t) => {
  const { weave } = await fixture(t);
  for (const words of [
    ...[[], ['bogus'], ['connect'], ['forget'], ['rmpeer'], ['prime', 'x'], ['stop', 'x']],
    ...[
      ['reset', 'x'],
      ['report', 'x'],
      ['version', 'x'],
      ['status', 'peers', 'x'],
    ],
    ...[['connect', '--nope', 'a'], ['--socket'], ['report', '-f']],
  ]) {
    const { code, stdout, stderr } = await weave(words);
    assert.deepEqual([code, stdout], [1, ''], words.join(' '));
    assert.match(stderr, /Usage:\n\nweave /, words.join(' '));
  }
  const output = await weave(['status', '--output', 'xml']);
  assert.deepEqual(
    [output.code, output.stderr],
    [2, '--output: expected text or json, got "xml"\n'],
  );
});

test('help goes to stderr and ends with 0', async (t) => {
  const { weave } = await fixture(t, false);
  for (const words of [['help'], ['--help'], ['attach', '--help'], ['--local', 'help']]) {
    const { code, stdout, stderr } = await weave(words);
    assert.deepEqual([code, stdout], [0, ''], words.join(' '));
    assert.match(stderr, /^Usage:/);
  }
});

test('verbs that went away and verbs that are not here say so', async (t) => {
  const { weave } = await fixture(t);
  const removed = await weave(['run', 'x']);
  assert.equal(removed.code, 1);
  assert.equal(removed.stderr.trimEnd().split('\n').length, 2);
  const absent = await weave(['env']);
  assert.deepEqual(absent, {
    code: 1,
    stdout: '',
    stderr: 'weave env: there is no Docker API proxy in this version\n',
  });
});

test('without a router each verb says so, with the original’s codes', async (t) => {
  const { weave } = await fixture(t, false);
  const codes: readonly (readonly [string, number])[] = [
    ['status', 1],
    ['status peers', 1],
    ['status --output json', 1],
    ['rmpeer x', 1],
    ['connect x', 7],
    ['forget x', 7],
    ['prime', 7],
    ['report', 7],
    ['expose 10.2.1.1/24', 7],
    ['hide 10.2.1.1/24', 7],
    ['attach 10.2.1.1/24 c1', 7],
    ['detach 10.2.1.1/24 c1', 7],
    ['ps', 7],
  ];
  for (const [words, code] of codes) {
    const outcome = await weave(words.split(' '));
    assert.deepEqual([outcome.code, outcome.stdout], [code, ''], words);
    assert.match(outcome.stderr, /Weave Net is not running: nothing answers on SOCKET/, words);
  }
  assert.deepEqual(await weave(['version']), ok('weave 3.0.0\n'));
});
