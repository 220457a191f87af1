/** Executables by Bun, for both architectures from either. Bun comes from the npm registry. */
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, renameSync, rmSync } from 'node:fs';
import { arch } from 'node:os';
import { join } from 'node:path';
import { type Architecture, BUN_PACKAGES, QUICK_STARTERS } from './executables.js';

const TARGETS: Readonly<Record<Architecture, string>> = {
  x64: 'bun-linux-x64-baseline',
  arm64: 'bun-linux-arm64',
};

/** @param cache folder for runtimes, kept. @returns path of Bun's executable. @throws Error */
function fetchBun(architecture: Architecture, cache: string): string {
  const name = BUN_PACKAGES[architecture];
  const folder = join(cache, name.replaceAll('/', '+'));
  const program = join(folder, 'package/bin/bun');
  if (existsSync(program)) return program;
  mkdirSync(cache, { recursive: true });
  const fresh = mkdtempSync(join(cache, 'fetch-'));
  try {
    const pack = ['pack', name, '--loglevel=error', '--pack-destination', fresh];
    const file = execFileSync('npm', pack, { encoding: 'utf8' }).trim();
    execFileSync('tar', ['-xzf', join(fresh, file), '-C', fresh]);
    rmSync(join(fresh, file));
    rmSync(folder, { recursive: true, force: true });
    renameSync(fresh, folder);
  } finally {
    rmSync(fresh, { recursive: true, force: true });
  }
  return program;
}

/** @param dist the built tree. @param out gets `NAME-linux-ARCHITECTURE`. @throws Error */
export function buildQuickStarters(dist: string, out: string, cache: string): string[] {
  const runtimes = { x64: fetchBun('x64', cache), arm64: fetchBun('arm64', cache) };
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
