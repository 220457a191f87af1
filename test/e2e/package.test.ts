/** The executables of `npm run package`, built anew and used without this machine's Node. */
import assert from 'node:assert/strict';
import { existsSync, mkdirSync, readFileSync, symlinkSync } from 'node:fs';
import { arch } from 'node:os';
import { dirname, join } from 'node:path';
import type { TestContext } from 'node:test';
import { fileURLToPath } from 'node:url';
import { e2e } from '../support/e2e.js';
import { addressOf, CniRuntime } from '../support/lab-cni.js';
import type { Host, RouterKind } from '../support/lab-host.js';
import { ownRouter } from '../support/lab-host.js';
import { ownedOn } from '../support/lab-ipam.js';
import { switchedHosts } from '../support/lab-topologies.js';
import { requireTool } from '../support/requirements.js';
import { type RunResult, run } from '../support/shell.js';

const BUILD = join(dirname(fileURLToPath(import.meta.url)), '../../deploy/package/build.js');
const BUILD_TIMEOUT_MS = 180_000;
const RANGE = '10.38.0.0/16';
const ARGS = ['--ipalloc-range', RANGE, '--ipalloc-default-subnet', RANGE];
/** Nothing of Node's or npm's is found there. */
const BARE = { PATH: '/usr/sbin:/sbin:/bin' };

const build = (out: string, only: string, architecture = ''): Promise<RunResult> =>
  run([process.execPath, BUILD, '--out', out, '--only', only, '--architecture', architecture], {
    timeoutMs: BUILD_TIMEOUT_MS,
  });

/** Runs programs of arm64 on x64; the libraries are those of Debian's cross compilers. */
const ARM64_LIBRARIES = '/usr/aarch64-linux-gnu';
const ON_ARM64 = arch() === 'arm64' ? [] : ['qemu-aarch64', '-L', ARM64_LIBRARIES];

function requireArm64(t: TestContext): boolean {
  if (arch() === 'arm64') return true;
  if (!requireTool(t, 'qemu-aarch64')) return false;
  if (existsSync(`${ARM64_LIBRARIES}/lib/libstdc++.so.6`)) return true;
  t.skip('needs the packages libc6-arm64-cross and libstdc++6-arm64-cross');
  return false;
}

e2e('weaver, weave and weave-npc as executables', [], async (lab, t) => {
  if (!readFileSync(process.execPath).includes('NODE_SEA_FUSE_')) {
    t.skip('needs a Node that is one file, as nodejs.org builds it');
    return;
  }
  const { code, stderr } = await build(lab.folder, 'node', arch());
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

e2e('weaver, weave and weave-npc for arm64', [], async (lab, t) => {
  if (!requireArm64(t)) return;
  const { code, stderr } = await build(lab.folder, 'node', 'arm64');
  if (code !== 0 && /npm (error|ERR!)/.test(stderr)) {
    t.skip(`needs Node for arm64 from the npm registry: ${stderr.slice(0, 200)}`);
    return;
  }
  assert.equal(code, 0, stderr);
  const program = (name: string): string => join(lab.folder, 'weave-linux-arm64', name);
  const wanted = { weaver: /^weave \d/, weave: /^weave \d/, 'weave-npc': /^weave-npc \d/ };
  for (const [name, pattern] of Object.entries(wanted)) {
    const argument = name === 'weave' ? 'version' : '--version';
    const result = await run([...ON_ARM64, program(name), argument], { timeoutMs: 60_000 });
    assert.match(result.stdout, pattern, `${name}: ${result.stderr}`);
  }
  // Options are checked by the whole of the daemon's front, libraries for the processor included.
  const check = await run([...ON_ARM64, program('weaver'), '--check-config', '--port', '0'], {
    timeoutMs: 60_000,
  });
  assert.match(check.stderr, /--port/);
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
  if (requireArm64(t)) {
    const other = new CniRuntime(h1, [...ON_ARM64, program('arm64')]);
    const pod2 = other.pod('p2');
    const address = addressOf(await other.ok('ADD', pod2));
    assert.ok((await ownedOn(h1)).has(address));
    await other.ok('DEL', pod2);
  }
  // By its other name it makes no interface.
  const link = join(out, 'weave-ipam');
  symlinkSync(program(arch()), link);
  const granted = await new CniRuntime(h1, [link]).ok('ADD', pod);
  assert.deepEqual([granted.ips?.length, granted.interfaces], [1, undefined]);
  await h1.stopRouter();
  await runtime.ok('DEL', pod);
});
