/**
 * The feature map: how a router introduces itself. All values are text.
 * Source: reference/wire-protocol.md 3.5.
 */
import { DecodeError, ProtocolError } from '../../core/errors.js';
import { GobDecoder, GobEncoder, type GobMessageDecoder, gob } from '../../core/gob/index.js';
import { formatPeerName, type PeerName, parsePeerName } from '../../core/peer-name.js';
import { announceCiphers, CIPHERS_FEATURE, type Cipher, parseCiphers } from './ciphers.js';
import { announceLanes, LANES_FEATURE, parseLanes } from './lanes.js';

/** Who we are, to every peer. */
export interface LocalIdentity {
  readonly name: PeerName;
  readonly nickname: string;
  readonly uid: bigint;
  readonly shortId: number | null;
}

export interface FeatureOptions {
  readonly identity: LocalIdentity;
  /** Random, made for this attempt. */
  readonly connectionId: bigint;
  readonly trustsRemote: boolean;
  readonly overlays: readonly string[];
  /** What we accept for datagrams, best first. */
  readonly ciphers: readonly Cipher[];
  /** Further keys of our own; routers that do not know them ignore them. */
  readonly extraFeatures: Readonly<Record<string, string>>;
}

export interface ParsedFeatures {
  readonly name: PeerName;
  readonly nickname: string;
  readonly uid: bigint;
  readonly shortId: number | null;
  readonly trustsUs: boolean;
  /** null: none announced, so sleeve alone with old-style control messages. */
  readonly overlays: readonly string[] | null;
  /** null: none announced, so NaCl alone. */
  readonly ciphers: readonly string[] | null;
  /** 1: none announced. */
  readonly lanes: number;
  /** The other end's; XOR with ours gives the connection UID. */
  readonly connectionId: bigint;
}

export type FeatureMap = ReadonlyMap<string, string>;

const PEER_NAME_FLAVOUR = 'mac';
const REQUIRED_KEYS = ['PeerNameFlavour', 'Name', 'NickName', 'UID', 'ConnID'] as const;
/** All that protocol 1 sends or listens to, but for the key below. */
const PROTOCOL_1_KEYS: readonly string[] = REQUIRED_KEYS;
/** Protocol 1 with a password: the public key in hex. */
export const PUBLIC_KEY_FEATURE = 'PublicKey';

const MAX_UINT64 = 2n ** 64n - 1n;
const MAX_SHORT_ID = 0xfffn;
const TRUE_TEXTS: readonly string[] = ['1', 't', 'T', 'TRUE', 'true', 'True'];
const FALSE_TEXTS: readonly string[] = ['0', 'f', 'F', 'FALSE', 'false', 'False'];

export const featureMapSchema = gob.map(gob.string, gob.string);

/** Our features, keys in sorted order. */
export function buildFeatures(options: FeatureOptions): FeatureMap {
  const { identity } = options;
  const features: Record<string, string> = {
    ...options.extraFeatures,
    ConnID: options.connectionId.toString(),
    Name: formatPeerName(identity.name),
    NickName: identity.nickname,
    Overlays: options.overlays.join(' '),
    PeerNameFlavour: PEER_NAME_FLAVOUR,
    Trusted: String(options.trustsRemote),
    UID: identity.uid.toString(),
  };
  if (identity.shortId !== null) features['ShortID'] = identity.shortId.toString();
  const ciphers = announceCiphers(options.ciphers);
  if (ciphers !== null) features[CIPHERS_FEATURE] = ciphers;
  // Lanes belong to our own cipher; without it a router is not to be told from an original one.
  if (options.ciphers.includes('aes-256-gcm')) features[LANES_FEATURE] = announceLanes();
  return new Map(Object.entries(features).sort(([a], [b]) => (a < b ? -1 : 1)));
}

/** What protocol 1 keeps of a feature map, sent or received. */
export function reduceToProtocol1(features: FeatureMap): Map<string, string> {
  return new Map([...features].filter(([key]) => PROTOCOL_1_KEYS.includes(key)));
}

export function encodeFeatures(features: FeatureMap): Uint8Array {
  return new GobEncoder().encode(featureMapSchema, features).finish();
}

/** @throws {DecodeError} */
export function decodeFeatures(bytes: Uint8Array): FeatureMap {
  return new GobDecoder(bytes).next(featureMapSchema);
}

/** Protocol 1: one message of the stream. @returns undefined if it was a type definition. */
export function decodeFeaturesMessage(
  decoder: GobMessageDecoder,
  message: Uint8Array,
): FeatureMap | undefined {
  return decoder.decode(message, featureMapSchema);
}

/**
 * Checks in the order of the original; the first failure counts.
 * @throws {ProtocolError} codes `feature-…`
 */
export function parseFeatures(features: FeatureMap): ParsedFeatures {
  for (const key of REQUIRED_KEYS) {
    if (!features.has(key)) throw new ProtocolError('feature-missing', `field ${key} is missing`);
  }
  const flavour = features.get('PeerNameFlavour');
  if (flavour !== PEER_NAME_FLAVOUR) {
    throw new ProtocolError(
      'feature-flavour',
      `Peer name flavour mismatch (ours: '${PEER_NAME_FLAVOUR}', theirs: '${shorten(flavour)}')`,
    );
  }
  const name = parseName(features.get('Name') as string);
  const shortIdText = features.get('ShortID');
  const shortId =
    shortIdText === undefined ? null : Number(parseUint('ShortID', shortIdText, MAX_SHORT_ID));
  const trustedText = features.get('Trusted');
  const trustsUs = trustedText === undefined ? false : parseBool('Trusted', trustedText);
  const uid = parseUint('UID', features.get('UID') as string, MAX_UINT64);
  const connectionId = parseUint('ConnID', features.get('ConnID') as string, MAX_UINT64);
  const overlays = features.get('Overlays')?.split(' ') ?? null;
  return {
    name,
    nickname: features.get('NickName') as string,
    uid,
    shortId,
    trustsUs,
    overlays: overlays?.filter((overlay) => overlay !== '') ?? null,
    ciphers: parseCiphers(features.get(CIPHERS_FEATURE)),
    lanes: parseLanes(features.get(LANES_FEATURE)),
    connectionId,
  };
}

function parseName(text: string): PeerName {
  try {
    return parsePeerName(text);
  } catch (error) {
    if (error instanceof DecodeError) throw new ProtocolError('feature-name', error.message);
    throw error;
  }
}

/** Plain decimal digits; leading zeros are fine. */
function parseUint(key: string, text: string, max: bigint): bigint {
  // Digits beyond the limit's are checked as text first: BigInt of a long text is slow.
  const digits = /^0*(\d{1,20})$/.exec(text)?.[1];
  const value = digits === undefined ? null : BigInt(digits);
  if (value === null || value > max) {
    throw new ProtocolError(
      'feature-number',
      `feature ${key}: "${shorten(text)}" is not a number from 0 to ${max}`,
    );
  }
  return value;
}

function parseBool(key: string, text: string): boolean {
  if (TRUE_TEXTS.includes(text)) return true;
  if (FALSE_TEXTS.includes(text)) return false;
  throw new ProtocolError(
    'feature-bool',
    `feature ${key}: "${shorten(text)}" is not true or false`,
  );
}

/** A peer's text in a message for people. */
function shorten(text: string | undefined): string {
  return (text ?? '').slice(0, 64);
}
