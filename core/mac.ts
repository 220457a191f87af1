/** Ethernet addresses as 48-bit numbers, the form in which the hot path keeps them as keys. */
import { DecodeError } from './errors.js';

declare const macBrand: unique symbol;
/** An integer 0 … 2^48−1, first octet highest. */
export type Mac = number & { readonly [macBrand]: true };

export const BROADCAST_MAC = 0xff_ff_ff_ff_ff_ff as Mac;

/** `aa:bb:cc:dd:ee:ff`, lower case. */
export function formatMac(mac: Mac): string {
  return (mac.toString(16).padStart(12, '0').match(/../g) as string[]).join(':');
}

/** @throws {DecodeError} `mac-invalid` */
export function parseMac(text: string): Mac {
  if (!/^[0-9a-fA-F]{2}(:[0-9a-fA-F]{2}){5}$/.test(text)) {
    throw new DecodeError('mac-invalid', `invalid MAC address "${text.slice(0, 64)}"`);
  }
  return Number.parseInt(text.replaceAll(':', ''), 16) as Mac;
}

/** The group bit: multicast and broadcast. */
export function isGroupMac(mac: Mac): boolean {
  return (Math.floor(mac / 2 ** 40) & 1) === 1;
}
