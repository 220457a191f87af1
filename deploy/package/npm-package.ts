/** Packages of the npm registry with programs for one architecture, kept in a folder. */
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';

/** @param name with version. @param cache kept. @returns folder with the package's files. @throws Error */
export function fetchPackage(name: string, cache: string): string {
  const folder = join(cache, name.replaceAll('/', '+'));
  const content = join(folder, 'package');
  if (existsSync(content)) return content;
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
  return content;
}
