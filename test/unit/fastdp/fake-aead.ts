/** A cipher that tests look into. */
import { toHex } from '../../../core/bytes.js';
import type { AeadFactory } from '../../../fastdp/ports.js';

/** What was made of keys and not given back, and under which nonces was sealed. */
export class RecordingAead implements AeadFactory {
  readonly #inner: AeadFactory;
  /** key ‖ salt ‖ counter of every sealing, in hex. */
  readonly nonces: string[] = [];
  /** Arrays that were handed over, to look at after the caller wiped them. */
  readonly secrets: Uint8Array[] = [];
  alive = 0;

  constructor(inner: AeadFactory) {
    this.#inner = inner;
  }

  makeSealer(key: Uint8Array, salt: Uint8Array, context: Uint8Array, counterHigh?: number) {
    const name = toHex(key) + toHex(salt);
    const sealer = this.#inner.makeSealer(key, salt, context, counterHigh);
    this.#note(key, salt);
    return {
      seal: (buffer: Uint8Array, offset: number, plaintextBytes: number) => {
        sealer.seal(buffer, offset, plaintextBytes);
        this.nonces.push(name + toHex(buffer.subarray(offset, offset + 8)));
      },
      destroy: () => this.#end(sealer),
    };
  }

  makeOpener(key: Uint8Array, salt: Uint8Array, context: Uint8Array) {
    const opener = this.#inner.makeOpener(key, salt, context);
    this.#note(key, salt);
    return {
      open: (buffer: Uint8Array, offset: number, bytes: number) =>
        opener.open(buffer, offset, bytes),
      destroy: () => this.#end(opener),
    };
  }

  #note(key: Uint8Array, salt: Uint8Array): void {
    this.secrets.push(key, salt);
    this.alive += 1;
  }

  #end(made: { destroy(): void }): void {
    made.destroy();
    this.alive -= 1;
  }
}
