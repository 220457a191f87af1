/**
 * Which cipher seals the datagrams of a connection. Each router announces what it accepts by a
 * feature of our own; silence means NaCl, all that the original has. Both ends take the best that
 * both accept, by one fixed ranking, and so agree without a further message.
 *
 * The announcement travels inside the sealed session of protocol 2, so nobody between the routers
 * can take a cipher out of it. Protocol 1 shows its features in the clear and drops ours: NaCl.
 * What somebody in between can force is protocol 1, hence NaCl; fastdp/README.md says more.
 */
import type { DataCipher } from '../overlay.js';

export type Cipher = Exclude<DataCipher, 'none'>;

/** All we know, best first. */
export const CIPHERS: readonly Cipher[] = ['aes-256-gcm', 'nacl'];
/** Key in the feature map; the value has names separated by blanks, best first. */
export const CIPHERS_FEATURE = 'Ciphers';

const OF_THE_ORIGINAL: readonly string[] = ['nacl'];
/** Characters of the peer's own words in a text for people. */
const MAX_SHOWN = 100;

/** @returns null if there is nothing to announce. */
export function announceCiphers(ciphers: readonly Cipher[]): string | null {
  const text = ciphers.join(' ');
  return text === OF_THE_ORIGINAL.join(' ') ? null : text;
}

/** @returns null if the peer announces nothing. Names unknown to us are kept. */
export function parseCiphers(feature: string | undefined): readonly string[] | null {
  return feature?.split(' ').filter((name) => name !== '') ?? null;
}

/**
 * The best that both accept, or null.
 * @param theirs null for a peer that announces nothing.
 */
export function commonCipher(
  ours: readonly Cipher[],
  theirs: readonly string[] | null,
): Cipher | null {
  const accepted = theirs ?? OF_THE_ORIGINAL;
  return CIPHERS.find((name) => ours.includes(name) && accepted.includes(name)) ?? null;
}

/** For people, when there is none in common. */
export function noCommonCipherText(
  ours: readonly Cipher[],
  theirs: readonly string[] | null,
): string {
  const accepted = (theirs ?? OF_THE_ORIGINAL).join(' ').slice(0, MAX_SHOWN) || 'none';
  return `no cipher in common with peer (theirs: ${accepted}; ours: ${ours.join(' ')})`;
}
