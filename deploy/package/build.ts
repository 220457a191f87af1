#!/usr/bin/env node
/**
 * `npm run package`: executables that need neither Node nor npm, in `dist-packages/`.
 *
 *   node dist/deploy/package/build.js [--out FOLDER] [--cache FOLDER] [--only bun|node]
 *                                     [--architecture x64|arm64]
 */
import { mkdirSync, statSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { buildNodePrograms } from './node-programs.js';
import { buildQuickStarters } from './quick-starters.js';

const dist = join(dirname(fileURLToPath(import.meta.url)), '../..');
const root = dirname(dist);
const { values } = parseArgs({
  options: {
    out: { type: 'string', default: join(root, 'dist-packages') },
    cache: { type: 'string', default: join(root, 'dist-packages/runtimes') },
    only: { type: 'string', default: '' },
    architecture: { type: 'string', default: '' },
  },
});
const out = resolve(values.out);
mkdirSync(out, { recursive: true });
const built: string[] = [];
const cache = resolve(values.cache);
if (values.only !== 'node') built.push(...buildQuickStarters(dist, out, cache));
if (values.only !== 'bun') {
  for (const architecture of ['x64', 'arm64'] as const) {
    if (!['', architecture].includes(values.architecture)) continue;
    built.push(...(await buildNodePrograms(root, out, architecture, cache)));
  }
}
for (const file of built) {
  console.log(`${relative(process.cwd(), file)}  ${(statSync(file).size / 1e6).toFixed(0)} MB`);
}
