/**
 * What a name can stand for, as text in one spelling, so that equal data are equal texts.
 *
 *   A      10.32.0.5
 *   AAAA   fd00::5                     RFC 5952
 *   CNAME  web.weave.local.
 *   SRV    10 60 8080 web.weave.local. priority, weight, port, target (RFC 2782)
 */
import { DecodeError } from '../core/errors.js';
import { formatIpv4, parseIpv4 } from '../core/ip.js';
import { fullyQualified, parseHostName } from './domain-name.js';

export const RECORD_TYPES = ['A', 'AAAA', 'CNAME', 'SRV'] as const;
export type RecordType = (typeof RECORD_TYPES)[number];

export interface RecordData {
  readonly type: RecordType;
  readonly data: string;
}

export interface SrvData {
  readonly priority: number;
  readonly weight: number;
  readonly port: number;
  readonly target: string;
}

export function isRecordType(text: string): text is RecordType {
  return (RECORD_TYPES as readonly string[]).includes(text);
}

/** @throws {DecodeError} `ip-invalid` */
export function parseAddress(text: string): RecordData {
  if (text.includes(':')) return { type: 'AAAA', data: parseIpv6(text) };
  return { type: 'A', data: formatIpv4(parseIpv4(text)) };
}

/**
 * @returns the shortest spelling. The URL standard's parser is the platform's only one that needs
 *   no socket module.
 * @throws {DecodeError} `ip-invalid`, also for scoped addresses: others could not reach them.
 */
export function parseIpv6(text: string): string {
  const invalid = (): DecodeError =>
    new DecodeError('ip-invalid', `invalid IPv6 address "${text.slice(0, 64)}"`);
  if (!/^[0-9A-Fa-f:.]{2,45}$/.test(text)) throw invalid();
  try {
    return new URL(`http://[${text}]`).hostname.slice(1, -1);
  } catch {
    throw invalid();
  }
}

/** @throws {DecodeError} `record-type-invalid`, `record-data-invalid`, `ip-invalid`, `name-invalid` */
export function parseRecord(type: string, text: string): RecordData {
  switch (type) {
    case 'A':
    case 'AAAA': {
      const record = parseAddress(text);
      if (record.type === type) return record;
      throw new DecodeError('record-data-invalid', `${text} is no address for a record ${type}`);
    }
    case 'CNAME':
      return { type, data: parseHostName(text) };
    case 'SRV':
      return { type, data: formatSrv(parseSrv(text)) };
    default:
      throw new DecodeError(
        'record-type-invalid',
        `record type "${type.slice(0, 20)}": expected ${RECORD_TYPES.join(', ')}`,
      );
  }
}

/** @throws {DecodeError} `record-data-invalid`, `name-invalid` */
export function parseSrv(text: string): SrvData {
  const match = /^(\d{1,5}) (\d{1,5}) (\d{1,5}) (\S+)$/.exec(text);
  const [priority = -1, weight = -1, port = -1] = (match?.slice(1, 4) ?? []).map(Number);
  if (match === null || Math.max(priority, weight, port) > 0xffff) {
    throw new DecodeError(
      'record-data-invalid',
      `SRV data "${text.slice(0, 100)}": expected PRIORITY WEIGHT PORT TARGET, numbers to 65535`,
    );
  }
  return { priority, weight, port, target: parseHostName(match[4] as string) };
}

function formatSrv({ priority, weight, port, target }: SrvData): string {
  return `${priority} ${weight} ${port} ${fullyQualified(target)}`;
}

/**
 * The name under which an address is looked up in reverse, in lower case: RFC 1035 3.5 and
 * RFC 3596 2.5.
 * @param record A or AAAA.
 */
export function reverseName({ type, data }: RecordData): string {
  if (type === 'A') return `${data.split('.').reverse().join('.')}.in-addr.arpa.`;
  const [head = '', tail] = data.split('::');
  const groupsOf = (part: string | undefined): string[] =>
    part === undefined || part === '' ? [] : part.split(':');
  const [front, back] = [groupsOf(head), groupsOf(tail)];
  const zeros = new Array<string>(8 - front.length - back.length).fill('0');
  const nibbles = [...front, ...zeros, ...back].map((group) => group.padStart(4, '0')).join('');
  return `${[...nibbles].reverse().join('.')}.ip6.arpa.`;
}
