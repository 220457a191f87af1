/** The plugin's side: what it refuses itself, and what becomes of a router that is down. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { type PluginModules, runPlugin } from '../../../../k8s/cni/plugin.js';
import { CniError, type CniReply, type CniRequest } from '../../../../k8s/cni/protocol.js';

const ENV = {
  CNI_COMMAND: 'ADD',
  CNI_CONTAINERID: 'pod1',
  CNI_NETNS: '/run/netns/pod1',
  CNI_IFNAME: 'eth0',
};

interface Given {
  readonly env?: Readonly<Record<string, string>>;
  readonly config?: unknown;
  readonly stdin?: string;
  /** null: nobody answers. */
  readonly reply?: CniReply | null;
}

async function call({ env = {}, config = { name: 'net' }, stdin, reply = null }: Given) {
  const asked: CniRequest[] = [];
  const left: string[] = [];
  const delegated: string[] = [];
  const modules: PluginModules = {
    env: { ...ENV, ...env },
    stdin: async () => stdin ?? JSON.stringify(config),
    ask: async (request) => {
      asked.push(request);
      return reply;
    },
    leave: async (key) => void left.push(key),
    delegate: async (type, command) => {
      delegated.push(`${command} ${type}`);
      return command === 'ADD' ? '{"ips":[{"address":"10.1.1.1/24"}]}' : '';
    },
  };
  const { stdout, exitCode } = await runPlugin('weave-net', modules);
  const output = stdout === '' ? null : (JSON.parse(stdout) as Record<string, unknown>);
  return { asked, left, delegated, output, exitCode };
}

test('VERSION is answered without a router, also to an empty input', async () => {
  for (const stdin of ['', '{"cniVersion":"0.4.0"}']) {
    const { output, asked, exitCode } = await call({ env: { CNI_COMMAND: 'VERSION' }, stdin });
    assert.equal(exitCode, 0);
    assert.deepEqual(asked, []);
    const supported = output?.['supportedVersions'] as string[] | undefined;
    assert.equal(supported?.at(-1), '1.1.0');
  }
});

test('with the router down DEL is left for it, other verbs say what to do', async () => {
  const deleted = await call({ env: { CNI_COMMAND: 'DEL' } });
  assert.deepEqual([deleted.exitCode, deleted.left], [0, ['cni:net:pod1:eth0']]);
  for (const [command, code] of [
    ['ADD', 11],
    ['CHECK', 11],
    ['STATUS', 50],
    ['GC', 11],
  ] as const) {
    const { output, exitCode, left } = await call({ env: { CNI_COMMAND: command } });
    assert.deepEqual([exitCode, output?.['code'], left], [1, code, []], command);
    assert.match(String(output?.['details']), /look at its log/);
  }
});

test('another address plugin is run before the router, and undone when that fails', async () => {
  const config = { name: 'net', ipam: { type: 'host-local' } };
  const good = await call({ config, reply: { result: { done: true } } });
  assert.deepEqual(good.delegated, ['ADD host-local']);
  assert.deepEqual(good.asked[0]?.ipamResult, { ips: [{ address: '10.1.1.1/24' }] });
  const bad = await call({ config });
  assert.deepEqual(bad.delegated, ['ADD host-local', 'DEL host-local']);
  assert.equal(bad.output?.['code'], 11);
  const own = await call({ config: { name: 'net', ipam: { type: 'weave-ipam' } } });
  assert.deepEqual(own.delegated, []);
});

test('errors of the router are printed as the specification wants them', async () => {
  const error = { code: 101, msg: 'it is not there', details: 'delete the pod' };
  const { output, exitCode } = await call({
    config: { name: 'net', cniVersion: '1.0.0' },
    reply: { error },
  });
  assert.deepEqual([exitCode, output], [1, { cniVersion: '1.0.0', ...error }]);
});

test('any input and environment gives an answer, never an exception', async () => {
  const words = fc.oneof(fc.string(), fc.constantFrom('ADD', 'DEL', 'CHECK', 'GC', 'STATUS'));
  await fc.assert(
    fc.asyncProperty(
      words,
      fc.string(),
      fc.string(),
      fc.json(),
      async (command, id, name, stdin) => {
        const env = { CNI_COMMAND: command, CNI_CONTAINERID: id, CNI_IFNAME: name };
        const { exitCode, output, asked } = await call({ env, stdin });
        assert.ok(exitCode === 0 || typeof output?.['code'] === 'number');
        for (const request of asked) assert.doesNotMatch(request.ifName, /\//);
      },
    ),
  );
  assert.equal(new CniError(4, 'x').details, '');
});
