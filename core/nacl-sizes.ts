/**
 * Sizes of NaCl secretbox, apart from the operations: whoever seals with another library need not
 * load the one behind those, some 5 MB in each thread. Source: libsodium documentation.
 */
export const KEY_BYTES = 32;
export const NONCE_BYTES = 24;
/** What secretbox adds: the Poly1305 tag, which stands before the ciphertext. */
export const SEAL_OVERHEAD_BYTES = 16;
