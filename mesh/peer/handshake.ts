/**
 * The introduction of two routers, as a machine: input in, writes and a result out.
 *
 *   header        "weave" ‖ min u8 ‖ max u8            both at once
 *   protocol 2    flag u8 [‖ public key 32]            both at once
 *                 frame with the feature map           sealed if the flag is 1
 *   protocol 1    gob stream that begins with the feature map, the public key in it as hex
 *
 * Source: reference/wire-protocol.md 3.2 to 3.7.
 */
import { concatBytes, equalBytes, fromHex, toHex, utf8, wipe } from '../../core/bytes.js';
import { ProtocolError } from '../../core/errors.js';
import { GobEncoder, GobMessageDecoder } from '../../core/gob/index.js';
import { deriveSessionKey, type KeyPair, keyPairFromPrivate } from '../../core/nacl.js';
import { KEY_BYTES } from '../../core/nacl-sizes.js';
import type { Random } from '../../core/random.js';
import {
  buildFeatures,
  decodeFeatures,
  decodeFeaturesMessage,
  encodeFeatures,
  type FeatureMap,
  type FeatureOptions,
  featureMapSchema,
  type ParsedFeatures,
  PUBLIC_KEY_FEATURE,
  parseFeatures,
  reduceToProtocol1,
} from './features.js';
import {
  FrameCodec,
  GobCodec,
  type MessageCodec,
  type SessionSeals,
  takeGobMessage,
} from './framing.js';
import type { InputBuffer } from './input-buffer.js';
import { MessageOpener, MessageSealer } from './session-crypto.js';

export type ProtocolVersion = 1 | 2;

export interface HandshakeOptions extends Omit<FeatureOptions, 'connectionId'> {
  readonly outbound: boolean;
  /** As given by the user, UTF-8; null or empty for none. */
  readonly password: Uint8Array | null;
  readonly minVersion: ProtocolVersion;
  readonly maxVersion: ProtocolVersion;
}

/** What the other end said about itself. */
export interface Introduction extends Omit<ParsedFeatures, 'connectionId'> {
  /** As received, with keys unknown to us. */
  readonly features: FeatureMap;
  readonly version: ProtocolVersion;
  /** The same number on both ends. */
  readonly connectionUid: bigint;
  /** 32 bytes if both ends have the password. Secret. */
  readonly sessionKey: Uint8Array | null;
}

export interface HandshakeResult {
  readonly introduction: Introduction;
  /** For all later messages. */
  readonly codec: MessageCodec;
}

const IDENTIFIER = utf8('weave');
const HEADER_BYTES = IDENTIFIER.length + 2;
const FLAG_PLAIN = 0;
const FLAG_ENCRYPTED = 1;
/** A stranger may not make us collect more; real feature maps take some 200 bytes. */
const MAX_FEATURES_BYTES = 64 * 1024;
/** Protocol 1: the original sends one definition before the feature map. */
const MAX_DEFINITIONS = 8;

type Stage = 'header' | 'flag' | 'public-key' | 'features' | 'gob-features' | 'done';

/** Unusable after an error. */
export class Handshake {
  readonly #options: HandshakeOptions;
  readonly #password: Uint8Array | null;
  readonly #random: Random;
  readonly #connectionId: bigint;
  readonly #features: FeatureMap;
  readonly #encoder = new GobEncoder();
  readonly #decoder = new GobMessageDecoder();
  /** BOUNDED: three writes at most. */
  readonly #writes: Uint8Array[] = [];
  #stage: Stage = 'header';
  #version: ProtocolVersion | null = null;
  #keyPair: KeyPair | null = null;
  #sessionKey: Uint8Array | null = null;
  #frames: FrameCodec | null = null;
  #definitions = 0;
  #result: HandshakeResult | null = null;

  constructor(options: HandshakeOptions, modules: { readonly random: Random }) {
    this.#options = options;
    this.#password = options.password?.length === 0 ? null : options.password;
    this.#random = modules.random;
    this.#connectionId = modules.random.uint64();
    this.#features = buildFeatures({ ...options, connectionId: this.#connectionId });
  }

  /** null until the header of the other end was read. */
  get version(): ProtocolVersion | null {
    return this.#version;
  }

  start(): void {
    const { minVersion, maxVersion } = this.#options;
    this.#writes.push(concatBytes(IDENTIFIER, Uint8Array.of(minVersion, maxVersion)));
  }

  pollWrite(): Uint8Array | null {
    return this.#writes.shift() ?? null;
  }

  /**
   * Takes what it can use from the input; bytes behind the introduction stay there.
   * @returns the result once the introduction is complete, else null
   * @throws {DecodeError | ProtocolError} the session must end; call `dispose`
   */
  handleInput(input: InputBuffer): HandshakeResult | null {
    while (this.#step(input));
    return this.#result;
  }

  /** Ends the introduction: no secret of its own remains. */
  dispose(): void {
    if (this.#keyPair !== null) wipe(this.#keyPair.privateKey);
    this.#keyPair = null;
    this.#stage = 'done';
  }

  /** @returns false if more input is needed, or none any more. */
  #step(input: InputBuffer): boolean {
    switch (this.#stage) {
      case 'header':
        return this.#readHeader(input);
      case 'flag':
        return this.#readFlag(input);
      case 'public-key':
        return this.#readPublicKey(input);
      case 'features':
        return this.#readFeatures(input);
      case 'gob-features':
        return this.#readGobFeatures(input);
      case 'done':
        return false;
    }
  }

  #readHeader(input: InputBuffer): boolean {
    if (input.length < HEADER_BYTES) return false;
    const header = input.take(HEADER_BYTES);
    if (!equalBytes(header.subarray(0, IDENTIFIER.length), IDENTIFIER)) {
      throw new ProtocolError('not-weave', 'remote protocol header not recognised');
    }
    const theirMin = header[IDENTIFIER.length] as number;
    const theirMax = header[IDENTIFIER.length + 1] as number;
    const { minVersion, maxVersion } = this.#options;
    const version = Math.min(maxVersion, theirMax);
    if (Math.max(minVersion, theirMin) > version) {
      throw new ProtocolError(
        'version-mismatch',
        `remote version range [${theirMin},${theirMax}] is incompatible with ours ` +
          `[${minVersion},${maxVersion}]`,
      );
    }
    this.#version = version as ProtocolVersion;
    if (this.#password !== null) this.#keyPair = keyPairFromPrivate(this.#random.bytes(KEY_BYTES));
    if (this.#version === 1) this.#sendGobFeatures();
    else this.#sendFlag();
    return true;
  }

  #sendFlag(): void {
    this.#stage = 'flag';
    this.#writes.push(
      this.#keyPair === null
        ? Uint8Array.of(FLAG_PLAIN)
        : concatBytes(Uint8Array.of(FLAG_ENCRYPTED), this.#keyPair.publicKey),
    );
  }

  #readFlag(input: InputBuffer): boolean {
    if (input.length < 1) return false;
    const [flag] = input.take(1);
    if (flag !== FLAG_PLAIN && flag !== FLAG_ENCRYPTED) {
      throw new ProtocolError('encryption-flag', `remote sent the encryption flag ${flag}`);
    }
    this.#checkBothEncrypt(flag === FLAG_ENCRYPTED);
    if (this.#keyPair === null) this.#sendFeatures(null);
    else this.#stage = 'public-key';
    return true;
  }

  #readPublicKey(input: InputBuffer): boolean {
    if (input.length < KEY_BYTES) return false;
    this.#sendFeatures(this.#agreeOnKey(input.take(KEY_BYTES)));
    return true;
  }

  #sendFeatures(seals: SessionSeals | null): void {
    this.#frames = new FrameCodec(seals, MAX_FEATURES_BYTES);
    this.#writes.push(this.#frames.encode(encodeFeatures(this.#features)));
    this.#stage = 'features';
  }

  #readFeatures(input: InputBuffer): boolean {
    const frames = this.#frames as FrameCodec;
    const message = frames.decode(input);
    if (message === null) return false;
    this.#finish(decodeFeatures(message), frames);
    frames.allowLargeFrames();
    return false;
  }

  #sendGobFeatures(): void {
    const features = reduceToProtocol1(this.#features);
    if (this.#keyPair !== null) features.set(PUBLIC_KEY_FEATURE, toHex(this.#keyPair.publicKey));
    this.#writes.push(this.#encoder.encode(featureMapSchema, features).finish());
    this.#stage = 'gob-features';
  }

  #readGobFeatures(input: InputBuffer): boolean {
    const message = takeGobMessage(input, MAX_FEATURES_BYTES);
    if (message === null) return false;
    const features = decodeFeaturesMessage(this.#decoder, message);
    if (features === undefined) {
      if (++this.#definitions > MAX_DEFINITIONS) {
        throw new ProtocolError('too-many-definitions', 'no feature map among gob definitions');
      }
      return true;
    }
    const publicKey = features.get(PUBLIC_KEY_FEATURE);
    this.#checkBothEncrypt(publicKey !== undefined);
    const seals = publicKey === undefined ? null : this.#agreeOnKey(fromHex(publicKey));
    const codec = new GobCodec(this.#encoder, this.#decoder, seals);
    this.#finish(reduceToProtocol1(features), codec);
    return false;
  }

  #checkBothEncrypt(theyEncrypt: boolean): void {
    const weEncrypt = this.#keyPair !== null;
    if (weEncrypt && !theyEncrypt) {
      throw new ProtocolError(
        'password-only-ours',
        'password specified, but peer requested an unencrypted connection (it has no password)',
      );
    }
    if (!weEncrypt && theyEncrypt) {
      throw new ProtocolError(
        'password-only-theirs',
        'no password specified, but peer requested an encrypted connection (it has a password)',
      );
    }
  }

  /** @throws {DecodeError} `public-key-invalid`: wrong length, or a key that gives no secret */
  #agreeOnKey(theirPublicKey: Uint8Array): SessionSeals {
    const keyPair = this.#keyPair as KeyPair;
    const key = deriveSessionKey(keyPair, theirPublicKey, this.#password as Uint8Array);
    wipe(keyPair.privateKey);
    this.#keyPair = null;
    this.#sessionKey = key;
    const { outbound } = this.#options;
    return { sealer: new MessageSealer(key, outbound), opener: new MessageOpener(key, !outbound) };
  }

  #finish(features: FeatureMap, codec: MessageCodec): void {
    const { connectionId, ...said } = parseFeatures(features);
    this.#stage = 'done';
    this.#result = {
      introduction: {
        ...said,
        features,
        version: this.#version as ProtocolVersion,
        connectionUid: this.#connectionId ^ connectionId,
        sessionKey: this.#sessionKey,
      },
      codec,
    };
  }
}
