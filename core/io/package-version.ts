/** Version of this program, as its package says. */
import { readFileSync } from 'node:fs';

/**
 * @param moduleUrl `import.meta.url` of a program; its package.json is in one of the folders above,
 * how far depends on whether the program was compiled or packed.
 */
export function packageVersion(moduleUrl: string): string {
  for (let folder = new URL('./', moduleUrl); ; folder = new URL('../', folder)) {
    const text = readPackage(new URL('package.json', folder));
    if (text !== null) return (JSON.parse(text) as { version: string }).version;
    if (folder.pathname === '/')
      throw new Error(`no package.json in any folder above ${moduleUrl}`);
  }
}

function readPackage(file: URL): string | null {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return null;
  }
}
