/**
 * The network configuration, checked. Unknown keys are for other plugins and later versions.
 * Source: CNI specification 1.1.0 section 1; reference/kubernetes.md 1.
 */
import { z } from 'zod';
import { type Cidr, networkOf, parseCidr, parseIpv4 } from '../../core/ip.js';
import { canParse } from '../../core/text.js';
import { CniCode, CniError, DEFAULT_VERSION, SUPPORTED_VERSIONS } from './protocol.js';

/** A pod has a handful; the kernel would take more. */
const MAX_ROUTES = 256;

const cidr = z.string().refine(canParse(parseCidr), 'expected an IPv4 network like 10.32.0.0/12');
const address = z.string().refine(canParse(parseIpv4), 'expected an IPv4 address');
const route = z.object({ dst: cidr, gw: address.optional() });
const attachment = z.object({ containerID: z.string(), ifname: z.string() });
const dns = z.record(z.string(), z.unknown());

const schema = z.object({
  cniVersion: z.string().default(DEFAULT_VERSION),
  name: z
    .string()
    .regex(/^[A-Za-z0-9][A-Za-z0-9_.-]{0,100}$/, 'expected letters, digits, dots, dashes'),
  bridge: z.string().optional(),
  mtu: z.number().int().min(0).max(65535).optional(),
  hairpinMode: z.boolean().default(true),
  isGateway: z.boolean().default(false),
  ipMasq: z.boolean().default(false),
  ipam: z
    .object({
      type: z.string().default(''),
      subnet: cidr.optional(),
      gateway: address.optional(),
      routes: z.array(route).max(MAX_ROUTES).optional(),
    })
    .default({ type: '' }),
  dns: dns.default({}),
  prevResult: z.unknown().optional(),
  'cni.dev/valid-attachments': z.array(attachment).optional(),
});

export interface Route {
  readonly dst: string;
  readonly gw?: string | undefined;
}

export type CniConfig = z.output<typeof schema>;

/** @throws {CniError} incompatible version, unsupported field, invalid configuration */
export function parseConfig(value: unknown, ourBridge: string): CniConfig {
  const parsed = schema.safeParse(value);
  if (!parsed.success) {
    const issues = parsed.error.issues.map(
      ({ path, message }) => `${path.join('.') || 'network configuration'}: ${message}`,
    );
    throw new CniError(CniCode.invalidConfig, issues.join('; '));
  }
  const config = parsed.data;
  checkVersion(config.cniVersion);
  if (config.isGateway) throw unsupported('isGateway', 'the bridge gets an address when needed');
  if (config.ipMasq) throw unsupported('ipMasq', 'exposed networks are masqueraded already');
  if (config.bridge !== undefined && config.bridge !== ourBridge) {
    const text = `bridge: "${config.bridge}" is not the router's, which is "${ourBridge}"`;
    throw new CniError(CniCode.invalidConfig, text, 'leave it out, or use --weave-bridge');
  }
  return config;
}

/** @throws {CniError} code 1 */
export function checkVersion(version: string): void {
  if ((SUPPORTED_VERSIONS as readonly string[]).includes(version)) return;
  throw new CniError(
    CniCode.incompatibleVersion,
    `incompatible CNI version "${version}"`,
    `supported are ${SUPPORTED_VERSIONS.join(', ')}: set cniVersion to one of them`,
  );
}

export const subnetOf = (config: CniConfig): Cidr | null =>
  config.ipam.subnet === undefined ? null : networkOf(parseCidr(config.ipam.subnet));

const unsupported = (key: string, why: string): CniError =>
  new CniError(CniCode.unsupportedField, `${key}: true is not supported: remove it`, why);
