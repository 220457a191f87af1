/** Options of the controller: names and defaults of the original, and what is refused. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { interpretNpcStart, type NpcConfig } from '../../../../../k8s/npc/daemon/options.js';

const start = (argv: readonly string[], env: Record<string, string> = { HOSTNAME: 'n1' }) =>
  interpretNpcStart({ argv, env, version: '3.0.0' });

function configOf(argv: readonly string[]): NpcConfig {
  const request = start(argv);
  assert.ok(request.kind === 'run', JSON.stringify(request));
  return request.config;
}

test('without options the original defaults hold', () => {
  const config = configOf([]);
  assert.equal(config.nodeName, 'n1');
  assert.deepEqual(config.metrics, { kind: 'tcp', host: null, port: 6781 });
  assert.equal(config.allowMulticast, true);
  assert.equal(config.bridge, 'weave');
  assert.equal(config.clusterPolicies, false);
  assert.equal(config.socketPath, '/run/weave/npc.sock');
});

test('every form that a Go program takes', () => {
  assert.equal(configOf(['--allow-mcast=false']).allowMulticast, false);
  assert.equal(configOf(['--allow-mcast']).allowMulticast, true);
  assert.equal(configOf(['--cluster-network-policy']).clusterPolicies, true);
  assert.equal(configOf(['--cluster-network-policy=false']).clusterPolicies, false);
  assert.deepEqual(configOf(['--metrics-addr', '127.0.0.1:0']).metrics, {
    kind: 'tcp',
    host: '127.0.0.1',
    port: 0,
  });
  assert.deepEqual(configOf(['--metrics-addr=[::1]:99']).metrics, {
    kind: 'tcp',
    host: '::1',
    port: 99,
  });
  assert.equal(configOf(['--metrics-addr=']).metrics, null);
  assert.equal(configOf(['--log-level=debug', '--log-level=error']).logLevel, 'error');
  const past = start(['--max-list-size=4096', '--bridge-port-name=other']);
  assert.ok(past.kind === 'run' && past.warnings.length === 2);
});

test('wrong values name the option and what is expected', () => {
  for (const argument of [
    '--metrics-addr=6781',
    '--metrics-addr=:70000',
    '--log-level=loud',
    '--bridge=',
    '--bridge=a/b',
    '--allow-mcast=maybe',
    '--socket=npc.sock',
    '--api-server=ftp://x',
    '--api-server=http://user:pass@x',
  ]) {
    const request = start([argument]);
    assert.ok(request.kind === 'exit' && request.code === 2, argument);
    assert.match(request.stderr, new RegExp(`^${argument.split('=')[0]}: expected `), argument);
  }
  const nameless = start([], {});
  assert.ok(nameless.kind === 'exit' && /--node-name/.test(nameless.stderr));
  const both = start(['--api-server=http://x', '--kubeconfig=/x']);
  assert.ok(both.kind === 'exit' && both.code === 2);
});

test('unknown options, help and version', () => {
  const unknown = start(['--nosuch']);
  assert.ok(unknown.kind === 'exit' && unknown.code === 125 && /nosuch/.test(unknown.stderr));
  const help = start(['--help']);
  assert.ok(help.kind === 'exit' && help.code === 0 && /--bridge-port-name/.test(help.stdout));
  const version = start(['--version']);
  assert.ok(version.kind === 'exit' && version.stdout === 'weave-npc 3.0.0\n');
});
