/** The executables of `npm run package`, built anew and used without this machine's Node. */
import assert from 'node:assert/strict';
import { mkdirSync, readFileSync, symlinkSync } from 'node:fs';
import { arch } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { e2e } from '../support/e2e.js';
import { addressOf, CniRuntime } from '../support/lab-cni.js';
import type { Host, RouterKind } from '../support/lab-host.js';
import { ownRouter } from '../support/lab-host.js';
import { ownedOn } from '../support/lab-ipam.js';
import { switchedHosts } from '../support/lab-topologies.js';
import { type RunResult, run } from '../support/shell.js';

const BUILD = join(dirname(fileURLToPath(import.meta.url)), '../../deploy/package/build.js');
const BUILD_TIMEOUT_MS = 180_000;
const RANGE = '10.38.0.0/16';
const ARGS = ['--ipalloc-range', RANGE, '--ipalloc-default-subnet', RANGE];
/** Nothing of Node's or npm's is found there. */
const BARE = { PATH: '/usr/sbin:/sbin:/bin' };

const build = (out: string, only: string): Promise<RunResult> =>
  run([process.execPath, BUILD, '--out', out, '--only', only], { timeoutMs: BUILD_TIMEOUT_MS });

e2e('weaver, weave and weave-npc as executables', [], async (lab, t) => {
  if (!readFileSync(process.execPath).includes('NODE_SEA_FUSE_')) {
    t.skip('needs a Node that is one file, as nodejs.org builds it');
    return;
  }
  const { code, stderr } = await build(lab.folder, 'node');
  assert.equal(code, 0, stderr);
  const folder = join(lab.folder, `weave-linux-${arch()}`);
  const [weaver, weave] = [join(folder, 'weaver'), join(folder, 'weave')];
  const packaged: RouterKind = {
    argv: (host, options) => [weaver, ...ownRouter.argv(host, options).slice(2)],
    env: () => BARE,
  };
  const [h1] = switchedHosts(lab, 1, { kinds: [packaged] }).hosts as [Host];
  assert.match((await run([weaver, '--version'])).stdout, /^weave \d+\.\d+\.\d+/);
  const npc = await run([join(folder, 'weave-npc'), '--version'], { env: BARE });
  assert.match(npc.stdout, /^weave-npc \d+\.\d+\.\d+/, npc.stderr);
  await h1.startRouter({ args: ARGS });
  // The control API, the allocator and a thread of the router have answered.
  const command = [weave, '--socket', h1.socketPath];
  const status = await run([...command, 'status'], { env: BARE });
  assert.match(status.stdout, /Service: router[\s\S]*Range: 10\.38\.0\.0\/16/);
  const exposed = await run([...command, 'expose'], { env: BARE });
  assert.match(exposed.stdout, /^10\.38\.\d+\.\d+\n$/, exposed.stderr);
});

e2e('weave-net as executable, for both architectures', [], async (lab, t) => {
  const out = join(lab.folder, 'built');
  mkdirSync(out);
  const { code, stderr } = await build(out, 'bun');
  if (code !== 0 && /npm (error|ERR!)/.test(stderr)) {
    t.skip(`needs Bun from the npm registry: ${stderr.slice(0, 200)}`);
    return;
  }
  assert.equal(code, 0, stderr);
  const program = (architecture: string): string => join(out, `weave-net-linux-${architecture}`);
  const machine = { x64: 62, arm64: 183 };
  for (const [architecture, number] of Object.entries(machine)) {
    // Field e_machine of the ELF header.
    assert.equal(readFileSync(program(architecture)).readUInt16LE(18), number);
  }
  const [h1] = switchedHosts(lab, 1).hosts as [Host];
  const runtime = new CniRuntime(h1, [program(arch())]);
  const pod = runtime.pod('p1');
  assert.equal((await runtime.call('ADD', pod)).result?.code, 11);
  await h1.startRouter({ args: ARGS });
  const added = await runtime.ok('ADD', pod);
  await runtime.ok('CHECK', pod, { prevResult: added });
  assert.ok((await ownedOn(h1)).has(addressOf(added)));
  await runtime.ok('DEL', pod);
  assert.ok(!(await ownedOn(h1)).has(addressOf(added)));
  // By its other name it makes no interface.
  const link = join(out, 'weave-ipam');
  symlinkSync(program(arch()), link);
  const granted = await new CniRuntime(h1, [link]).ok('ADD', pod);
  assert.deepEqual([granted.ips?.length, granted.interfaces], [1, undefined]);
  await h1.stopRouter();
  await runtime.ok('DEL', pod);
});
