/** Environment variables of the node's container. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ConfigError } from '../../../../core/errors.js';
import { conflist } from '../../../../k8s/node/conflist.js';
import { readSettings, routerArguments } from '../../../../k8s/node/settings.js';

const NODE = { HOSTNAME: 'node-a' };

function optionOf(argv: readonly string[], option: string): string | undefined {
  const at = argv.indexOf(`--${option}`);
  return at < 0 ? undefined : argv[at + 1];
}

test('defaults are those of the original', () => {
  const settings = readSettings(NODE);
  assert.deepEqual(settings, {
    nodeName: 'node-a',
    hostRoot: '/host',
    socketPath: '/run/weave/weave.sock',
    dbPrefix: '/weavedb/weave-net',
    exposeCidr: null,
    expectNpc: true,
    hairpin: true,
    noMasqLocal: true,
    peers: null,
    ipallocInit: null,
  });
  const argv = routerArguments(NODE, settings, ['198.51.100.12']);
  assert.equal(optionOf(argv, 'ipalloc-range'), '10.32.0.0/12');
  assert.equal(optionOf(argv, 'conn-limit'), '200');
  assert.equal(optionOf(argv, 'metrics-addr'), '0.0.0.0:6782');
  assert.equal(optionOf(argv, 'status-addr'), '');
  assert.ok(argv.includes('--no-masq-local'));
  const masquerading = { ...NODE, NO_MASQ_LOCAL: '0' };
  assert.ok(!routerArguments(NODE, readSettings(masquerading), []).includes('--no-masq-local'));
  assert.equal(optionOf(argv, 'nickname'), 'node-a');
  // This node counts, too: with two nodes neither may found a ring alone.
  assert.equal(optionOf(argv, 'ipalloc-init'), 'consensus=2');
  assert.equal(argv.at(-1), '198.51.100.12');
});

test('variables become options; the password never does', () => {
  const env = {
    ...NODE,
    IPALLOC_RANGE: '10.40.0.0/16',
    IPALLOC_INIT: 'seed=7a:00:00:00:00:01',
    CONN_LIMIT: '30',
    DB_PREFIX: '/state/x',
    WEAVE_PASSWORD: 'secret-4711',
    KUBE_PEERS: ' 192.0.2.1  192.0.2.2 ',
    EXTRA_ARGS: '--log-level=debug --no-uring',
    EXPECT_NPC: '0',
    HAIRPIN_MODE: 'false',
    WEAVE_EXPOSE_IP: '10.40.0.1/16',
  };
  const settings = readSettings(env);
  assert.deepEqual(settings.peers, ['192.0.2.1', '192.0.2.2']);
  assert.equal(settings.expectNpc, false);
  assert.equal(settings.hairpin, false);
  assert.equal(settings.exposeCidr, '10.40.0.1/16');
  const argv = routerArguments(env, settings, settings.peers);
  assert.equal(optionOf(argv, 'ipalloc-range'), '10.40.0.0/16');
  assert.equal(optionOf(argv, 'ipalloc-init'), 'seed=7a:00:00:00:00:01');
  assert.equal(optionOf(argv, 'db-prefix'), '/state/x');
  assert.deepEqual(argv.slice(-4), ['--log-level=debug', '--no-uring', '192.0.2.1', '192.0.2.2']);
  assert.ok(!argv.join(' ').includes('secret-4711'));
  assert.deepEqual(readSettings({ ...NODE, KUBE_PEERS: '' }).peers, []);
});

test('without an answer of the API server the peers of the last run are called', () => {
  const argv = routerArguments(NODE, readSettings(NODE), null);
  assert.ok(argv.includes('--resume'));
  assert.equal(optionOf(argv, 'ipalloc-init'), undefined);
});

test('a wrong variable is named', () => {
  const wrong = (env: Record<string, string>, field: string) =>
    assert.throws(
      () => readSettings({ ...NODE, ...env }),
      (error) => error instanceof ConfigError && error.field === field,
    );
  wrong({ HOSTNAME: '' }, 'HOSTNAME');
  wrong({ EXPECT_NPC: 'maybe' }, 'EXPECT_NPC');
  wrong({ WEAVE_EXPOSE_IP: '10.40.0.1' }, 'WEAVE_EXPOSE_IP');
});

test('the network configuration names our plugin first', () => {
  const list = JSON.parse(conflist({ hairpin: false }));
  assert.equal(list.plugins[0].type, 'weave-net');
  assert.equal(list.plugins[0].hairpinMode, false);
  assert.equal(list.plugins[1].type, 'portmap');
});
