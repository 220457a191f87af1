/** Runs another plugin, as the specification's section 4 wants it. */
import { spawn } from 'node:child_process';
import { accessSync, constants } from 'node:fs';
import { join } from 'node:path';
import { CniCode, CniError } from '../protocol.js';

type Environment = Readonly<Record<string, string | undefined>>;

/** @returns what it printed. @throws {CniError} its own error, or that it cannot be run. */
export function delegate(
  type: string,
  command: string,
  stdin: string,
  env: Environment,
): Promise<string> {
  const program = findPlugin(type, env['CNI_PATH'] ?? '');
  return new Promise((resolve, reject) => {
    const child = spawn(program, [], {
      env: { ...env, CNI_COMMAND: command },
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    let stdout = '';
    child.stdout.setEncoding('utf8').on('data', (chunk: string) => {
      stdout += chunk;
    });
    child.once('error', (error) => {
      reject(new CniError(CniCode.io, `the plugin ${type} cannot be run: ${error.message}`));
    });
    child.once('close', (code) => {
      if (code === 0) resolve(stdout);
      else reject(errorOf(type, stdout));
    });
    // A plugin that ends without reading is told of by its exit code.
    child.stdin.on('error', () => {}).end(stdin);
  });
}

function findPlugin(type: string, path: string): string {
  const folders = path.split(':').filter((folder) => folder !== '');
  const isName = !type.includes('/');
  const found = folders
    .map((folder) => join(folder, type))
    .find((file) => isName && isExecutable(file));
  if (found !== undefined) return found;
  const text = `ipam.type: there is no plugin "${type}" in CNI_PATH (${path})`;
  throw new CniError(CniCode.invalidConfig, text, 'install it there');
}

function isExecutable(file: string): boolean {
  try {
    accessSync(file, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

function errorOf(type: string, stdout: string): CniError {
  try {
    const { code, msg, details } = JSON.parse(stdout) as Record<string, unknown>;
    const number = typeof code === 'number' ? code : CniCode.failed;
    return new CniError(number, `${type}: ${String(msg)}`, details ? String(details) : '');
  } catch {
    return new CniError(CniCode.failed, `the plugin ${type} failed without a reason`);
  }
}
