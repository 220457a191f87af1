/**
 * The file tree of the container image, made without a registry: what the last stage of the
 * Dockerfile copies and links, over programs of this machine instead of Debian packages.
 */
import { execFileSync } from 'node:child_process';
import { chmodSync, cpSync, existsSync, mkdirSync, readFileSync, symlinkSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const projectRoot = join(dirname(fileURLToPath(import.meta.url)), '../../..');
const DOCKERFILE = join(projectRoot, 'deploy/kubernetes/Dockerfile');
/** What the image's packages bring, as far as a router and a policy controller run it. */
const PROGRAMS = ['sh', 'env', 'ip', 'nft'];

export interface ImageTree {
  readonly root: string;
  /** What a container runs. */
  readonly entry: readonly string[];
}

/** @param root an empty folder. @throws if the Dockerfile says something that is not known here. */
export function buildImageTree(root: string): ImageTree {
  const text = readFileSync(DOCKERFILE, 'utf8').replaceAll(/\\\n/g, ' ');
  const stage = text.slice(text.lastIndexOf('\nFROM ') + 1);
  const copies = [...stage.matchAll(/^COPY --from=(\w+) (\S+) (\S+)$/gm)];
  for (const [, from, source = '', target = ''] of copies) {
    // The plugin is built by Bun, which test/e2e/package.test.ts does.
    if (from === 'build') copyTree(source.replace(/^\/src\//, ''), join(root, target));
  }
  for (const [, target = '', link = ''] of stage.matchAll(/ln -s (\S+) (\S+)/g)) {
    mkdirSync(join(root, dirname(link)), { recursive: true });
    symlinkSync(target, join(root, link));
  }
  for (const [, mode = '', path = ''] of stage.matchAll(/chmod (\d+) (\S+)/g)) {
    chmodSync(join(root, path), Number.parseInt(mode, 8));
  }
  for (const program of [process.execPath, ...PROGRAMS.map(pathOf)]) addProgram(root, program);
  for (const folder of ['proc', 'sys', 'dev', 'tmp', 'run', 'weavedb', 'host/etc']) {
    mkdirSync(join(root, folder), { recursive: true });
  }
  const match = /^ENTRYPOINT (\[.*\])$/m.exec(stage);
  const [init, separator, ...entry] = JSON.parse(match?.[1] ?? '[]') as string[];
  if (init !== 'tini' || separator !== '--' || entry.length === 0) {
    throw new Error(`${DOCKERFILE}: an entry point by tini was expected`);
  }
  return { root, entry };
}

/** As `npm prune --omit=dev` and the removals of the build stage leave it. */
function copyTree(source: string, target: string): void {
  const isWanted = (path: string): boolean =>
    !/\/dist\/(test|bench)(\/|$)/.test(path) && !/node_modules\/(@biomejs|typescript)/.test(path);
  cpSync(join(projectRoot, source), target, { recursive: true, filter: isWanted });
}

const pathOf = (program: string): string =>
  execFileSync('sh', ['-c', `command -v ${program}`], { encoding: 'utf8' }).trim();

function addProgram(root: string, path: string): void {
  const target = join(root, 'usr/bin', path.split('/').at(-1) ?? '');
  mkdirSync(dirname(target), { recursive: true });
  cpSync(path, target, { dereference: true });
  const listing = execFileSync('ldd', [path], { encoding: 'utf8' });
  for (const [library] of listing.matchAll(/\/\S+\.so\S*/g)) {
    if (existsSync(join(root, library))) continue;
    mkdirSync(join(root, dirname(library)), { recursive: true });
    cpSync(library, join(root, library), { dereference: true });
  }
}
