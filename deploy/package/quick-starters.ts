/** Executables by Bun, for both architectures from either. Bun comes from the npm registry. */
import { execFileSync } from 'node:child_process';
import { arch } from 'node:os';
import { join } from 'node:path';
import { type Architecture, BUN_PACKAGES, QUICK_STARTERS } from './executables.js';
import { fetchPackage } from './npm-package.js';

const TARGETS: Readonly<Record<Architecture, string>> = {
  x64: 'bun-linux-x64-baseline',
  arm64: 'bun-linux-arm64',
};

/** @param dist the built tree. @param cache kept. @param out gets `NAME-linux-ARCHITECTURE`. @throws Error */
export function buildQuickStarters(dist: string, out: string, cache: string): string[] {
  const bunOf = (architecture: Architecture): string =>
    join(fetchPackage(BUN_PACKAGES[architecture], cache), 'bin/bun');
  const runtimes = { x64: bunOf('x64'), arm64: bunOf('arm64') };
  const bun = arch() === 'arm64' ? runtimes.arm64 : runtimes.x64;
  const built: string[] = [];
  for (const { name, entry } of QUICK_STARTERS) {
    for (const architecture of ['x64', 'arm64'] as const) {
      const file = join(out, `${name}-linux-${architecture}`);
      // Nothing in the folder it is started from may change what it does.
      const closed = ['--no-compile-autoload-dotenv', '--no-compile-autoload-bunfig'];
      const runtime = ['--compile-executable-path', runtimes[architecture]];
      const target = ['--compile', `--target=${TARGETS[architecture]}`, ...runtime, ...closed];
      // What an entry imports by a call is a piece of its own then, loaded by that call only.
      const pieces = ['--splitting', '--minify'];
      const args = ['build', ...target, ...pieces, '--outfile', file, join(dist, entry)];
      execFileSync(bun, args, { stdio: ['ignore', 'ignore', 'inherit'] });
      built.push(file);
    }
  }
  return built;
}
