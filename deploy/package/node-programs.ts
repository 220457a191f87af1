/**
 * Router, command line and policy controller as one Node executable with a folder beside it, for
 * this machine's architecture or, with Node and a library from the npm registry, the other:
 *
 *   weaver            Node with the main script below
 *   weave             another name of the same file
 *   lib/              bundles, files of threads, packages with code of the processor's
 */
import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  copyFileSync,
  cpSync,
  existsSync,
  linkSync,
  mkdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { arch } from 'node:os';
import { basename, dirname, join, sep } from 'node:path';
import { build } from 'esbuild';
import { type Architecture, NODE_PROGRAMS, UNBUNDLED } from './executables.js';
import { fetchPackage } from './npm-package.js';
import { THREADS } from './threads.js';

/** Set by Node's own build, looked for by Node at its start. Source: Node documentation, SEA. */
const FUSE = 'NODE_SEA_FUSE_fce680ab2cc467b6e072b8b5df1996b2';
const REQUIRE =
  "import { createRequire as requireFor } from 'node:module';" +
  'const require = requireFor(import.meta.url);';
/** Sources, and builds for other systems. */
const NOT_NEEDED =
  /\/koffi\/(vendor|doc)|\.(c|cc|cpp|h|hh|S|asm)$|prebuilds\/(?!linux-|[^/]*$)|\/musl_/;

/**
 * Main script of the executable. It runs the bundle that its name says, or that its first argument
 * is: `weave launch` starts the router like that.
 */
const mainScript = (programs: Readonly<Record<string, string>>): string => `
const { realpathSync } = require('node:fs');
const { basename, dirname, join } = require('node:path');
const { pathToFileURL } = require('node:url');
const vm = require('node:vm');
const lib = join(dirname(realpathSync(process.execPath)), 'lib');
const programs = ${JSON.stringify(programs)};
const first = process.argv[2] ?? '';
const entry = first.startsWith(lib + '/') && first.endsWith('.js')
  ? process.argv.splice(2, 1)[0]
  : join(lib, 'dist', programs[basename(process.argv0)] ?? programs[basename(process.execPath)]);
process.argv[1] = entry;
const { emitWarning } = process;
process.emitWarning = () => {};
new vm.Script('(url) => import(url)', {
  importModuleDynamically: vm.constants.USE_MAIN_CONTEXT_DEFAULT_LOADER,
}).runInThisContext()(pathToFileURL(entry).href);
process.emitWarning = emitWarning;
`;

/** @returns names of packages with all that they need. */
function closure(modules: string, names: readonly string[]): Set<string> {
  const found = new Set<string>();
  const visit = (name: string): void => {
    const file = join(modules, name, 'package.json');
    if (found.has(name) || !existsSync(file)) return;
    found.add(name);
    const { dependencies = {}, optionalDependencies = {} } = JSON.parse(
      readFileSync(file, 'utf8'),
    ) as Record<string, Record<string, string>>;
    for (const next of Object.keys({ ...dependencies, ...optionalDependencies })) visit(next);
  };
  for (const name of names) visit(name);
  return found;
}

async function fillLibrary(root: string, lib: string, target: Target): Promise<void> {
  const dist = join(root, 'dist');
  for (const { entry, bundle } of NODE_PROGRAMS) {
    const outfile = join(lib, 'dist', bundle);
    await build({
      ...{ entryPoints: [join(dist, entry)], outfile, bundle: true, platform: 'node' },
      ...{ format: 'esm', target: 'node20', external: [...UNBUNDLED], logLevel: 'warning' },
      banner: { js: REQUIRE },
    });
  }
  // The router looks for them beside the file that starts them, which is the bundle now.
  for (const thread of THREADS) {
    copyFileSync(join(dist, thread), join(lib, 'dist/router', basename(thread)));
  }
  const modules = join(root, 'node_modules');
  for (const name of closure(modules, UNBUNDLED)) {
    cpSync(join(modules, name), join(lib, 'node_modules', name), {
      recursive: true,
      filter: (source) => !NOT_NEEDED.test(source.split(sep).join('/')),
    });
  }
  if (target.koffi !== null) {
    const koromix = join(lib, 'node_modules/@koromix');
    rmSync(koromix, { recursive: true, force: true });
    cpSync(target.koffi, join(koromix, `koffi-linux-${target.architecture}`), { recursive: true });
  }
  copyFileSync(join(root, 'package.json'), join(lib, 'package.json'));
}

/** What differs by architecture. */
interface Target {
  readonly architecture: Architecture;
  /** Executable of Node, of the version that runs now. */
  readonly node: string;
  /** Folder of the library of koffi; null: that of the project. */
  readonly koffi: string | null;
}

/** @throws Error if the registry does not have this version of Node. */
function targetFor(root: string, architecture: Architecture, cache: string): Target {
  if (architecture === arch()) return { architecture, node: process.execPath, koffi: null };
  const node = fetchPackage(`node-linux-${architecture}@${process.versions.node}`, cache);
  const koffiPackage = join(root, 'node_modules/koffi/package.json');
  const { version } = JSON.parse(readFileSync(koffiPackage, 'utf8')) as { version: string };
  const koffi = fetchPackage(`@koromix/koffi-linux-${architecture}@${version}`, cache);
  return { architecture, node: join(node, 'bin/node'), koffi };
}

/** @param root of the project. @param cache kept. @returns the executables. */
export async function buildNodePrograms(
  root: string,
  out: string,
  architecture: Architecture,
  cache: string,
): Promise<string[]> {
  const target = targetFor(root, architecture, cache);
  const folder = join(out, `weave-linux-${architecture}`);
  rmSync(folder, { recursive: true, force: true });
  const lib = join(folder, 'lib');
  mkdirSync(lib, { recursive: true });
  await fillLibrary(root, lib, target);
  const [first, ...others] = NODE_PROGRAMS.map(({ name }) => join(folder, name)) as [string];
  makeExecutable(first, target.node, join(folder, 'sea'), join(root, 'node_modules/.bin/postject'));
  for (const other of others) linkSync(first, other);
  return [first, ...others];
}

function makeExecutable(file: string, node: string, work: string, postject: string): void {
  mkdirSync(work);
  const [main, blob, config] = ['main.cjs', 'main.blob', 'config.json'].map((name) =>
    join(work, name),
  ) as [string, string, string];
  writeFileSync(main, mainScript(Object.fromEntries(NODE_PROGRAMS.map((p) => [p.name, p.bundle]))));
  // Without a cache of code, which is the processor's, the blob serves every architecture.
  const settings = { main, output: blob, disableExperimentalSEAWarning: true, useCodeCache: false };
  writeFileSync(config, JSON.stringify(settings));
  execFileSync(process.execPath, ['--experimental-sea-config', config], { stdio: 'ignore' });
  copyFileSync(node, file);
  chmodSync(file, 0o755);
  const injection = [file, 'NODE_SEA_BLOB', blob, '--sentinel-fuse', FUSE];
  // It warns of section names in every build of Node; what it says of failures is in the exception.
  execFileSync(postject, injection, { stdio: 'pipe' });
  rmSync(dirname(main), { recursive: true });
}
