/**
 * Addresses of other routers: `host[:port]` as people write them, and `ip:port` as routers tell
 * each other. IPv6 literals stand in brackets. Source: reference/wire-protocol.md 6.1, 8.1.
 */
import { RequestError } from '../../core/errors.js';

/** A target before its host has been looked up. */
export interface TargetText {
  /** As the user wrote it; the key of the direct-peer table and of `forget`. */
  readonly text: string;
  /** Host name or IP address, without brackets. */
  readonly host: string;
  /** Digits or a service name; null: use our own port number. */
  readonly port: string | null;
}

export interface IpPort {
  /** Without brackets. */
  readonly ip: string;
  /** 1 … 65535 */
  readonly port: number;
}

const TARGET = /^(?:\[([^[\]]+)\]|([^:[\]]+))(?::([A-Za-z0-9]+))?$/;
const IPV4 = /^(?:(?:25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)(?:\.(?!$)|$)){4}$/;
const ZONE = /%[A-Za-z0-9_.-]{1,15}$/;
const IPV6_GROUP = /^[0-9a-fA-F]{1,4}$/;
const IPV6_GROUPS = 8;
const MAX_TARGET_TEXT = 512;

/**
 * @returns the parts of the text. Whether the host exists is for the resolver to find out.
 * @throws {RequestError} `target-invalid`, saying what the form should be.
 */
export function parseTargetAddress(text: string): TargetText {
  const match = text.length <= MAX_TARGET_TEXT ? TARGET.exec(text) : null;
  const host = (match?.[1] ?? match?.[2] ?? '').trim();
  const port = match?.[3] ?? null;
  const outOfRange = port !== null && /^\d+$/.test(port) && Number(port) > 65535;
  if (host === '' || outOfRange) {
    const shown = text.slice(0, MAX_TARGET_TEXT);
    throw new RequestError('target-invalid', `invalid peer name "${shown}", should be host[:port]`);
  }
  // Port 0 means the same as none: the original keeps "none" as 0.
  return { text, host, port: port !== null && /^0+$/.test(port) ? null : port };
}

/** `ip:port`, with brackets around IPv6. The form in which connections are compared. */
export function formatIpPort(ip: string, port: number): string {
  return ip.includes(':') ? `[${ip}]:${port}` : `${ip}:${port}`;
}

/** @returns null unless the text is an IP address with a port that can be dialled. */
export function parseIpPort(text: string): IpPort | null {
  const match = /^(?:\[([^\]]{2,64})\]|([^:]{7,15})):(\d{1,5})$/.exec(text);
  if (match === null) return null;
  const port = Number(match[3]);
  if (port < 1 || port > 65535) return null;
  const [, bracketed, plain] = match;
  if (bracketed !== undefined) return isIpv6(bracketed) ? { ip: bracketed, port } : null;
  return plain !== undefined && IPV4.test(plain) ? { ip: plain, port } : null;
}

/**
 * Eight groups, or fewer with one `::`; the last two may be an IPv4 address; a zone may follow.
 * Strict, since what a socket does not take for an address it looks up as a name.
 */
function isIpv6(text: string): boolean {
  const halves = text.replace(ZONE, '').split('::');
  if (halves.length > 2) return false;
  const groups = halves.flatMap((half) => (half === '' ? [] : half.split(':')));
  const last = groups.at(-1);
  let count = groups.length;
  if (last?.includes('.') && halves.at(-1) !== '') {
    if (!IPV4.test(last)) return false;
    groups.pop();
    count += 1;
  }
  if (halves.length === 2 ? count >= IPV6_GROUPS : count !== IPV6_GROUPS) return false;
  return groups.every((group) => IPV6_GROUP.test(group));
}
