/** `weave connect` and `weave forget`: the peers this router keeps trying to reach. */
import { call } from '../client.js';
import { type Command, printResult } from '../command.js';
import { EXIT, UsageFailure } from '../exit.js';
import { parseWords } from '../options.js';

export const connect: Command = {
  name: 'connect',
  usage: ['connect [--replace] [PEER...]'],
  async run(words, context) {
    const { positionals: peers, switches } = parseWords(words, { switches: ['replace'] });
    const replace = switches.has('replace');
    // Without peers, --replace empties the list.
    if (peers.length === 0 && !replace) throw new UsageFailure();
    const form: [string, string][] = peers.map((peer) => ['peer', peer]);
    if (replace) form.push(['replace', 'true']);
    // The router resolves names before it answers.
    const timeoutMs = 60_000;
    await call(context.client, { method: 'POST', path: '/connect', form, timeoutMs });
    printResult(context, '', { connect: peers, replace });
    return EXIT.ok;
  },
};

export const forget: Command = {
  name: 'forget',
  usage: ['forget PEER...'],
  async run(words, context) {
    const { positionals: peers } = parseWords(words, {});
    if (peers.length === 0) throw new UsageFailure();
    const form: [string, string][] = peers.map((peer) => ['peer', peer]);
    await call(context.client, { method: 'POST', path: '/forget', form });
    printResult(context, '', { forget: peers });
    return EXIT.ok;
  },
};
