/** Go's `encoding/gob`, as far as Weave's messages use it. */
export { GobDecoder, GobMessageDecoder } from './decoder.js';
export { GobEncoder } from './encoder.js';
export type { Schema, ValueOf } from './schema.js';
export * as gob from './schema.js';
