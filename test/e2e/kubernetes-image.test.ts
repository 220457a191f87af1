/**
 * The tree of the image, without a registry: what the Dockerfile copies is put into an empty root
 * beside the programs of this machine, which stand in for the base image, and its entry is run.
 */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { requireNetns, requireTool } from '../support/requirements.js';

const projectRoot = join(dirname(fileURLToPath(import.meta.url)), '../../..');
const dockerfile = readFileSync(join(projectRoot, 'deploy/kubernetes/Dockerfile'), 'utf8');
const finalStage = dockerfile.slice(dockerfile.lastIndexOf('\nFROM '));
const TIMEOUT_MS = 60_000;

/** $0 is the root; then pairs of source and place, `--`, and the command. */
const ENTER = `
  set -e
  mount -t tmpfs tmpfs "$0"
  for place in /usr /lib /lib64 /bin /sbin /etc; do
    if [ -L "$place" ]; then cp -a "$place" "$0$place"
    elif [ -d "$place" ]; then mkdir "$0$place"; mount --rbind "$place" "$0$place"; fi
  done
  mkdir "$0/proc" "$0/tmp" "$0/run"; mount --rbind /proc "$0/proc"
  while [ "$1" != -- ]; do
    mkdir -p "$(dirname "$0$2")"
    if [ -d "$1" ]; then mkdir "$0$2"; else : > "$0$2"; fi
    mount --bind "$1" "$0$2"
    shift 2
  done
  shift
  exec chroot "$0" "$@"`;

/** Copies of the final stage from what this project builds. */
function copies(): string[] {
  const found = [...finalStage.matchAll(/^COPY --from=build \/src\/(\S+) (\S+)$/gm)];
  return found.flatMap(([, from, to]) => [join(projectRoot, from as string), to as string]);
}

function runInImage(t: TestContext, command: readonly string[], env = {}) {
  const root = mkdtempSync(join(tmpdir(), 'weave-image-'));
  t.after(() => rmSync(root, { recursive: true, force: true }));
  // The interpreter may live outside of what stands in for the base image.
  const node = [process.execPath, '/opt/node'];
  const argv = ['-m', '--propagation=private', 'sh', '-c', ENTER, root, ...node, ...copies()];
  return spawnSync('unshare', [...argv, '--', '/opt/node', ...command], {
    encoding: 'utf8',
    timeout: TIMEOUT_MS,
    env: { PATH: process.env['PATH'], ...env },
  });
}

test('the entry of the image runs from what is copied into it', (t) => {
  if (!requireNetns(t) || !['unshare', 'chroot', 'mount'].every((x) => requireTool(t, x))) return;
  const entry = /^ENTRYPOINT (\[.*\])$/m.exec(finalStage)?.[1] ?? '[]';
  const words = JSON.parse(entry) as string[];
  assert.deepEqual(words.slice(0, 3), ['tini', '--', 'node']);
  const main = words.slice(3);

  const usage = runInImage(t, [...main, 'no-such-verb'], { HOSTNAME: 'node-a' });
  assert.equal(usage.stderr, 'Usage: weave-kube [uninstall]\n');
  assert.equal(usage.status, 2);
  const unset = runInImage(t, main, {});
  assert.match(unset.stderr, /ERRO: node: .*code="config-invalid".*HOSTNAME: expected the name/);

  const { version } = JSON.parse(readFileSync(join(projectRoot, 'package.json'), 'utf8'));
  const weaver = runInImage(t, ['/opt/weave-net/dist/router/main.js', '--version']);
  assert.equal(weaver.stdout, `weave ${version}\n`);
  const checked = runInImage(t, ['/opt/weave-net/dist/router/main.js', '--check-config']);
  assert.equal(checked.stdout, 'ok\n');
  const weave = runInImage(t, ['/opt/weave-net/dist/cli/weave.js', 'help']);
  assert.match(`${weave.stdout}${weave.stderr}`, /weave/);
  assert.doesNotMatch(weave.stderr, /ERR_MODULE_NOT_FOUND/);
});
