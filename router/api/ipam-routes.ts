/**
 * Routes of the allocator: the original's paths, answers and error texts, and `/ipam/check`.
 * Source: reference/ipam.md 16, http-api.md 4; vectors/http-api-calls.json.
 */
import type { FastifyReply, FastifyRequest } from 'fastify';
import { errorText, RequestError } from '../../core/errors.js';
import { type Cidr, formatCidr, type Ipv4, parseCidr, parseIpv4 } from '../../core/ip.js';
import { parseNetwork } from '../address-arguments.js';
import type { IpamControl } from '../control.js';
import { clientSignal, parameters, type Route, sendJson, sendText } from './answers.js';
import type { WaitingRoom } from './waiting-room.js';

/** A container id has 64. */
const MAX_IDENT_CHARS = 256;

export function ipamRoutes(ipam: IpamControl, waiting: WaitingRoom): Route[] {
  return [
    ...allocationRoutes(ipam, waiting),
    ...lookupRoutes(ipam),
    ...releaseRoutes(ipam),
    {
      method: 'GET',
      path: '/ring',
      handle: async (_request, reply) => {
        const signal = clientSignal(reply);
        await waiting.run(() => ipam.prime({ signal }));
        return sendText(reply, 200, '');
      },
    },
    {
      method: 'GET',
      path: '/ipinfo/defaultsubnet',
      handle: async (_request, reply) => sendText(reply, 200, formatCidr(ipam.defaultSubnet)),
    },
    {
      method: 'GET',
      path: '/ipinfo/tracker',
      handle: async (_request, reply) => sendText(reply, 200, `${ipam.tracker}\n`),
    },
    {
      method: 'GET',
      path: '/ipam/check',
      handle: async (_request, reply) => sendJson(reply, { findings: ipam.check() }),
    },
  ];
}

/** These exist without allocator, too: then there is nothing to hand over. */
export function peerRemovalRoutes(ipam: IpamControl | null): Route[] {
  return [
    {
      method: 'DELETE',
      path: '/peer',
      handle: async (_request, reply) => {
        await ipam?.leave();
        return sendText(reply, 204, '');
      },
    },
    {
      method: 'DELETE',
      path: '/peer/:name',
      handle: async (request, reply) => {
        const { name } = request.params as { name: string };
        const count = (await ipam?.takeOver(name, isOn(request, 'force'))) ?? 0;
        return sendText(reply, 200, `${count} IPs taken over from ${name}\n`);
      },
    },
  ];
}

function allocationRoutes(ipam: IpamControl, waiting: WaitingRoom): Route[] {
  const allocate = async (request: FastifyRequest, reply: FastifyReply, subnet: Cidr | null) => {
    const call = { checkAlive: isOn(request, 'check-alive'), signal: clientSignal(reply) };
    const ident = identOf(request);
    return await answerWhenDone(reply, async () => {
      const cidr = await waiting.run(() => ipam.allocate(ident, subnet, call));
      return sendText(reply, 200, formatCidr(cidr));
    });
  };
  return [
    { method: 'POST', path: '/ip/:id', handle: (request, reply) => allocate(request, reply, null) },
    {
      method: 'POST',
      path: '/ip/:id/:ip/:length',
      handle: (request, reply) => allocate(request, reply, subnetOf(request)),
    },
    {
      method: 'PUT',
      path: '/ip/:id/:ip/:length',
      handle: async (request, reply) => {
        const call = { checkAlive: isOn(request, 'check-alive'), signal: clientSignal(reply) };
        const ident = identOf(request);
        const cidr = cidrOf(request);
        const optimistic = isOn(request, 'noErrorOnUnknown');
        return await answerWhenDone(reply, async () => {
          await prefixed('Unable to claim: ', () =>
            waiting.run(() => ipam.claim(ident, cidr, optimistic, call)),
          );
          return sendText(reply, 204, '');
        });
      },
    },
  ];
}

function lookupRoutes(ipam: IpamControl): Route[] {
  const lookup = async (request: FastifyRequest, reply: FastifyReply, subnet: Cidr | null) => {
    const cidrs = ipam.lookup(identOf(request), subnet);
    return sendText(reply, 200, cidrs.map(formatCidr).join(' '));
  };
  return [
    { method: 'GET', path: '/ip/:id', handle: (request, reply) => lookup(request, reply, null) },
    {
      method: 'GET',
      path: '/ip/:id/:ip/:length',
      handle: (request, reply) => lookup(request, reply, subnetOf(request)),
    },
    {
      method: 'GET',
      path: '/ip',
      handle: async (_request, reply) => {
        const owned = ipam.list().map(({ ident, cidrs }) => ({
          containerid: ident,
          addrs: cidrs.map(formatCidr),
        }));
        return sendJson(reply, { owned: owned.length === 0 ? null : owned });
      },
    },
  ];
}

function releaseRoutes(ipam: IpamControl): Route[] {
  return [
    {
      method: 'DELETE',
      path: '/ip/:id/:ip',
      handle: async (request, reply) => {
        const address = addressOf(request);
        await prefixed('Unable to free: ', () => ipam.free(identOf(request), address));
        return sendText(reply, 204, '');
      },
    },
    {
      method: 'DELETE',
      path: '/ip/:id',
      handle: async (request, reply) => {
        await ipam.freeAll(identOf(request));
        return sendText(reply, 204, '');
      },
    },
  ];
}

/** On for exactly this value, as in the original. */
const isOn = (request: FastifyRequest, name: string): boolean =>
  parameters(request, name)[0] === 'true';

function identOf(request: FastifyRequest): string {
  const { id } = request.params as { id: string };
  if (id.length > 0 && id.length <= MAX_IDENT_CHARS && !/[\p{Cc}\u2028\u2029]/u.test(id)) return id;
  throw new RequestError(
    'ident-invalid',
    `identifier: expected 1 to ${MAX_IDENT_CHARS} printable characters`,
  );
}

const cidrText = (request: FastifyRequest): string => {
  const { ip, length } = request.params as { ip: string; length: string };
  return `${ip}/${length}`;
};

const subnetOf = (request: FastifyRequest): Cidr => parseNetwork(cidrText(request));

function cidrOf(request: FastifyRequest): Cidr {
  const text = cidrText(request);
  if (/^[0-9a-f.]*:/i.test(text)) {
    throw new RequestError('cidr-invalid', `invalid Non-IPv4 address not supported: ${text}`);
  }
  try {
    return parseCidr(text);
  } catch (error) {
    throw new RequestError('cidr-invalid', errorText(error));
  }
}

function addressOf(request: FastifyRequest): Ipv4 {
  const { ip } = request.params as { ip: string };
  try {
    return parseIpv4(ip);
  } catch {
    throw new RequestError('ip-invalid', `invalid IP Address: ${ip.slice(0, 64)}`);
  }
}

/** Of a request that will never be granted: it answers 200, as the original's clients expect. */
const CANCELLED: ReadonlySet<string> = new Set(['ipam-cancelled', 'ipam-leaving']);
const isCancelled = (error: unknown): boolean =>
  error instanceof RequestError && CANCELLED.has(error.code);

async function answerWhenDone(reply: FastifyReply, work: () => Promise<FastifyReply>) {
  try {
    return await work();
  } catch (error) {
    if (isCancelled(error)) return sendText(reply, 200, 'cancelled');
    throw error;
  }
}

async function prefixed(prefix: string, work: () => Promise<void>): Promise<void> {
  try {
    await work();
  } catch (error) {
    if (!(error instanceof RequestError) || isCancelled(error)) throw error;
    throw new RequestError(error.code, `${prefix}${error.message}`, error.httpStatus);
  }
}
