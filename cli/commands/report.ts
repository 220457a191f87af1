/** `weave report [-f TEMPLATE]`. Source: reference/cli.md 5, http-api.md 8. */
import { call } from '../client.js';
import type { Command } from '../command.js';
import { EXIT, UsageFailure } from '../exit.js';
import { parseWords } from '../options.js';

export const report: Command = {
  name: 'report',
  usage: ['report [-f TEMPLATE]'],
  async run(words, context) {
    const { positionals, values } = parseWords(words, { values: ['f', 'format'] });
    const templates = [...(values.get('f') ?? []), ...(values.get('format') ?? [])];
    if (positionals.length > 0 || templates.length > 1) throw new UsageFailure();
    const template = templates[0];
    const text = await call(
      context.client,
      template === undefined
        ? { method: 'GET', path: '/report', accept: 'application/json' }
        : { method: 'GET', path: '/report', query: [['format', template]] },
    );
    context.stdout(text);
    return EXIT.ok;
  },
};
