/** `weave attach` and `weave detach`: addresses of workloads. Source: reference/cli.md 3, 4. */
import type { AddressesReply, AttachRequest, DetachRequest } from '../../router/api-types.js';
import { takeAddresses, withoutPrefixes } from '../addresses.js';
import { call } from '../client.js';
import { type Command, printResult } from '../command.js';
import { EXIT, UsageFailure } from '../exit.js';
import { parseWords } from '../options.js';
import { callForAddresses } from '../waiting.js';

/** Entering a namespace and announcing the address takes moments, not this long. */
const TIMEOUT_MS = 60_000;

export const attach: Command = {
  name: 'attach',
  usage: ['attach [ADDRESS...] [--name NAME]... [--no-multicast-route] NETNS|/PATH|PID|CONTAINER'],
  async run(words, context) {
    const { addresses: wanted, rest } = takeAddresses(words);
    const { positionals, switches, values } = parseWords(rest, {
      switches: ['no-multicast-route', 'without-dns', 'rewrite-hosts'],
      values: ['add-host', 'name'],
    });
    const [target] = positionals;
    if (target === undefined || positionals.length > 1) throw new UsageFailure();
    if (switches.has('rewrite-hosts') || values.has('add-host')) {
      context.note('Warning: /etc/hosts of workloads is not rewritten by this version');
    }
    // Without DNS there are no names, whatever was asked for.
    const names = switches.has('without-dns') ? [] : (values.get('name') ?? []);
    const options = { multicastRoute: !switches.has('no-multicast-route'), names };
    const json: AttachRequest = { target, addresses: wanted, options };
    const { addresses } = await callForAddresses(context, '/attach', json);
    printResult(context, `${withoutPrefixes(addresses)}\n`, { addresses });
    return EXIT.ok;
  },
};

export const detach: Command = {
  name: 'detach',
  usage: ['detach [ADDRESS...] NETNS|/PATH|PID|CONTAINER'],
  async run(words, context) {
    const { addresses: wanted, rest } = takeAddresses(words);
    const { positionals } = parseWords(rest, {});
    const [target] = positionals;
    if (target === undefined || positionals.length > 1) throw new UsageFailure();
    const json: DetachRequest = { target, addresses: wanted };
    const body = await call(context.client, {
      method: 'POST',
      path: '/detach',
      json,
      timeoutMs: TIMEOUT_MS,
    });
    const { addresses } = JSON.parse(body) as AddressesReply;
    printResult(context, `${withoutPrefixes(addresses)}\n`, { addresses });
    return EXIT.ok;
  },
};
