/** `weave expose` and `weave hide`: addresses of this host. Source: reference/cli.md 3, 4. */
import type { AddressesReply, ExposeRequest, HideRequest } from '../../router/api-types.js';
import { takeAddresses, withoutPrefixes } from '../addresses.js';
import { call } from '../client.js';
import { type Command, type CommandContext, printResult } from '../command.js';
import { CommandFailure, EXIT, UsageFailure } from '../exit.js';
import { parseWords } from '../options.js';
import { callForAddresses } from '../waiting.js';

const TIMEOUT_MS = 60_000;

export const expose: Command = {
  name: 'expose',
  usage: ['expose [ADDRESS...] [--without-masquerade] [-h FQDN]'],
  async run(words, context) {
    const { addresses: wanted, rest } = takeAddresses(words);
    const { positionals, switches, values } = parseWords(rest, {
      switches: ['without-masquerade'],
      values: ['h'],
    });
    if (positionals.length > 0 || (values.get('h')?.length ?? 0) > 1) throw new UsageFailure();
    const [name] = values.get('h') ?? [];
    const masquerade = !switches.has('without-masquerade');
    const json: ExposeRequest = { addresses: wanted, masquerade };
    const { addresses } = await callForAddresses(context, '/expose', json);
    if (name !== undefined) for (const cidr of addresses) await giveName(name, cidr, context);
    printResult(context, `${withoutPrefixes(addresses)}\n`, { addresses });
    return EXIT.ok;
  },
};

/** The address is exposed by then, so that a name service that is off is no failure. */
async function giveName(name: string, cidr: string, context: CommandContext): Promise<void> {
  const path = `/name/weave:expose/${cidr.split('/')[0]}`;
  try {
    await call(context.client, { method: 'PUT', path, form: [['fqdn', name]] });
  } catch (error) {
    if (!(error instanceof CommandFailure) || error.exitCode !== EXIT.absent) throw error;
    context.note('Warning: the name service of this router is off; -h has no effect');
  }
}

export const hide: Command = {
  name: 'hide',
  usage: ['hide [ADDRESS...]'],
  async run(words, context) {
    const { addresses: wanted, rest } = takeAddresses(words);
    if (rest.length > 0) throw new UsageFailure();
    const json: HideRequest = { addresses: wanted };
    const body = await call(context.client, {
      method: 'POST',
      path: '/hide',
      json,
      timeoutMs: TIMEOUT_MS,
    });
    const { addresses } = JSON.parse(body) as AddressesReply;
    printResult(context, `${withoutPrefixes(addresses)}\n`, { addresses });
    return EXIT.ok;
  },
};
