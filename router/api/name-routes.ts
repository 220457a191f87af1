/**
 * Routes of the name service; they do not exist while it is off. Texts are the original's.
 * Source: reference/weavedns.md 11, vectors/http-api-calls.json.
 */
import type { FastifyReply, FastifyRequest } from 'fastify';
import { DecodeError, RequestError } from '../../core/errors.js';
import { parseHostName } from '../../dns/domain-name.js';
import { MAX_CONTAINER_ID_CHARS } from '../../dns/gossip-codec.js';
import { type NameEntry, orderInLists } from '../../dns/name-entry.js';
import type { NameFilter } from '../../dns/names.js';
import { parseAddress, parseRecord, type RecordData } from '../../dns/record-data.js';
import type { NamesControl } from '../control.js';
import { parameters, type Route, sendText, switchParameter } from './answers.js';

interface Path {
  readonly container?: string;
  readonly ip?: string;
}

export function nameRoutes(names: NamesControl): Route[] {
  const text = (path: string, value: () => string): Route => ({
    method: 'GET',
    path,
    handle: async (_request, reply) => sendText(reply, 200, value()),
  });
  const add = (request: FastifyRequest, reply: FastifyReply) => addName(names, request, reply);
  const remove = async (request: FastifyRequest, reply: FastifyReply) => {
    await names.remove(filterOf(request));
    return sendText(reply, 204, '');
  };
  return [
    text('/domain', () => names.domain),
    text('/dns-address', () => names.address()),
    text('/dns-address-port', () => names.addressAndPort()),
    { method: 'PUT', path: '/name/:container/:ip', handle: add },
    { method: 'PUT', path: '/name/:container', handle: add },
    { method: 'DELETE', path: '/name/:container/:ip', handle: remove },
    { method: 'DELETE', path: '/name/:container', handle: remove },
    { method: 'DELETE', path: '/name', handle: remove },
    { method: 'GET', path: '/name', handle: (request, reply) => listNames(names, request, reply) },
  ];
}

/** Without a name, and without a container to ask for one, there is nothing to do. */
async function addName(names: NamesControl, request: FastifyRequest, reply: FastifyReply) {
  const { container = '' } = request.params as Path;
  const record = recordOf(request);
  if (record === undefined) {
    throw new RequestError('record-missing', 'expected an address in the path, or type and data');
  }
  if (container.length > MAX_CONTAINER_ID_CHARS) {
    throw new RequestError('container-invalid', 'the identifier of the container is too long');
  }
  const checkAlive = switchParameter(request, 'check-alive');
  await names.add(container, record, nameOf(request) ?? null, { checkAlive });
  return sendText(reply, 204, '');
}

async function listNames(names: NamesControl, request: FastifyRequest, reply: FastifyReply) {
  if (request.headers.accept !== 'application/json') return sendText(reply, 405, '');
  const entries = [...names.list()].sort(orderInLists).map(viewOf);
  return sendText(reply, 200, `${entries.length === 0 ? 'null' : JSON.stringify(entries)}\n`);
}

const viewOf = (entry: NameEntry) => ({
  ContainerID: entry.containerId,
  Origin: entry.origin,
  // The original knows nothing but IPv4 addresses; other records say what they are.
  ...(entry.type === 'A' ? { Addr: entry.data } : { Type: entry.type, Data: entry.data }),
  Hostname: entry.hostname,
  Version: entry.version,
  Tombstone: entry.tombstone,
});

/** From query and form both: what is left out makes a removal wider. */
function filterOf(request: FastifyRequest): NameFilter {
  const { container } = request.params as Path;
  const [hostname, record] = [nameOf(request), recordOf(request)];
  return {
    ...(hostname === undefined ? {} : { hostname }),
    ...(container === undefined ? {} : { containerId: container }),
    ...(record === undefined ? {} : { record }),
  };
}

function nameOf(request: FastifyRequest): string | undefined {
  const [fqdn = ''] = parameters(request, 'fqdn');
  return fqdn === '' ? undefined : checked(() => parseHostName(fqdn));
}

function recordOf(request: FastifyRequest): RecordData | undefined {
  const { ip } = request.params as Path;
  if (ip !== undefined) {
    return checked(
      () => parseAddress(ip),
      () => `invalid IP Address: ${ip}`,
    );
  }
  const [[type], [data = '']] = [parameters(request, 'type'), parameters(request, 'data')];
  return type === undefined ? undefined : checked(() => parseRecord(type, data));
}

function checked<T>(parse: () => T, text?: () => string): T {
  try {
    return parse();
  } catch (error) {
    if (!(error instanceof DecodeError)) throw error;
    throw new RequestError(error.code, text?.() ?? error.message);
  }
}
