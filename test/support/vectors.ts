/** Finds the golden data made by the original router: beside the project, or the copy inside it. */
import { existsSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** The checkout's root, from wherever the compiled file lies (dist/test/support). */
export const projectRoot = findRoot(dirname(fileURLToPath(import.meta.url)));

function findRoot(from: string): string {
  if (existsSync(join(from, 'package.json'))) return from;
  const parent = dirname(from);
  if (parent === from) throw new Error('package.json not found above the tests');
  return findRoot(parent);
}

/** @returns the parsed JSON file. The caller states its shape. */
export function loadVectors<T>(file: string): T {
  const places = [
    join(projectRoot, 'test/vectors/data', file),
    join(projectRoot, '../shared/reference/vectors', file),
  ];
  const path = places.find((place) => existsSync(place));
  if (path === undefined)
    throw new Error(`vector file ${file} is neither in ${places.join(' nor in ')}`);
  return JSON.parse(readFileSync(path, 'utf8')) as T;
}
