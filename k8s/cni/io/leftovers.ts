/**
 * Requests that plugins left on disk while no router answered: one file for each attachment. The
 * plugin writes, the router reads and removes.
 */
import { createHash } from 'node:crypto';
import {
  closeSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import { errorCode } from '../../../core/errors.js';

const ENDING = '.json';

/** On disk when it returns. @param key the same attachment has the same. */
export function leaveRequest(folder: string, key: string, request: unknown): void {
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const path = join(folder, createHash('sha256').update(key).digest('hex') + ENDING);
  // Two plugins may write for one attachment at once.
  const fresh = `${path}.${process.pid}`;
  const file = openSync(fresh, 'w', 0o600);
  try {
    writeSync(file, JSON.stringify(request));
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
  renameSync(fresh, path);
  const directory = openSync(folder, 'r');
  try {
    fsyncSync(directory);
  } finally {
    closeSync(directory);
  }
}

/** Paths of what was left, none without a folder. */
export function listRequests(folder: string): string[] {
  try {
    return readdirSync(folder)
      .filter((name) => name.endsWith(ENDING))
      .map((name) => join(folder, name));
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return [];
    throw error;
  }
}

/** @returns null for a file that is gone or no JSON. */
export function readRequest(path: string): unknown {
  try {
    return JSON.parse(readFileSync(path, 'utf8'));
  } catch {
    return null;
  }
}

export function removeRequest(path: string): void {
  rmSync(path, { force: true });
}
