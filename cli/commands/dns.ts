/**
 * `weave dns-add`, `dns-remove`, `dns-lookup`, `dns-args`: names of workloads.
 * Source: reference/cli.md 3, 4; weavedns.md 10.
 */
import type { AttachmentView } from '../../router/api-types.js';
import { findAttachment } from '../attachment-names.js';
import { type ApiRequest, call } from '../client.js';
import { type Command, type CommandContext, printResult } from '../command.js';
import { CommandFailure, EXIT, UsageFailure } from '../exit.js';
import { parseWords } from '../options.js';

/** Whose addresses belong to no workload. */
const EXTERN = 'weave:extern';
const IPV4 = /^\d{1,3}(\.\d{1,3}){3}$/;

const isAddress = (word: string): boolean => IPV4.test(word) || word.includes(':');

interface Subject {
  readonly container: string | null;
  readonly addresses: readonly string[];
  /** `CNAME` or `SRV` with its data, instead of addresses. */
  readonly record: { readonly type: string; readonly data: string } | null;
  readonly name: string | null;
}

/** Addresses first, then the container; at least one of both. */
function parseSubject(words: readonly string[]): Subject {
  const { positionals, values } = parseWords(words, { values: ['h', 'cname', 'srv'] });
  const [names, cnames, srvs] = ['h', 'cname', 'srv'].map((key) => values.get(key) ?? []);
  const records = [
    ...(cnames ?? []).map((data) => ({ type: 'CNAME', data })),
    ...(srvs ?? []).map((data) => ({ type: 'SRV', data })),
  ];
  if ((names ?? []).length > 1 || records.length > 1) throw new UsageFailure();
  const name = names?.[0] ?? null;
  const record = records[0] ?? null;
  const end = positionals.findIndex((word) => !isAddress(word));
  const addresses = end < 0 ? positionals : positionals.slice(0, end);
  const rest = end < 0 ? [] : positionals.slice(end);
  const container = rest[0] ?? null;
  if (rest.length > 1) {
    throw new UsageFailure(`${rest[1]}: expected addresses, then one container`);
  }
  if (record !== null && addresses.length > 0) {
    throw new UsageFailure('an alias or a service has no addresses of its own');
  }
  if (container === null && addresses.length === 0 && record === null) throw new UsageFailure();
  // Nobody else could say how an address without container is called.
  if (container === null && name === null) throw new UsageFailure('-h NAME is needed');
  return { container, addresses, record, name };
}

/** Those that were given, or all that the container has. */
async function addressesOf(subject: Subject, context: CommandContext): Promise<readonly string[]> {
  if (subject.addresses.length > 0 || subject.container === null) return subject.addresses;
  const body = await call(context.client, { method: 'GET', path: '/attachments' });
  const { attachments } = JSON.parse(body) as { attachments: AttachmentView[] };
  const { container } = subject;
  const found = findAttachment(attachments, container);
  if (found === undefined || found.cidrs.length === 0) {
    throw new CommandFailure(EXIT.failed, `${container} has no address on this bridge`);
  }
  return found.cidrs.map((cidr) => cidr.split('/')[0] as string);
}

/** One call for each record of the subject. */
async function requestsFor(
  method: 'PUT' | 'DELETE',
  subject: Subject,
  context: CommandContext,
): Promise<ApiRequest[]> {
  const { container, name, record } = subject;
  const place = `/name/${encodeURIComponent(container ?? EXTERN)}`;
  const fqdn: [string, string][] = name === null ? [] : [['fqdn', name]];
  if (record !== null) {
    const query: [string, string][] = [...fqdn, ['type', record.type], ['data', record.data]];
    return [{ method, path: place, query }];
  }
  const alive: [string, string][] =
    method === 'PUT' && container !== null ? [['check-alive', 'true']] : [];
  return (await addressesOf(subject, context)).map((address) => ({
    method,
    path: `${place}/${encodeURIComponent(address)}`,
    query: [...fqdn, ...alive],
  }));
}

export const dnsAdd: Command = {
  name: 'dns-add',
  usage: [
    'dns-add [ADDRESS...] CONTAINER [-h NAME]',
    'dns-add ADDRESS... -h NAME',
    "dns-add --cname TARGET | --srv 'PRIORITY WEIGHT PORT TARGET' -h NAME [CONTAINER]",
  ],
  run: (words, context) => change('PUT', words, context),
};

export const dnsRemove: Command = {
  name: 'dns-remove',
  usage: ['dns-remove [ADDRESS...] CONTAINER [-h NAME]', 'dns-remove ADDRESS... -h NAME'],
  run: (words, context) => change('DELETE', words, context),
};

async function change(
  method: 'PUT' | 'DELETE',
  words: readonly string[],
  context: CommandContext,
): Promise<number> {
  const subject = parseSubject(words);
  const requests = await requestsFor(method, subject, context);
  for (const request of requests) await call(context.client, request);
  printResult(context, '', { ...subject, changed: requests.length });
  return EXIT.ok;
}

export const dnsLookup: Command = {
  name: 'dns-lookup',
  usage: ['dns-lookup NAME'],
  async run(words, context) {
    const { positionals } = parseWords(words, {});
    const [name] = positionals;
    if (name === undefined || positionals.length > 1) throw new UsageFailure();
    const server = await call(context.client, { method: 'GET', path: '/dns-address-port' });
    const addresses = await context.host.lookUp(name, server);
    printResult(context, addresses.map((address) => `${address}\n`).join(''), { name, addresses });
    return EXIT.ok;
  },
};

/** For `docker run $(weave dns-args) …`; prints nothing where the name service is off. */
export const dnsArgs: Command = {
  name: 'dns-args',
  usage: ['dns-args'],
  async run(words, context) {
    if (words.length > 0) throw new UsageFailure();
    try {
      const search = await call(context.client, { method: 'GET', path: '/domain' });
      const address = await call(context.client, { method: 'GET', path: '/dns-address' });
      printResult(context, `--dns=${address} --dns-search=${search}`, { dns: address, search });
    } catch (error) {
      if (!(error instanceof CommandFailure) || error.exitCode !== EXIT.absent) throw error;
    }
    return EXIT.ok;
  },
};
