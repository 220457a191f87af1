/**
 * The options of the name service: how each is read, and what they mean together.
 * Source: reference/cli.md 6, weavedns.md 1, docker.md 3.
 */
import { formatCidr, parseCidr } from '../core/ip.js';
import { canonical, parseHostName } from '../dns/domain-name.js';
import { parseIpv6 } from '../dns/record-data.js';

export const DEFAULT_DNS_DOMAIN = 'weave.local.';
/** A day: longer memories are no use for names of workloads. */
export const MAX_DNS_TTL_S = 86_400;

const MAX_TIMEOUT_MS = 60_000;

/** How names are made for containers of an engine that have none of their own. */
export interface ContainerNaming {
  /** A label whose value is the name; null: the container's name. */
  readonly label: string | null;
  readonly match: RegExp;
  readonly replacement: string;
}

export interface DnsConfig {
  /** Canonical. */
  readonly domain: string;
  readonly listen: { readonly host: string | null; readonly port: number };
  readonly ttlSeconds: number;
  readonly upstreamTimeoutMs: number;
  /** null: other names are not looked up. */
  readonly resolvConfPath: string | null;
  /** CIDRs that are served beside the networks of this host. */
  readonly allowed: readonly string[];
  readonly naming: ContainerNaming;
}

/** @throws {Error} with what is expected. */
export function parseDnsListenAddress(text: string): DnsConfig['listen'] {
  const match = /^(?:\[([0-9a-fA-F:]+)\]|([0-9.]*)):(\d{1,5})$/.exec(text);
  const port = Number(match?.[3]);
  const [host, isValid] = [match?.[1] ?? match?.[2] ?? '', port <= 65535];
  if (match === null || !isValid) {
    const shown = text.slice(0, 64);
    throw new Error(`invalid DNS listen address "${shown}": expected ADDRESS:PORT or [IPV6]:PORT`);
  }
  if (host.includes(':')) return { host: parseIpv6(host), port };
  if (host !== '') parseCidr(`${host}/32`);
  return { host: host === '' ? null : host, port };
}

/** @throws {DecodeError} with what is wrong. */
export function parseDnsDomain(text: string): string {
  return canonical(parseHostName(text));
}

const UNITS_MS: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000 };

/** `5s`, `500ms`, `1.5s`. @throws {Error} with what is expected. */
export function parseDnsTimeout(text: string): number {
  const match = /^(\d{1,6}(?:\.\d{1,6})?)(ms|s|m)$/.exec(text);
  const ms = Number(match?.[1]) * (UNITS_MS[match?.[2] ?? ''] ?? Number.NaN);
  if (ms >= 1 && ms <= MAX_TIMEOUT_MS) return ms;
  throw new Error(`expected a time up to 1m, like 5s or 500ms, got "${text.slice(0, 64)}"`);
}

/** CIDRs of both families separated by commas. @throws {Error} */
export function parseDnsAllowed(text: string): readonly string[] {
  const parts = text.split(',').map((part) => part.trim());
  return parts.filter((part) => part !== '').map(parseEitherCidr);
}

function parseEitherCidr(text: string): string {
  if (!text.includes(':')) return formatCidr(parseCidr(text));
  const [address = '', length = ''] = text.split('/');
  if (!/^\d{1,3}$/.test(length) || Number(length) > 128) {
    throw new Error(`invalid CIDR address: ${text.slice(0, 64)}`);
  }
  return `${parseIpv6(address)}/${length}`;
}

/** An expression of the administrator's own. @throws {Error} with the reason. */
export function parseNameMatch(text: string): RegExp {
  return new RegExp(text);
}

export interface DnsOptionValues {
  readonly 'no-dns': boolean;
  readonly 'dns-domain': string;
  readonly 'dns-listen-address': DnsConfig['listen'];
  readonly 'dns-ttl': number;
  readonly 'dns-fallback-timeout': number;
  readonly 'resolv-conf': string;
  readonly 'dns-allow': readonly string[];
  readonly 'hostname-from-label': string;
  readonly 'hostname-match': RegExp;
  readonly 'hostname-replacement': string;
}

/** @returns null if the name service is off. */
export function buildDnsConfig(values: DnsOptionValues): DnsConfig | null {
  if (values['no-dns']) return null;
  const label = values['hostname-from-label'];
  return Object.freeze({
    domain: values['dns-domain'],
    listen: Object.freeze(values['dns-listen-address']),
    ttlSeconds: values['dns-ttl'],
    upstreamTimeoutMs: values['dns-fallback-timeout'],
    resolvConfPath: values['resolv-conf'] === '' ? null : values['resolv-conf'],
    allowed: Object.freeze(values['dns-allow']),
    naming: Object.freeze({
      label: label === '' ? null : label,
      match: values['hostname-match'],
      replacement: values['hostname-replacement'],
    }),
  });
}
