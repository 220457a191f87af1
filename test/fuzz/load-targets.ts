/** Collects the fuzz targets of all `targets-*.ts` files beside this one. */
import { readdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import type { FuzzTarget } from './target.js';

const here = dirname(fileURLToPath(import.meta.url));

/** @throws Error if two targets share a name. */
export async function loadTargets(): Promise<FuzzTarget[]> {
  const files = readdirSync(here).filter((name) => /^targets-[a-z0-9-]+\.js$/.test(name));
  const targets: FuzzTarget[] = [];
  for (const file of files.sort()) {
    const module = (await import(pathToFileURL(join(here, file)).href)) as {
      targets: readonly FuzzTarget[];
    };
    targets.push(...module.targets);
  }
  const names = new Set(targets.map(({ name }) => name));
  if (names.size !== targets.length) throw new Error('two fuzz targets have the same name');
  return targets;
}
