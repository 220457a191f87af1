/** Database files recorded from the original; data/original-database.json says how. */
import { gunzipSync } from 'node:zlib';
import { loadVectors } from './vectors.js';

const files =
  loadVectors<Readonly<Record<'small' | 'grown' | 'wide', string>>>('original-database.json');

/** @returns a copy of its own. */
export function originalDatabase(which: keyof typeof files): Buffer {
  return gunzipSync(Buffer.from(files[which], 'base64'));
}
