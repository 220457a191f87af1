/**
 * Results in the form of each version, and reading those of other plugins.
 * Source: CNI specification 0.2.0, 0.3.1, 1.0.0, 1.1.0, section "Result types".
 */
import { z } from 'zod';
import type { Route } from './config.js';
import { CniCode, CniError } from './protocol.js';

export interface ResultInterface {
  readonly name: string;
  readonly mac: string;
  /** Path of the namespace; absent on the host. */
  readonly sandbox?: string;
}

/** What an attachment got, whatever the version. */
export interface AttachmentResult {
  /** Host end, pod end; empty for an address plugin. */
  readonly interfaces: readonly ResultInterface[];
  /** `a.b.c.d/n` */
  readonly address: string;
  readonly gateway: string | null;
  readonly routes: readonly Route[];
  readonly dns: Readonly<Record<string, unknown>>;
}

/** Place of the pod's end among the interfaces. */
const POD_INTERFACE = 1;

export function formatResult(
  version: string,
  { interfaces, address, gateway, routes, dns }: AttachmentResult,
): Record<string, unknown> {
  const gatewayField = gateway === null ? {} : { gateway };
  const routesField = routes.length === 0 ? {} : { routes };
  if (version.startsWith('0.1.') || version.startsWith('0.2.')) {
    return {
      cniVersion: version,
      ip4: { ip: address, ...gatewayField, ...routesField },
      dns,
    };
  }
  // Version 1.0.0 took this field away.
  const family = version.startsWith('0.') ? { version: '4' } : {};
  const place = interfaces.length === 0 ? {} : { interface: POD_INTERFACE };
  return {
    cniVersion: version,
    ...(interfaces.length === 0 ? {} : { interfaces }),
    ips: [{ ...family, ...place, address, ...gatewayField }],
    ...routesField,
    dns,
  };
}

const foreignRoute = z.object({ dst: z.string(), gw: z.string().optional() });
const addressFields = { gateway: z.string().optional() };
const foreignResult = z.object({
  ip4: z
    .object({ ip: z.string(), ...addressFields, routes: z.array(foreignRoute).optional() })
    .optional(),
  ips: z.array(z.object({ address: z.string(), ...addressFields })).optional(),
  routes: z.array(foreignRoute).optional(),
  dns: z.record(z.string(), z.unknown()).optional(),
});

const isIpv4 = (text: string): boolean => !text.includes(':');

/** The first IPv4 address of another plugin, with what belongs to it. @throws {CniError} */
export function parseForeignResult(value: unknown): AttachmentResult {
  const parsed = foreignResult.safeParse(value);
  const { ip4, ips, routes, dns } = parsed.success ? parsed.data : {};
  const first = ips?.find(({ address }) => isIpv4(address));
  const address = ip4?.ip ?? first?.address;
  if (address === undefined) {
    throw new CniError(CniCode.failed, 'the address plugin gave no IPv4 address; see its own log');
  }
  return {
    interfaces: [],
    address,
    gateway: ip4?.gateway ?? first?.gateway ?? null,
    routes: (ip4?.routes ?? routes ?? []).filter(({ dst }) => isIpv4(dst)),
    dns: dns ?? {},
  };
}

const previousResult = foreignResult.extend({
  interfaces: z.array(z.object({ name: z.string(), sandbox: z.string().optional() })).default([]),
  ips: z
    .array(z.object({ address: z.string(), interface: z.number().int().optional() }))
    .default([]),
});

/** Addresses that an earlier result put on an interface of the pod. @throws {CniError} */
export function previousAddresses(value: unknown, ifName: string): string[] {
  const parsed = previousResult.safeParse(value);
  if (!parsed.success) {
    throw new CniError(CniCode.invalidConfig, 'prevResult: expected the result of the ADD');
  }
  const { interfaces, ips } = parsed.data;
  return ips
    .filter(({ interface: at, address }) => {
      const owner = at === undefined ? undefined : interfaces[at];
      return isIpv4(address) && owner?.name === ifName && Boolean(owner.sandbox);
    })
    .map(({ address }) => address);
}
