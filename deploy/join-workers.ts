/**
 * Second step of the build: puts the entry of each thread and all it imports into one file, in its
 * place. A thread loads its modules by itself, shared with nobody: as one file the data plane
 * weighs 12 MB instead of 17, since a module's text, its line map and its loader's record go.
 *
 * The compiler writes all files anew each time, so nothing is joined twice.
 */
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';
import { THREADS } from './package/threads.js';

const dist = dirname(dirname(fileURLToPath(import.meta.url)));

/** Libraries in the older form ask for others by `require`, which such a file does not have. */
const REQUIRE =
  "import { createRequire } from 'node:module';" +
  'const require = createRequire(import.meta.url);';

for (const thread of THREADS) {
  const file = join(dist, thread);
  await build({
    entryPoints: [file],
    outfile: file,
    allowOverwrite: true,
    bundle: true,
    platform: 'node',
    format: 'esm',
    target: 'node20',
    // Libraries with code of the processor's stay where they find it.
    external: ['koffi', 'sodium-native', 'libsodium-wrappers'],
    banner: { js: REQUIRE },
    logLevel: 'warning',
  });
}
