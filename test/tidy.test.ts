/**
 * Holds the tree to CONTRIBUTING.md: who may import whom, where the outside world is touched, how
 * long files get, and that every user-visible feature has a row in the feature list.
 */
import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { test } from 'node:test';
import { projectRoot } from './support/vectors.js';

const FOLDERS = [
  'core',
  'sys',
  'fastdp',
  'mesh',
  'ipam',
  'dns',
  'k8s',
  'router',
  'cli',
  'bench',
  'test',
  'deploy',
];
const MAX_FILE_LINES = 400;
const MAX_COLUMNS = 100;

interface SourceFile {
  /** Path from the project's root, e.g. `mesh/io/tcp.ts`. */
  readonly path: string;
  readonly text: string;
  readonly imports: readonly string[];
}

const files: SourceFile[] = FOLDERS.filter((folder) => existsSync(join(projectRoot, folder)))
  .flatMap((folder) =>
    readdirSync(join(projectRoot, folder), { recursive: true, encoding: 'utf8' }).map((name) =>
      join(folder, name),
    ),
  )
  .filter((path) => path.endsWith('.ts'))
  .map((path) => {
    const text = readFileSync(join(projectRoot, path), 'utf8');
    return { path, text, imports: importsOf(text) };
  });

function importsOf(text: string): string[] {
  const pattern = /^(?:import|export)\b[^'"]*?(?:from\s*)?['"]([^'"]+)['"]/gm;
  return [...text.matchAll(pattern)].map((match) => match[1] as string);
}

/** Relative imports as project paths with `.ts`; packages stay as written. */
function resolveImport(from: SourceFile, specifier: string): string {
  if (!specifier.startsWith('.')) return specifier;
  return relative('.', join(dirname(from.path), specifier)).replace(/\.js$/, '.ts');
}

const isIo = (path: string): boolean => path.includes('/io/');
const folderOf = (path: string): string => path.split('/')[0] as string;

/** Project files that a file of this place may import; null: anything. */
function mayImport(from: string, target: string): boolean {
  const folder = folderOf(from);
  const to = folderOf(target);
  if (to === 'test' || to === 'bench') return folder === 'test' || folder === 'bench';
  if (folder === 'test' || folder === 'bench') return true;
  if (to === 'core') return true;
  if (folder === 'core') return false;
  if (folder === 'sys') return to === 'sys';
  if (folder === 'router') return to !== 'cli' && (to !== 'sys' || isIo(from) || isEntry(from));
  if (folder === 'cli') return to === 'cli' || target === 'router/api-types.ts';
  if (folder === 'deploy') return to === 'deploy';
  if (isIo(target) && !isIo(from) && !isEntry(from)) return false;
  if (to === 'sys') return isIo(from);
  if (to === folder) return true;
  if (folder === 'k8s') {
    return target === 'router/api-types.ts' || (isEntry(from) && SHARED_BY_DAEMONS.has(target));
  }
  const meshInterfaces = ['mesh/overlay.ts', 'mesh/gossip-channel.ts', 'mesh/status.ts'];
  return to === 'mesh' && meshInterfaces.includes(target);
}

/** Files that start a process or wire it, and so may touch the world directly. */
function isEntry(path: string): boolean {
  const daemons = ['router/main.ts', 'router/compose.ts', 'k8s/npc/daemon/main.ts'];
  return [...daemons, 'cli/weave.ts', 'k8s/npc/daemon/compose.ts'].includes(path);
}

/** What the entry points of other daemons may take from the router: form of the log, listeners. */
const SHARED_BY_DAEMONS: ReadonlySet<string> = new Set(['router/log.ts']);

test('imports follow the dependency directions', () => {
  const wrong: string[] = [];
  for (const file of files) {
    for (const specifier of file.imports) {
      const target = resolveImport(file, specifier);
      if (!specifier.startsWith('.')) {
        if (target === 'koffi' && !file.path.startsWith('sys/')) {
          wrong.push(`${file.path} imports koffi, which only sys/ may`);
        }
        continue;
      }
      if (!mayImport(file.path, target)) wrong.push(`${file.path} imports ${target}`);
    }
  }
  assert.deepEqual(wrong, []);
});

test('there are no import cycles', () => {
  const graph = new Map(
    files.map((file) => [file.path, file.imports.map((i) => resolveImport(file, i))]),
  );
  const done = new Set<string>();
  const cycles: string[] = [];
  const walk = (path: string, trail: string[]): void => {
    const at = trail.indexOf(path);
    if (at >= 0) cycles.push([...trail.slice(at), path].join(' -> '));
    if (at >= 0 || done.has(path)) return;
    for (const next of graph.get(path) ?? []) if (graph.has(next)) walk(next, [...trail, path]);
    done.add(path);
  };
  for (const path of graph.keys()) walk(path, []);
  assert.deepEqual(cycles, []);
});

test('sockets, files, clock reads and randomness stay in sys, io and entry points', () => {
  const outside = /^node:(fs|net|dgram|http|https|child_process|worker_threads|dns|os|tls)\b/;
  const calls = /\b(Date\.now|performance\.now|Math\.random|setTimeout|setInterval|process\.env)\b/;
  const pure = files.filter(
    ({ path }) =>
      ['core', 'mesh', 'fastdp', 'ipam', 'dns', 'router', 'k8s'].includes(folderOf(path)) &&
      !isIo(path) &&
      !isEntry(path) &&
      path !== 'core/clock.ts',
  );
  const wrong: string[] = [];
  for (const file of pure) {
    for (const specifier of file.imports) {
      if (outside.test(specifier)) wrong.push(`${file.path} imports ${specifier}`);
    }
    const code = file.text.replace(/\/\*[\s\S]*?\*\/|\/\/.*$/gm, '');
    const call = calls.exec(code);
    if (call !== null) wrong.push(`${file.path} uses ${call[0]}`);
  }
  assert.deepEqual(wrong, []);
});

test('files are at most 400 lines of 100 columns', () => {
  const wrong: string[] = [];
  for (const file of files) {
    const lines = file.text.split('\n');
    if (lines.length > MAX_FILE_LINES + 1) wrong.push(`${file.path}: ${lines.length - 1} lines`);
    const wide = lines.findIndex(
      (line) => line.length > MAX_COLUMNS && !/https?:|['"`]/.test(line),
    );
    if (wide >= 0) wrong.push(`${file.path}:${wide + 1} is wider than ${MAX_COLUMNS} columns`);
  }
  assert.deepEqual(wrong, []);
});

test('every file says on top what it is, in a kebab-case file name', () => {
  const wrong: string[] = [];
  for (const { path, text } of files) {
    if (!/^(#!.*\n)?\/(\*\*|\/)/.test(text)) wrong.push(`${path} has no header comment`);
    const name = path.split('/').pop() as string;
    if (!/^[a-z0-9-]+(\.(test|worker|d))?\.ts$/.test(name)) wrong.push(`${path} is not kebab-case`);
  }
  assert.deepEqual(wrong, []);
});

test('every folder of code has a README', () => {
  const folders = new Set(files.map((file) => folderOf(file.path)));
  const missing = [...folders].filter((f) => !existsSync(join(projectRoot, f, 'README.md')));
  assert.deepEqual(missing, []);
});
