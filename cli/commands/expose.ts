/** `weave expose` and `weave hide`: addresses of this host. Source: reference/cli.md 3, 4. */
import { takeAddresses, withoutPrefixes } from '../addresses.js';
import { call } from '../client.js';
import { type Command, type CommandContext, printResult } from '../command.js';
import { CommandFailure, EXIT, UsageFailure } from '../exit.js';
import { parseWords } from '../options.js';

const TIMEOUT_MS = 60_000;

export const expose: Command = {
  name: 'expose',
  usage: ['expose CIDR... [--without-masquerade] [-h FQDN]'],
  async run(words, context) {
    const { cidrs, rest } = takeAddresses(words);
    const { positionals, switches, values } = parseWords(rest, {
      switches: ['without-masquerade'],
      values: ['h'],
    });
    if (positionals.length > 0 || (values.get('h')?.length ?? 0) > 1) throw new UsageFailure();
    const [name] = values.get('h') ?? [];
    const form: [string, string][] = switches.has('without-masquerade')
      ? [['skipNAT', 'true']]
      : [];
    for (const cidr of cidrs) {
      const path = `/expose/${cidr}`;
      await call(context.client, { method: 'POST', path, form, timeoutMs: TIMEOUT_MS });
      if (name !== undefined) await giveName(name, cidr, context);
    }
    printResult(context, `${withoutPrefixes(cidrs)}\n`, { addresses: cidrs });
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
  usage: ['hide CIDR...'],
  async run(words, context) {
    const { cidrs, rest } = takeAddresses(words);
    if (rest.length > 0) throw new UsageFailure();
    for (const cidr of cidrs) {
      const path = `/expose/${cidr}`;
      await call(context.client, { method: 'DELETE', path, timeoutMs: TIMEOUT_MS });
    }
    printResult(context, `${withoutPrefixes(cidrs)}\n`, { addresses: cidrs });
    return EXIT.ok;
  },
};
