/** The verbs of the name service against an API with a table of names. */
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { FakeNames } from '../../support/fake-names.js';
import { fixture } from './fixture.js';

const ok = (stdout = '') => ({ code: 0, stdout, stderr: '' });

async function withNames(t: TestContext) {
  const names = new FakeNames();
  const made = await fixture(t, false);
  made.control.names = names;
  const mac = '1e:d2:e0:e3:0c:b6';
  made.control.attached = [
    { target: 'blue', container: null, mac, cidrs: ['10.2.1.1/24', '10.3.1.1/24'] },
  ];
  await made.startRouter();
  return { ...made, names };
}

test('dns-add and dns-remove in all forms', async (t) => {
  const { weave, names } = await withNames(t);
  const live = async (words: string[], expected: string[]) => {
    assert.deepEqual(await weave(words), ok(), words.join(' '));
    assert.deepEqual(names.live(), expected, words.join(' '));
  };
  await live(
    ['dns-add', 'blue', '-h', 'web.weave.local'],
    ['web.weave.local. 10.2.1.1 blue', 'web.weave.local. 10.3.1.1 blue'],
  );
  await live(['dns-remove', '10.3.1.1', 'blue'], ['web.weave.local. 10.2.1.1 blue']);
  await live(['dns-remove', 'blue', '-h', 'other.weave.local'], ['web.weave.local. 10.2.1.1 blue']);
  await live(['dns-remove', 'blue'], []);
  await live(
    ['dns-add', '192.0.2.7', 'fd00::7', '-h', 'db.weave.local'],
    ['db.weave.local. 192.0.2.7 weave:extern', 'db.weave.local. fd00::7 weave:extern'],
  );
  await live(
    ['dns-add', '10.9.9.9', 'blue'],
    [
      'blue.weave.local. 10.9.9.9 blue',
      ...['db.weave.local. 192.0.2.7 weave:extern', 'db.weave.local. fd00::7 weave:extern'],
    ],
  );
  assert.deepEqual(names.checked, ['blue', 'blue', 'blue']);
  await live(
    ['dns-remove', '10.9.9.9', 'blue'],
    [...['db.weave.local. 192.0.2.7 weave:extern', 'db.weave.local. fd00::7 weave:extern']],
  );
  await live(['dns-remove', '192.0.2.7', 'FD00:0::7', '-h', 'db.weave.local.'], []);
  await live(
    ['dns-add', '--srv', '0 5 80 db.weave.local', '-h', '_http._tcp.weave.local'],
    ['_http._tcp.weave.local. 0 5 80 db.weave.local. weave:extern'],
  );
  await live(['dns-remove', '--srv', '0 5 80 db.weave.local', '-h', '_http._tcp.weave.local'], []);
  await live(
    ['dns-add', '--cname', 'db.weave.local', '-h', 'alias.weave.local'],
    ['alias.weave.local. db.weave.local. weave:extern'],
  );
  // A name of another domain is accepted and ignored.
  await live(
    ['dns-add', '192.0.2.7', '-h', 'www.example.com'],
    ['alias.weave.local. db.weave.local. weave:extern'],
  );
});

test('what is no name or no address ends with 2 and what was wrong', async (t) => {
  const { weave, names } = await withNames(t);
  for (const [words, text] of [
    [['10.2.1.500', '-h', 'x.weave.local'], /^invalid IP Address: 10\.2\.1\.500$/m],
    [['fd00:::1', '-h', 'x.weave.local'], /^invalid IP Address: fd00:::1$/m],
    [['10.2.1.1', '-h', 'a b.weave.local'], /is no name: labels hold letters/],
    [['10.2.1.1', '-h', `${'a'.repeat(64)}.weave.local`], /longer than 63 characters/],
    [['10.2.1.1', '-h', 'a..weave.local'], /an empty label/],
    [['--srv', '1 2 x', '-h', 's.weave.local'], /expected PRIORITY WEIGHT PORT TARGET/],
    [['--cname=-x', '-h', 's.weave.local'], /is no name/],
  ] as const) {
    const { code, stdout, stderr } = await weave(['dns-add', ...words]);
    assert.deepEqual([code, stdout], [2, ''], words.join(' '));
    assert.match(stderr, text);
  }
  assert.deepEqual(names.live(), []);
  for (const words of [
    [],
    ['10.2.1.1'],
    ['-h', 'x.weave.local'],
    ['a', 'b'],
    ['blue', '10.2.1.1'],
  ]) {
    const { code, stderr } = await weave(['dns-add', ...words]);
    assert.equal(code, 1, words.join(' '));
    assert.match(stderr, /Usage:/);
  }
  const unknown = await weave(['dns-add', 'red', '-h', 'x.weave.local']);
  assert.deepEqual([unknown.code, unknown.stderr], [1, 'red has no address on this bridge\n']);
});

test('dns-lookup asks the router’s server, dns-args tells of it', async (t) => {
  const { weave, host } = await withNames(t);
  assert.deepEqual(await weave(['dns-lookup', 'web']), ok('10.32.0.1\nfd00::1\n'));
  assert.deepEqual(host.lookedUp, ['web at 127.0.0.1:5353']);
  assert.equal((await weave(['dns-lookup'])).code, 1);
  assert.deepEqual(await weave(['dns-args']), ok('--dns=127.0.0.1 --dns-search=weave.local.'));
});

test('attach and expose give names', async (t) => {
  const { weave, control, names } = await withNames(t);
  await weave(['attach', '10.2.1.9/24', '--name', 'a.weave.local', '--name=b', 'red']);
  assert.deepEqual(control.calls, [
    'attach red 10.2.1.9/24 multicast=true names=a.weave.local.,b.',
  ]);
  await weave(['attach', '10.2.1.9/24', '--name', 'a.weave.local', '--without-dns', 'red']);
  assert.equal(control.calls[1], 'attach red 10.2.1.9/24 multicast=true');
  const bad = await weave(['attach', '10.2.1.9/24', '--name', 'a b', 'red']);
  assert.equal(bad.code, 2);
  assert.match(bad.stderr, /is no name/);
  await weave(['expose', '10.2.1.254/24', '-h', 'host.weave.local']);
  assert.deepEqual(names.live(), ['host.weave.local. 10.2.1.254 weave:expose']);
});

test('where the name service is off, verbs say so or do nothing', async (t) => {
  const { weave, control } = await fixture(t);
  control.attached = [{ target: 'blue', container: null, mac: '', cidrs: ['10.2.1.1/24'] }];
  assert.deepEqual(await weave(['dns-args']), ok());
  assert.equal((await weave(['dns-lookup', 'x'])).code, 4);
  const add = await weave(['dns-add', 'blue', '-h', 'x.weave.local']);
  assert.deepEqual([add.code, add.stderr], [4, 'this router has no such part\n']);
  const expose = await weave(['expose', '10.2.1.1/24', '-h', 'x.weave.local']);
  assert.deepEqual([expose.code, expose.stdout], [0, '10.2.1.1\n']);
  assert.match(expose.stderr, /the name service of this router is off/);
});
